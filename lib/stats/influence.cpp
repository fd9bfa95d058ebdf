#include "stats/influence.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <utility>

#include "base/error.h"
#include "stats/calibration.h"
#include "stats/ranking.h"
#include "stats/selective.h"

namespace mr::stats {
namespace {

using Influence = std::vector<double>;

/// Makes the sum of squares of a class's influences unbiased, as ddof 1 does; 0 where one subject
/// alone says nothing of the spread.
double small_sample_factor(std::int64_t subjects) {
  if (subjects < 2) return 0;
  return std::sqrt(static_cast<double>(subjects) / static_cast<double>(subjects - 1));
}

Influence zeros(const Cases& cases) {
  return Influence(static_cast<std::size_t>(cases.subjects));
}

double& of_subject(Influence& influence, const Cases& cases, std::size_t sample) {
  return influence[static_cast<std::size_t>(cases.subject[sample])];
}

Linearized undefined(const Cases& cases, std::string reason) {
  return {{}, zeros(cases), 0, std::move(reason)};
}

std::string missing_class(const Counts& counts) {
  if (counts.positives == 0) return "no positive samples";
  return counts.negatives == 0 ? "no negative samples" : "";
}

Linearized linearize_auroc(const Cases& cases, const Counts& counts, const Ranking& ranking) {
  const auto area = auroc(ranking);
  if (!area.value) return undefined(cases, area.reason);
  const auto m = static_cast<double>(counts.positives);
  const auto n = static_cast<double>(counts.negatives);
  const double of_positive = small_sample_factor(counts.positive_subjects) / m;
  const double of_negative = small_sample_factor(counts.negative_subjects) / n;
  auto influence = zeros(cases);
  double positives_above = 0, negatives_above = 0;
  for (const auto& group : ranking.groups) {
    const auto positives = static_cast<double>(group.positives);
    const auto negatives = static_cast<double>(group.negatives);
    const double v10 = 1 - (negatives_above + 0.5 * negatives) / n;  // placement of a positive
    const double v01 = (positives_above + 0.5 * positives) / m;      // of a negative
    for (std::size_t i = group.begin; i < group.end; ++i) {
      const auto sample = ranking.order[i];
      of_subject(influence, cases, sample) += cases.truth[sample]
                                                  ? of_positive * (v10 - *area.value)
                                                  : of_negative * (v01 - *area.value);
    }
    positives_above += positives;
    negatives_above += negatives;
  }
  return {area.value, std::move(influence),
          std::min(counts.positive_subjects, counts.negative_subjects), ""};
}

/// With weights w, AP = sum_i w_i TP_i / (TP_i + FP_i) / sum_i w_i over positives i, where TP_i and
/// FP_i are the weights at or above score i. A sample at or above i changes i's precision: a
/// positive by FP_i / (TP_i + FP_i)^2, a negative by -TP_i / (TP_i + FP_i)^2.
Linearized linearize_average_precision(const Cases& cases, const Counts& counts,
                                       const Ranking& ranking) {
  const auto ap = average_precision(ranking);
  if (!ap.value) return undefined(cases, ap.reason);
  const auto scale =
      small_sample_factor(counts.known_subjects) / static_cast<double>(counts.positives);
  auto true_positives = static_cast<double>(counts.positives);
  double by_positive = 0,
         by_negative = 0;  // the changes above, summed over i at or below the group
  auto influence = zeros(cases);
  for (auto group = ranking.groups.rbegin(); group != ranking.groups.rend(); ++group) {
    const auto called = static_cast<double>(group->end);
    const auto positives = static_cast<double>(group->positives);
    by_positive += positives * (called - true_positives) / (called * called);
    by_negative -= positives * true_positives / (called * called);
    const double precision = true_positives / called;
    for (std::size_t i = group->begin; i < group->end; ++i) {
      const auto sample = ranking.order[i];
      of_subject(influence, cases, sample) +=
          scale * (cases.truth[sample] ? precision - *ap.value + by_positive : by_negative);
    }
    true_positives -= positives;
  }
  return {ap.value, std::move(influence),
          std::min(counts.positive_subjects, counts.negative_subjects), ""};
}

/// The curve up to highest_false_positive_rate, in pairs: x counts negatives, y positives.
struct PartialArea {
  double area = 0;
  double limit = 0;   // x where it ends
  double height = 0;  // y there; of a vertical piece its middle
};

PartialArea partial_area(const Ranking& ranking) {
  PartialArea part;
  part.limit = highest_false_positive_rate * static_cast<double>(ranking.negatives);
  double x = 0, y = 0;
  std::optional<double> lowest;  // y where x first is at the limit
  for (const auto& group : ranking.groups) {
    const auto positives = static_cast<double>(group.positives);
    const auto negatives = static_cast<double>(group.negatives);
    if (x + negatives > part.limit) {
      if (lowest) break;
      const double piece = (part.limit - x) / negatives;
      part.area += (part.limit - x) * (y + 0.5 * piece * positives);
      part.height = y + piece * positives;
      return part;
    }
    part.area += negatives * (y + 0.5 * positives);
    x += negatives;
    y += positives;
    if (x == part.limit && !lowest) lowest = y;
  }
  part.height = 0.5 * (lowest.value_or(y) + y);
  return part;
}

/// How much of [begin, end) lies below `limit`, where a step from 0 to 1 climbs evenly over
/// [begin, end): the area under it up to the limit.
double under_step(double begin, double end, double limit) {
  if (begin >= limit) return 0;
  if (end <= limit) return limit - 0.5 * (begin + end);
  return 0.5 * (limit - begin) * (limit - begin) / (end - begin);
}

/// With weights, a positive lifts the curve behind it, and a negative moves it to the right: what
/// is lost then is measured along y. Where the curve is vertical at the limit, the derivatives to
/// both sides differ, and their mean is taken.
Linearized linearize_partial_auroc(const Cases& cases, const Counts& counts,
                                   const Ranking& ranking) {
  if (auto reason = missing_class(counts); !reason.empty())
    return undefined(cases, std::move(reason));
  const auto m = static_cast<double>(counts.positives);
  const auto n = static_cast<double>(counts.negatives);
  const auto part = partial_area(ranking);
  const double rate = highest_false_positive_rate, chance = 0.5 * rate * rate;
  const double area = part.area / (m * n);
  const double standardised = 0.5 / (rate - chance);
  const double of_positive = standardised * small_sample_factor(counts.positive_subjects) / m;
  const double of_negative = standardised * small_sample_factor(counts.negative_subjects) / n;
  const double beside = rate * part.height / m - area;  // between the curve and the y axis
  auto influence = zeros(cases);
  double x = 0, y = 0;
  for (const auto& group : ranking.groups) {
    const auto positives = static_cast<double>(group.positives);
    const auto negatives = static_cast<double>(group.negatives);
    const double lifted = under_step(x, x + negatives, part.limit) / n - area;
    const double moved = beside - under_step(y, y + positives, part.height) / m;
    for (std::size_t i = group.begin; i < group.end; ++i) {
      const auto sample = ranking.order[i];
      of_subject(influence, cases, sample) +=
          cases.truth[sample] ? of_positive * lifted : of_negative * moved;
    }
    x += negatives;
    y += positives;
  }
  return {0.5 + standardised * (area - chance), std::move(influence),
          std::min(counts.positive_subjects, counts.negative_subjects), ""};
}

/// What the decisions at a threshold are made of; all in one pass over the samples.
struct Decisions {
  Linearized sensitivity, specificity, alarm_rate, prevalence;
};

Decisions decide(const Cases& cases, const Counts& counts, double threshold) {
  const auto called = [&](std::size_t i) { return cases.scores[i] >= threshold; };
  double true_positives = 0, false_positives = 0;
  for (std::size_t i = 0; i < cases.truth.size(); ++i)
    if (cases.truth[i] >= 0 && called(i)) ++(cases.truth[i] ? true_positives : false_positives);
  const auto m = static_cast<double>(counts.positives);
  const auto n = static_cast<double>(counts.negatives);
  const auto share = [&](double part, double samples, std::int64_t subjects, const char* none) {
    if (samples == 0) return undefined(cases, none);
    return Linearized{part / samples, zeros(cases), subjects, ""};
  };
  const char* unknown = "no samples of known truth";
  Decisions d{share(true_positives, m, counts.positive_subjects, "no positive samples"),
              share(n - false_positives, n, counts.negative_subjects, "no negative samples"),
              share(true_positives + false_positives, m + n, counts.known_subjects, unknown),
              share(m, m + n, counts.known_subjects, unknown)};
  const double of_positive = small_sample_factor(counts.positive_subjects) / m;
  const double of_negative = small_sample_factor(counts.negative_subjects) / n;
  const double of_any = small_sample_factor(counts.known_subjects) / (m + n);
  for (std::size_t i = 0; i < cases.truth.size(); ++i) {
    if (cases.truth[i] < 0) continue;
    const double call = called(i) ? 1 : 0;
    if (cases.truth[i])
      of_subject(d.sensitivity.influence, cases, i) += of_positive * (call - *d.sensitivity.value);
    else
      of_subject(d.specificity.influence, cases, i) +=
          of_negative * (1 - call - *d.specificity.value);
    of_subject(d.alarm_rate.influence, cases, i) += of_any * (call - *d.alarm_rate.value);
    of_subject(d.prevalence.influence, cases, i) += of_any * (cases.truth[i] - *d.prevalence.value);
  }
  return d;
}

/// value, with the influences of a function of others: sum of derivative x influence.
Linearized combined(const Cases& cases, double value,
                    std::initializer_list<std::pair<const Linearized*, double>> parts) {
  Linearized sum{value, zeros(cases), std::numeric_limits<std::int64_t>::max(), ""};
  for (const auto& [part, derivative] : parts) {
    sum.subjects = std::min(sum.subjects, part->subjects);
    for (std::size_t p = 0; p < sum.influence.size(); ++p)
      sum.influence[p] += derivative * part->influence[p];
  }
  return sum;
}

Linearized balanced_accuracy(const Cases& cases, const Decisions& d) {
  if (!d.sensitivity.value) return d.sensitivity;
  if (!d.specificity.value) return d.specificity;
  return combined(cases, 0.5 * (*d.sensitivity.value + *d.specificity.value),
                  {{&d.sensitivity, 0.5}, {&d.specificity, 0.5}});
}

/// Bayes: of those called positive (negative) the share that is. Prevalence: stated, and then
/// without a spread, or that of the samples.
Linearized predictive_value(Metric metric, const Cases& cases, const Decisions& d,
                            std::optional<double> stated) {
  if (!d.sensitivity.value) return d.sensitivity;
  if (!d.specificity.value) return d.specificity;
  const bool positive = metric == Metric::positive_predictive_value;
  const double prevalence = stated.value_or(*d.prevalence.value);
  const double sensitivity = *d.sensitivity.value, specificity = *d.specificity.value;
  const double right_rate = positive ? sensitivity : specificity;
  const double wrong_rate = positive ? 1 - specificity : 1 - sensitivity;
  const double of_class = positive ? prevalence : 1 - prevalence;
  const double right = right_rate * of_class, wrong = wrong_rate * (1 - of_class);
  const double called = right + wrong;
  if (!(called > 0))
    return undefined(cases,
                     positive ? "no sample is called positive" : "no sample is called negative");
  const double squared = called * called;
  const double by_right = of_class * wrong / squared;
  const double by_wrong = (1 - of_class) * right / squared;  // of 1 - wrong_rate
  const double by_class = right_rate * wrong_rate / squared;
  auto value = combined(cases, right / called,
                        {{positive ? &d.sensitivity : &d.specificity, by_right},
                         {positive ? &d.specificity : &d.sensitivity, by_wrong},
                         {&d.prevalence, stated     ? 0
                                         : positive ? by_class
                                                    : -by_class}});
  return value;
}

Linearized by_subject(const Cases& cases, const SampleWise& metric, std::int64_t known_subjects,
                      std::int64_t independent_subjects) {
  if (!metric.value) return undefined(cases, metric.reason);
  auto influence = zeros(cases);
  const double scale = small_sample_factor(known_subjects);
  for (std::size_t i = 0; i < metric.influence.size(); ++i)
    of_subject(influence, cases, i) += scale * metric.influence[i];
  return {metric.value, std::move(influence), independent_subjects, ""};
}

/// Metrics of one set of cases, asked for one by one; what several share is computed once.
class Linearizer {
 public:
  Linearizer(const Cases& cases, const OperatingPoint& at)
      : cases_(cases),
        at_(at),
        counts_(count(cases.truth, cases.subject, cases.subjects)),
        ranking_(rank(cases.scores, cases.truth)) {}

  Linearized operator()(Metric metric) {
    auto result = linearized(metric);
    if (result.subjects < 2) std::fill(result.influence.begin(), result.influence.end(), 0.0);
    return result;
  }

 private:
  Linearized linearized(Metric metric) {
    if (needs_threshold(metric) && !at_.threshold) return undefined(cases_, "no operating point");
    const auto both = std::min(counts_.positive_subjects, counts_.negative_subjects);
    const auto any = counts_.known_subjects;
    switch (metric) {
      case Metric::auroc:
        return linearize_auroc(cases_, counts_, ranking_);
      case Metric::partial_auroc:
        return linearize_partial_auroc(cases_, counts_, ranking_);
      case Metric::average_precision:
        return linearize_average_precision(cases_, counts_, ranking_);
      case Metric::sensitivity:
        return decisions().sensitivity;
      case Metric::specificity:
        return decisions().specificity;
      case Metric::balanced_accuracy:
        return balanced_accuracy(cases_, decisions());
      case Metric::alarm_rate:
        return decisions().alarm_rate;
      case Metric::positive_predictive_value:
      case Metric::negative_predictive_value:
        return predictive_value(metric, cases_, decisions(), at_.prevalence);
      case Metric::aurc:
        return by_subject(cases_, deferral().aurc, any, any);
      case Metric::augrc:
        return by_subject(cases_, deferral().augrc, any, any);
      case Metric::brier:
        return by_subject(cases_, brier(cases_.scores, cases_.truth), any, any);
      case Metric::log_loss:
        return by_subject(cases_, log_loss(cases_.scores, cases_.truth), any, any);
      case Metric::calibration_in_the_large:
        return by_subject(cases_, calibration_in_the_large(cases_.scores, cases_.truth), any, both);
      case Metric::calibration_slope:
        return by_subject(cases_, calibration_slope(cases_.scores, cases_.truth), any, both);
    }
    throw DataError("metric: unknown");
  }
  const Decisions& decisions() {
    if (!decisions_) decisions_ = decide(cases_, counts_, *at_.threshold);
    return *decisions_;
  }
  const RiskCoverage& deferral() {
    if (!deferral_) deferral_ = risk_coverage(ranking_, cases_.truth, *at_.threshold);
    return *deferral_;
  }

  const Cases& cases_;
  OperatingPoint at_;
  Counts counts_;
  Ranking ranking_;
  std::optional<Decisions> decisions_;
  std::optional<RiskCoverage> deferral_;
};

}  // namespace

Counts count(const std::vector<std::int8_t>& truth, const std::vector<std::int32_t>& subject,
             std::int32_t subjects) {
  if (truth.size() != subject.size())
    throw DataError("subjects: want one per truth value, got " + std::to_string(subject.size()) +
                    " for " + std::to_string(truth.size()));
  Counts counts;
  std::vector<bool> positive(static_cast<std::size_t>(subjects)), negative(positive);
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (subject[i] < 0 || subject[i] >= subjects)
      throw DataError("subjects: want an index below " + std::to_string(subjects) + ", got " +
                      std::to_string(subject[i]) + " at sample " + std::to_string(i));
    if (truth[i] < 0) continue;
    ++(truth[i] ? counts.positives : counts.negatives);
    (truth[i] ? positive : negative)[static_cast<std::size_t>(subject[i])] = true;
  }
  for (std::size_t p = 0; p < positive.size(); ++p) {
    counts.positive_subjects += positive[p];
    counts.negative_subjects += negative[p];
    counts.known_subjects += positive[p] || negative[p];
  }
  return counts;
}

const char* name(Metric metric) {
  switch (metric) {
    case Metric::auroc:
      return "auroc";
    case Metric::partial_auroc:
      return "partial_auroc";
    case Metric::average_precision:
      return "average_precision";
    case Metric::sensitivity:
      return "sensitivity";
    case Metric::specificity:
      return "specificity";
    case Metric::balanced_accuracy:
      return "balanced_accuracy";
    case Metric::alarm_rate:
      return "alarm_rate";
    case Metric::positive_predictive_value:
      return "ppv";
    case Metric::negative_predictive_value:
      return "npv";
    case Metric::aurc:
      return "aurc";
    case Metric::augrc:
      return "augrc";
    case Metric::brier:
      return "brier";
    case Metric::log_loss:
      return "log_loss";
    case Metric::calibration_in_the_large:
      return "calibration_in_the_large";
    case Metric::calibration_slope:
      return "calibration_slope";
  }
  throw DataError("metric: unknown");
}

bool needs_threshold(Metric metric) {
  return metric >= Metric::sensitivity && metric <= Metric::augrc;
}

bool is_share(Metric metric) {
  return metric != Metric::log_loss && metric != Metric::calibration_in_the_large &&
         metric != Metric::calibration_slope;
}

std::vector<Linearized> linearize(const Cases& cases, const OperatingPoint& at) {
  Linearizer linearizer(cases, at);
  std::vector<Linearized> all;
  for (const auto metric : all_metrics) all.push_back(linearizer(metric));
  return all;
}

Linearized linearize(Metric metric, const Cases& cases, const OperatingPoint& at) {
  return Linearizer(cases, at)(metric);
}

Linearized linearize_net_benefit(const Cases& cases, double probability) {
  const auto counts = count(cases.truth, cases.subject, cases.subjects);
  if (counts.known_subjects == 0) return undefined(cases, "no samples of known truth");
  const double odds = probability / (1 - probability), threshold = std::log(odds);
  const auto n = static_cast<double>(counts.positives + counts.negatives);
  const std::array<double, 2> of_call{-odds, 1};  // no branch: scores cross at random
  const auto benefit = [&](std::size_t i) {
    return (cases.scores[i] >= threshold ? 1 : 0) *
           of_call[static_cast<std::size_t>(cases.truth[i])];
  };
  double mean = 0;
  for (std::size_t i = 0; i < cases.truth.size(); ++i)
    if (cases.truth[i] >= 0) mean += benefit(i) / n;
  const double scale = small_sample_factor(counts.known_subjects) / n;
  auto influence = zeros(cases);
  for (std::size_t i = 0; i < cases.truth.size(); ++i)
    if (cases.truth[i] >= 0) of_subject(influence, cases, i) += scale * (benefit(i) - mean);
  return {mean, std::move(influence), counts.known_subjects, ""};
}

}  // namespace mr::stats
