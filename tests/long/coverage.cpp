// How often intervals hold the truth and tests reject it, in simulated studies. Prints a line of
// JSON for each question: what, how often of how many studies, and the size of the study. Data are
// clustered: subjects have effects of their own, some are ill, and some slices of the ill are
// positive; runs of an arm differ in how well they were trained, and in what they make of a
// subject.
#include <algorithm>
#include <cmath>
#include <iostream>

#include "base/json.h"
#include "base/threads.h"
#include "stats/blocks.h"
#include "stats/contrast.h"
#include "stats/decision.h"
#include "stats/distribution.h"
#include "stats/permutation.h"
#include "stats/resampled.h"

using namespace mr::stats;

namespace {

constexpr std::int64_t studies = 2000;
constexpr double ill_share = 0.3;  // of the subjects
constexpr int slices = 6;          // of a subject; of an ill one, half of them are positive
constexpr double threshold = 0.5;

/// Numbers of one purpose, one after the other.
class Draws {
 public:
  explicit Draws(mr::RandomKey key) : key_(key) {}
  double normal() { return mr::normal(key_, next_++); }
  double uniform() { return mr::uniform(key_, next_++); }

 private:
  mr::RandomKey key_;
  std::uint64_t next_ = 0;
};

/// The subjects of a study and what is true of their slices.
struct Cohort {
  std::vector<double> subject_effect;
  Cases slices;  // scores 0
};

Cohort draw_cohort(Draws& draws, std::int32_t subjects) {
  Cohort cohort;
  cohort.slices.subjects = subjects;
  for (std::int32_t p = 0; p < subjects; ++p) {
    cohort.subject_effect.push_back(draws.normal());
    const bool ill = draws.uniform() < ill_share;
    for (int s = 0; s < slices; ++s) {
      cohort.slices.truth.push_back(ill && draws.uniform() < 0.5);
      cohort.slices.subject.push_back(p);
      cohort.slices.scores.push_back(0);
    }
  }
  return cohort;
}

/// Scores of one network: how far it moves positives, and what it makes of each subject by itself.
Cases scored(const Cohort& cohort, Draws& draws, double separation, double own_effect) {
  auto cases = cohort.slices;
  std::vector<double> effect = cohort.subject_effect;
  for (double& e : effect) e = 0.8 * e + own_effect * draws.normal();
  for (std::size_t i = 0; i < cases.scores.size(); ++i)
    cases.scores[i] = static_cast<float>(effect[static_cast<std::size_t>(cases.subject[i])] +
                                         draws.normal() - 1 + separation * cases.truth[i]);
  return cases;
}

/// One sample, one subject: what clustered slices are not.
Cases as_independent(Cases cases) {
  for (std::size_t i = 0; i < cases.subject.size(); ++i)
    cases.subject[i] = static_cast<std::int32_t>(i);
  cases.subjects = static_cast<std::int32_t>(cases.subject.size());
  return cases;
}

/// Of the studies, in how many it happened; a study that has no answer is left out and counted.
void report(const char* what, const std::string& of, int positive_subjects, int runs,
            const std::vector<int>& happened) {
  std::int64_t yes = 0, undefined = 0;
  for (const int h : happened) {
    yes += h == 1;
    undefined += h < 0;
  }
  const auto defined = static_cast<std::int64_t>(happened.size()) - undefined;
  std::cout << mr::Json{{"what", what},
                        {"of", of},
                        {"positive_subjects", positive_subjects},
                        {"runs", runs},
                        {"studies", defined},
                        {"undefined", undefined},
                        {"rate", static_cast<double>(yes) / static_cast<double>(defined)}}
            << std::endl;
}

std::int32_t subjects_for(int positive_subjects) {
  return static_cast<std::int32_t>(std::lround(positive_subjects / ill_share));
}

Scale scale(Metric metric) {
  return is_share(metric) ? Scale::logit : Scale::unbounded;
}

Estimate of_one(const Linearized& u, Scale scale) {
  if (!u.value) return {};
  return estimate({{{*u.value}, {u.influence}}}, u.subjects, scale);
}

int holds(const Estimate& e, double truth) {
  return e.low ? (*e.low <= truth && truth <= *e.high) : -1;
}

/// Every metric of one network, and the AUROC with slices taken for independent and by resampling.
void levels(int positive_subjects) {
  const OperatingPoint at{threshold};
  const double separation = 1.8, own_effect = 0.3;
  Draws many(mr::random_key(1, {"population"}));
  const auto population = scored(draw_cohort(many, 200000), many, separation, own_effect);
  const auto truth = linearize(population, at);
  const auto metrics = std::size(all_metrics);
  std::vector<std::vector<int>> held(metrics + 2, std::vector<int>(studies));
  mr::parallel_for(mr::available_threads(), studies, [&](std::int64_t i) {
    const auto study = static_cast<std::size_t>(i);
    Draws draws(mr::sub_key(mr::random_key(2, {"levels", std::to_string(positive_subjects)}),
                            static_cast<std::uint64_t>(i)));
    const auto cases =
        scored(draw_cohort(draws, subjects_for(positive_subjects)), draws, separation, own_effect);
    const auto all = linearize(cases, at);
    for (std::size_t m = 0; m < metrics; ++m)
      held[m][study] = holds(of_one(all[m], scale(all_metrics[m])), *truth[m].value);
    const double area = *truth[static_cast<std::size_t>(Metric::auroc)].value;
    held[metrics][study] =
        holds(of_one(linearize(Metric::auroc, as_independent(cases)), Scale::logit), area);
    const ResampledAuroc resampled(cases);
    std::vector<double> values;
    Times times(static_cast<std::size_t>(cases.subjects));
    for (std::uint64_t b = 0; b < 400; ++b) {
      draw_subjects(mr::random_key(3, {std::to_string(i)}), b, times);
      if (const auto value = resampled(times)) values.push_back(*value);
    }
    std::sort(values.begin(), values.end());
    held[metrics + 1][study] =
        values.empty() ? -1 : quantile(values, .025) <= area && area <= quantile(values, .975);
  });
  for (std::size_t m = 0; m < metrics; ++m)
    report("coverage", name(all_metrics[m]), positive_subjects, 1, held[m]);
  report("coverage", "auroc, slices taken for independent", positive_subjects, 1, held[metrics]);
  report("coverage", "auroc, percentiles of resampled subjects", positive_subjects, 1,
         held[metrics + 1]);
}

/// Decisions of one network at a threshold that a validation cohort of the same size gives it:
/// intervals that hold the spread of the threshold, and those that take it as given. The truth is
/// what the rule gives in the population.
void operating_points(int positive_subjects) {
  const OperatingRule rule{OperatingRule::Kind::sensitivity_at_least, 0.8};
  const double separation = 1.8, own_effect = 0.3;
  Draws many(mr::random_key(1, {"population"}));
  const auto population = scored(draw_cohort(many, 200000), many, separation, own_effect);
  const auto truth = linearize(
      population, {choose_threshold(population.scores, population.truth, rule).value, {}});
  constexpr std::size_t shown = 2;  // sensitivity, specificity
  std::vector<std::vector<int>> held(2 * shown, std::vector<int>(studies));
  mr::parallel_for(mr::available_threads(), studies, [&](std::int64_t i) {
    Draws draws(mr::sub_key(mr::random_key(7, {"decisions", std::to_string(positive_subjects)}),
                            static_cast<std::uint64_t>(i)));
    const auto subjects = subjects_for(positive_subjects);
    const auto validation = scored(draw_cohort(draws, subjects), draws, separation, own_effect);
    const auto test = scored(draw_cohort(draws, subjects), draws, separation, own_effect);
    const ResampledThreshold resampled(validation, rule);
    std::vector<double> thresholds;
    Times times(static_cast<std::size_t>(subjects));
    for (std::uint64_t b = 0; b < 400; ++b) {
      draw_subjects(mr::random_key(8, {std::to_string(i)}), b, times);
      thresholds.push_back(resampled(times).value_or(std::nan("")));
    }
    const auto at = decisions_at(test, thresholds);
    const OperatingPoint frozen{choose_threshold(validation.scores, validation.truth, rule).value,
                                {}};
    const auto n = count(validation.truth, validation.subject, validation.subjects);
    for (std::size_t m = 0; m < shown; ++m) {
      const auto u = linearize(decision_metrics[m], test, frozen);
      const auto true_value = *truth[static_cast<std::size_t>(decision_metrics[m])].value;
      Arm arm{{*u.value}, {u.influence}};
      const auto study = static_cast<std::size_t>(i);
      held[shown + m][study] = holds(estimate({arm}, u.subjects, Scale::logit), true_value);
      arm.resampled = {{at[m].begin(), at[m].end()}};
      held[m][study] = holds(estimate({arm}, u.subjects, Scale::logit,
                                      std::min(n.positive_subjects, n.negative_subjects)),
                             true_value);
    }
  });
  for (std::size_t m = 0; m < shown; ++m) {
    const std::string metric = name(decision_metrics[m]);
    report("coverage", metric + ", threshold chosen anew", positive_subjects, 1, held[m]);
    report("coverage", metric + ", threshold taken as given", positive_subjects, 1,
           held[shown + m]);
  }
}

/// Two arms of one quality, each trained several times: their difference is 0.
void differences(int positive_subjects, int runs) {
  std::vector<int> held(studies), by_subjects(studies), rejected(studies);
  mr::parallel_for(mr::available_threads(), studies, [&](std::int64_t i) {
    const auto study = static_cast<std::size_t>(i);
    Draws draws(mr::sub_key(
        mr::random_key(4, {"differences", std::to_string(positive_subjects), std::to_string(runs)}),
        static_cast<std::uint64_t>(i)));
    const auto cohort = draw_cohort(draws, subjects_for(positive_subjects));
    std::vector<Arm> arms(2);
    std::int64_t subjects = 0;
    for (std::size_t g = 0; g < 2; ++g)
      for (int run = 0; run < runs; ++run) {
        auto u = linearize(Metric::auroc, scored(cohort, draws, 1.8 + 0.25 * draws.normal(), 0.3));
        if (!u.value) return;  // a study without an ill subject: counted as one that rejects
        const double sign = g == 0 ? 1 : -1;
        for (double& value : u.influence) value *= sign;
        arms[g].values.push_back(sign * *u.value);
        arms[g].influences.push_back(std::move(u.influence));
        subjects = u.subjects;
      }
    const auto e = estimate(arms, subjects, Scale::plain);
    held[study] = holds(e, 0);
    rejected[study] = e.p ? *e.p < 0.05 : -1;
    const double half = 1.959963984540054 * std::sqrt(e.variance.subjects);
    by_subjects[study] = std::abs(*e.value) <= half;
  });
  report("coverage", "difference", positive_subjects, runs, held);
  report("coverage", "difference, runs taken for fixed", positive_subjects, runs, by_subjects);
  report("rejection", "difference, two-sided at .05", positive_subjects, runs, rejected);
}

/// Two networks whose AUROCs differ by just the margin: showing non-inferiority is an error.
void non_inferiority(int positive_subjects) {
  std::vector<int> rejected(studies);
  // Variances of a positive and a negative slice: (0.8^2 + 0.3^2 + 1) each.
  const double spread = std::sqrt(2 * (0.8 * 0.8 + 0.3 * 0.3 + 1));
  const double better = normal_cdf(1.8 / spread), margin = 0.05;
  const double worse = normal_quantile(better - margin) * spread;
  mr::parallel_for(mr::available_threads(), studies, [&](std::int64_t i) {
    Draws draws(mr::sub_key(mr::random_key(5, {"margin", std::to_string(positive_subjects)}),
                            static_cast<std::uint64_t>(i)));
    const auto cohort = draw_cohort(draws, subjects_for(positive_subjects));
    auto a = linearize(Metric::auroc, scored(cohort, draws, worse, 0.3));
    auto b = linearize(Metric::auroc, scored(cohort, draws, 1.8, 0.3));
    for (double& value : b.influence) value = -value;
    const auto e = estimate({{{*a.value}, {a.influence}}, {{-*b.value}, {b.influence}}}, a.subjects,
                            Scale::plain);
    const auto p = p_above(e, -margin);
    rejected[static_cast<std::size_t>(i)] = p ? *p < 0.05 : -1;
  });
  report("rejection", "non-inferiority at the margin, one-sided at .05", positive_subjects, 1,
         rejected);
}

/// Networks that may be exchanged, and arms that rank alike in every block.
void exact_tests(int positive_subjects) {
  std::vector<int> exchange(studies), signs(studies), ranks(studies);
  mr::parallel_for(mr::available_threads(), studies, [&](std::int64_t i) {
    const auto study = static_cast<std::size_t>(i);
    const auto key = mr::sub_key(mr::random_key(6, {"exact"}), static_cast<std::uint64_t>(i));
    Draws draws(key);
    const auto cohort = draw_cohort(draws, subjects_for(positive_subjects));
    const auto a = scored(cohort, draws, 1.8, 0.3), b = scored(cohort, draws, 1.8, 0.3);
    const auto test = exchange_ranks({a}, {b}, mr::sub_key(key, 1), 199);
    exchange[study] = test.p ? *test.p <= 0.05 : -1;
    std::vector<double> d;
    for (int block = 0; block < 9; ++block) d.push_back(draws.normal());
    signs[study] = *signed_rank(d).value <= 0.05;
    std::vector<std::vector<double>> blocks(12);
    for (auto& block : blocks)
      for (int arm = 0; arm < 4; ++arm) block.push_back(draws.normal());
    ranks[study] = *friedman(blocks).p_of_f < 0.05;
  });
  report("rejection", "exchange of ranks at .05", positive_subjects, 1, exchange);
  report("rejection", "signed ranks of 9 blocks at .05", 0, 1, signs);
  report("rejection", "Friedman's F of 12 blocks at .05", 0, 1, ranks);
}

}  // namespace

int main() {
  for (const int positive_subjects : {10, 20, 35, 60, 100}) levels(positive_subjects);
  for (const int positive_subjects : {10, 20, 35, 60, 100}) operating_points(positive_subjects);
  for (const int runs : {3, 5})
    for (const int positive_subjects : {10, 20, 35, 60}) differences(positive_subjects, runs);
  for (const int positive_subjects : {35, 60}) non_inferiority(positive_subjects);
  exact_tests(20);
}
