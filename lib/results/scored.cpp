#include "results/scored.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"
#include "stats/resampled.h"
#include "stats/threshold.h"

namespace mr::results {
namespace {

/// Of one arm, images and label: cases by run, then condition.
struct Scored {
  std::vector<std::vector<stats::Cases>> runs;
  std::string reason;  // why there are none
};

Scored scored(const Study& study, const std::string& arm, const Images& images, std::size_t label) {
  Scored all;
  for (const auto run : study.runs(arm)) {
    all.runs.emplace_back();
    for (const auto& condition : images.conditions) {
      auto cases = study.cases(arm, run, condition, label);
      if (!cases)
        return {{},
                "run " + std::to_string(run) + " of " + arm + " was not evaluated at " +
                    name(condition)};
      all.runs.back().push_back(std::move(*cases));
    }
  }
  return all;
}

/// make(arm, images, label, scored) of every label, kind of images and arm.
template <typename T, typename Make>
std::vector<T> of_all_scored(const Study& study, const Make& make) {
  struct Question {
    std::string arm;
    Images images;
    std::size_t label;
  };
  std::vector<Question> questions;
  for (std::size_t l = 0; l < study.labels().size(); ++l)
    for (const auto& images : scored_images(study))
      for (const auto& arm : study.arms()) questions.push_back({arm, images, l});
  std::vector<T> all(questions.size());
  parallel_for(available_threads(), static_cast<std::int64_t>(all.size()), [&](std::int64_t i) {
    const auto& [arm, images, label] = questions[static_cast<std::size_t>(i)];
    auto& one = all[static_cast<std::size_t>(i)];
    one.arm = arm;
    one.images = images.name;
    one.label = label;
    make(one, scored(study, arm, images, label));
  });
  return all;
}

void set_interval(BinnedCalibration& c, const std::vector<stats::Stated>& members,
                  std::int64_t known_subjects) {
  if (known_subjects < stats::fewest_subjects_for_p) {
    c.error.reason = "fewer than 10 subjects (" + std::to_string(known_subjects) + "): no interval";
    return;
  }
  const std::vector<stats::ResampledCalibrationError> resampled(members.begin(), members.end());
  const auto b = stats::cluster_bootstrap(
      random_key(0, {"calibration error"}), members.front().subjects, calibration_replicates,
      [&](const stats::Times& times) {
        std::optional<double> mean = 0;
        for (const auto& member : resampled) {
          const auto error = member(times);
          if (!error) return error;
          *mean += *error / static_cast<double>(resampled.size());
        }
        return mean;
      },
      1);  // labels and arms are side by side already
  c.error.low = b.low;
  c.error.high = b.high;
  c.error.reason = b.reason;
}

void set_values(BinnedCalibration& c, const Scored& scored) {
  std::vector<stats::Stated> members;
  stats::Stated together;
  for (const auto& run : scored.runs)
    for (const auto& cases : run) {
      stats::append(members.emplace_back(), cases);
      stats::append(together, cases);
    }
  const auto all = stats::reliability(together, stats::Binning::equal_width);
  if (!all) {
    c.error.reason = "no samples of known truth";
    return;
  }
  c.bins = all->bins;
  c.error.value = 0;
  for (auto* sum :
       {&c.equal_mass_error, &c.reliability, &c.resolution, &c.uncertainty, &c.within_bins})
    *sum = 0;
  for (const auto& member : members) {
    const auto share = 1 / static_cast<double>(members.size());
    const auto r = *stats::reliability(member, stats::Binning::equal_width);
    *c.error.value += share * r.calibration_error;
    *c.reliability += share * r.reliability;
    *c.resolution += share * r.resolution;
    *c.uncertainty += share * r.uncertainty;
    *c.within_bins += share * r.within_bins;
    *c.equal_mass_error +=
        share * stats::reliability(member, stats::Binning::equal_mass)->calibration_error;
  }
  const auto& first = scored.runs.front().front();
  set_interval(c, members, stats::count(first.truth, first.subject, first.subjects).known_subjects);
}

stats::Estimate net_benefit(const Scored& scored, double probability) {
  stats::Arm arm;
  std::int64_t subjects = 0;
  for (const auto& run : scored.runs) {
    const auto share = 1 / static_cast<double>(run.size());
    arm.values.push_back(0);
    arm.influences.emplace_back(static_cast<std::size_t>(run.front().subjects));
    for (const auto& cases : run) {
      const auto one = stats::linearize_net_benefit(cases, probability);
      arm.values.back() += share * *one.value;
      for (std::size_t p = 0; p < one.influence.size(); ++p)
        arm.influences.back()[p] += share * one.influence[p];
      subjects = one.subjects;
    }
  }
  return stats::estimate({arm}, subjects, stats::Scale::unbounded);
}

void set_points(DecisionCurve& curve, const Scored& scored) {
  const auto& first = scored.runs.front().front();
  const auto n = stats::count(first.truth, first.subject, first.subjects);
  if (n.known_subjects == 0) {
    curve.reason = "no samples of known truth";
    return;
  }
  const double prevalence =
      static_cast<double>(n.positives) / static_cast<double>(n.positives + n.negatives);
  for (const double p : decision_probabilities)
    curve.points.push_back(
        {p, net_benefit(scored, p), prevalence - (1 - prevalence) * p / (1 - p)});
}

/// Mean over labels of the entropy, in nats, of the probability that a score states; none where the
/// network was not evaluated so.
std::vector<float> doubt(const Study& study, const std::string& arm, std::int64_t run,
                         const Condition& condition) {
  std::vector<double> sums;
  for (std::size_t l = 0; l < study.labels().size(); ++l) {
    const auto cases = study.cases(arm, run, condition, l);
    if (!cases) return {};
    sums.resize(cases->scores.size());
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const double a = std::abs(static_cast<double>(cases->scores[i]));
      // softplus(-a) + a sigmoid(-a), which is 0 where a is infinite
      if (std::isfinite(a)) sums[i] += stats::softplus(-a) + a / (1 + std::exp(a));
    }
  }
  return {sums.begin(), sums.end()};
}

std::vector<float> values_of(const Study& study, const Detection& wanted, std::int64_t run,
                             const Condition& condition) {
  return wanted.sign == Sign::doubt ? doubt(study, wanted.arm, run, condition)
                                    : study.distances(wanted.arm, run, condition);
}

void detect(const Study& study, Detection& found) {
  const Condition worst{Kind::artifact, found.artifact, study.severities(found.artifact).back()};
  const auto& common = study.common();
  stats::Arm arm;
  std::int64_t subjects = 0;
  double flagged = 0;
  for (const auto run : study.runs(found.arm)) {
    stats::Cases cases;
    cases.subjects = static_cast<std::int32_t>(common.subjects.size());
    for (const bool corrupted : {false, true}) {
      const auto values = values_of(study, found, run, corrupted ? worst : Condition{});
      if (values.empty()) {
        found.auroc.reason = std::string(name(found.sign)) + " of run " + std::to_string(run) +
                             " of " + found.arm + " was not evaluated at " +
                             name(corrupted ? worst : Condition{});
        return;
      }
      cases.scores.insert(cases.scores.end(), values.begin(), values.end());
      cases.truth.insert(cases.truth.end(), values.size(), corrupted ? 1 : 0);
      cases.subject.insert(cases.subject.end(), common.sample_subject.begin(),
                           common.sample_subject.end());
    }
    const auto one = stats::linearize(Metric::auroc, cases);
    arm.values.push_back(*one.value);
    arm.influences.push_back(one.influence);
    subjects = one.subjects;
    const double threshold =
        *stats::choose_threshold(cases.scores, cases.truth,
                                 {stats::OperatingRule::Kind::sensitivity_at_least, detected_share})
             .value;
    const auto clean = cases.scores.begin() + static_cast<std::ptrdiff_t>(cases.scores.size() / 2);
    flagged += static_cast<double>(std::count_if(cases.scores.begin(), clean,
                                                 [&](float d) { return d >= threshold; })) /
               static_cast<double>(cases.scores.size() / 2);
  }
  found.auroc = stats::estimate({arm}, subjects, stats::Scale::logit);
  found.false_positive_rate = flagged / static_cast<double>(arm.values.size());
}

}  // namespace

const char* name(Sign sign) {
  return sign == Sign::doubt ? "doubt" : "distance";
}

std::vector<Images> scored_images(const Study& study) {
  std::vector<Images> all;
  if (study.has_clean()) all.push_back({"clean", {Condition{}}});
  Images worst{"highest severity", {}};
  for (const auto& artifact : study.artifacts())
    worst.conditions.push_back({Kind::artifact, artifact, study.severities(artifact).back()});
  if (!worst.conditions.empty()) all.push_back(worst);
  for (const auto& condition : study.conditions())
    if ((condition.kind == Kind::recipe && !parse_gain_control(condition)) ||
        condition.kind == Kind::as_given)
      all.push_back({name(condition), {condition}});
  return all;
}

std::vector<Exchange> exchanges(const Study& study, const std::string& baseline) {
  std::vector<Exchange> all;
  const auto single = [&](const std::string& arm) { return study.runs(arm).size() == 1; };
  for (const auto& arm : study.arms())
    for (const auto& images : scored_images(study)) {
      if (arm == baseline || !single(arm) || !single(baseline)) continue;
      all.push_back({arm, images.name, {}});
      auto& test = all.back().test;
      std::vector<stats::Cases> of_arm, of_baseline;
      for (std::size_t l = 0; l < study.labels().size() && test.reason.empty(); ++l) {
        const auto a = scored(study, arm, images, l), b = scored(study, baseline, images, l);
        test.reason = a.reason.empty() ? b.reason : a.reason;
        if (!test.reason.empty()) continue;
        of_arm.insert(of_arm.end(), a.runs[0].begin(), a.runs[0].end());
        of_baseline.insert(of_baseline.end(), b.runs[0].begin(), b.runs[0].end());
      }
      if (test.reason.empty())
        test = stats::exchange_ranks(of_arm, of_baseline, random_key(0, {"exchange of ranks"}),
                                     most_exchanges);
    }
  return all;
}

std::vector<BinnedCalibration> binned_calibrations(const Study& study) {
  return of_all_scored<BinnedCalibration>(study, [](auto& calibration, const Scored& scored) {
    calibration.error.reason = scored.reason;
    if (scored.reason.empty()) set_values(calibration, scored);
  });
}

std::vector<DecisionCurve> decision_curves(const Study& study) {
  return of_all_scored<DecisionCurve>(study, [](auto& curve, const Scored& scored) {
    curve.reason = scored.reason;
    if (scored.reason.empty()) set_points(curve, scored);
  });
}

std::vector<Detection> detections(const Study& study) {
  std::vector<Detection> all;
  if (!study.has_clean()) return all;
  for (const auto& arm : study.arms()) {
    const auto runs = study.runs(arm);
    const bool measured = std::any_of(runs.begin(), runs.end(), [&](std::int64_t run) {
      return !study.distances(arm, run, Condition{}).empty();
    });
    for (const auto& artifact : study.artifacts())
      for (const auto sign : {Sign::doubt, Sign::distance})
        if (sign == Sign::doubt || measured) all.push_back({arm, artifact, sign, {}, {}});
  }
  parallel_for(available_threads(), static_cast<std::int64_t>(all.size()),
               [&](std::int64_t i) { detect(study, all[static_cast<std::size_t>(i)]); });
  return all;
}

}  // namespace mr::results
