#include "stats/influence.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "stats/calibration.h"
#include "stats/ranking.h"

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

/// The share, among samples of `classes` truth values, of those that `right` holds for.
template <typename Among, typename Right>
Linearized linearize_share(const Cases& cases, std::int64_t samples, std::int64_t subjects,
                           Among among, Right right) {
  double share = 0;
  for (std::size_t i = 0; i < cases.truth.size(); ++i)
    if (among(i) && right(i)) share += 1;
  share /= static_cast<double>(samples);
  auto influence = zeros(cases);
  const double scale = small_sample_factor(subjects) / static_cast<double>(samples);
  for (std::size_t i = 0; i < cases.truth.size(); ++i)
    if (among(i)) of_subject(influence, cases, i) += scale * ((right(i) ? 1 : 0) - share);
  return {share, std::move(influence), subjects, ""};
}

Linearized linearize_at_threshold(Metric metric, const Cases& cases, const Counts& counts,
                                  double threshold) {
  const auto called = [&](std::size_t i) { return cases.scores[i] >= threshold; };
  if (metric == Metric::alarm_rate) {
    if (counts.known_subjects == 0) return undefined(cases, "no samples of known truth");
    return linearize_share(
        cases, counts.positives + counts.negatives, counts.known_subjects,
        [&](std::size_t i) { return cases.truth[i] >= 0; }, called);
  }
  const bool wants_positives = metric != Metric::specificity;
  const bool wants_negatives = metric != Metric::sensitivity;
  if (wants_positives && counts.positives == 0) return undefined(cases, "no positive samples");
  if (wants_negatives && counts.negatives == 0) return undefined(cases, "no negative samples");
  const auto sensitivity = [&] {
    return linearize_share(
        cases, counts.positives, counts.positive_subjects,
        [&](std::size_t i) { return cases.truth[i] == 1; }, called);
  };
  const auto specificity = [&] {
    return linearize_share(
        cases, counts.negatives, counts.negative_subjects,
        [&](std::size_t i) { return cases.truth[i] == 0; },
        [&](std::size_t i) { return !called(i); });
  };
  if (metric == Metric::sensitivity) return sensitivity();
  if (metric == Metric::specificity) return specificity();
  auto both = sensitivity();
  const auto other = specificity();
  both.value = 0.5 * (*both.value + *other.value);
  both.subjects = std::min(both.subjects, other.subjects);
  for (std::size_t p = 0; p < both.influence.size(); ++p)
    both.influence[p] = 0.5 * (both.influence[p] + other.influence[p]);
  return both;
}

Linearized linearize_calibration(Metric metric, const Cases& cases, const Counts& counts) {
  const auto of = metric == Metric::brier                      ? brier
                  : metric == Metric::log_loss                 ? log_loss
                  : metric == Metric::calibration_in_the_large ? calibration_in_the_large
                                                               : calibration_slope;
  auto by_sample = of(cases.scores, cases.truth);
  if (!by_sample.value) return undefined(cases, by_sample.reason);
  auto influence = zeros(cases);
  const double scale = small_sample_factor(counts.known_subjects);
  for (std::size_t i = 0; i < by_sample.influence.size(); ++i)
    of_subject(influence, cases, i) += scale * by_sample.influence[i];
  const bool mean = metric == Metric::brier || metric == Metric::log_loss;
  return {
      by_sample.value, std::move(influence),
      mean ? counts.known_subjects : std::min(counts.positive_subjects, counts.negative_subjects),
      ""};
}

Linearized linearize_one(Metric metric, const Cases& cases, const Counts& counts,
                         const Ranking& ranking, std::optional<double> threshold) {
  const auto of_metric = [&] {
    if (metric == Metric::auroc) return linearize_auroc(cases, counts, ranking);
    if (metric == Metric::average_precision)
      return linearize_average_precision(cases, counts, ranking);
    if (!needs_threshold(metric)) return linearize_calibration(metric, cases, counts);
    if (!threshold) return undefined(cases, "no operating point");
    return linearize_at_threshold(metric, cases, counts, *threshold);
  };
  auto result = of_metric();
  if (result.subjects < 2) std::fill(result.influence.begin(), result.influence.end(), 0.0);
  return result;
}

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
  return metric == Metric::sensitivity || metric == Metric::specificity ||
         metric == Metric::balanced_accuracy || metric == Metric::alarm_rate;
}

bool is_share(Metric metric) {
  return metric != Metric::log_loss && metric != Metric::calibration_in_the_large &&
         metric != Metric::calibration_slope;
}

std::vector<Linearized> linearize(const Cases& cases, std::optional<double> threshold) {
  const auto counts = count(cases.truth, cases.subject, cases.subjects);
  const auto ranking = rank(cases.scores, cases.truth);
  std::vector<Linearized> all;
  for (const auto metric : all_metrics)
    all.push_back(linearize_one(metric, cases, counts, ranking, threshold));
  return all;
}

Linearized linearize(Metric metric, const Cases& cases, std::optional<double> threshold) {
  return linearize_one(metric, cases, count(cases.truth, cases.subject, cases.subjects),
                       rank(cases.scores, cases.truth), threshold);
}

}  // namespace mr::stats
