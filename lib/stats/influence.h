// stats/: every metric with its influence on it of each subject. Influences add: any contrast of
// metrics has the same combination of influence vectors, and the sum of its squares is the
// contrast's variance over subjects.
#pragma once
#include "stats/roc.h"

namespace mr::stats {

/// One label of one model under one condition. The three vectors are N long.
struct Cases {
  std::vector<float> scores;          // logits
  std::vector<std::int8_t> truth;     // 1, 0, or -1 unknown: left out
  std::vector<std::int32_t> subject;  // index, 0 .. subjects - 1
  std::int32_t subjects = 0;          // P
};

struct Counts {
  std::int64_t positives = 0, negatives = 0;                  // samples
  std::int64_t positive_subjects = 0, negative_subjects = 0;  // subjects that have such: I10, I01
  std::int64_t known_subjects = 0;                            // subjects with either
};
Counts count(const std::vector<std::int8_t>& truth, const std::vector<std::int32_t>& subject,
             std::int32_t subjects);

enum class Metric {
  auroc,
  partial_auroc,  // up to highest_false_positive_rate, standardised
  average_precision,
  sensitivity,  // from here to augrc: of decisions at a threshold
  specificity,
  balanced_accuracy,
  alarm_rate,  // share of the samples of known truth that are called positive
  positive_predictive_value,
  negative_predictive_value,
  aurc,  // of selective.h, as the next
  augrc,
  brier,  // of calibration.h, as those after it
  log_loss,
  calibration_in_the_large,
  calibration_slope,
};
inline constexpr Metric all_metrics[] = {Metric::auroc,
                                         Metric::partial_auroc,
                                         Metric::average_precision,
                                         Metric::sensitivity,
                                         Metric::specificity,
                                         Metric::balanced_accuracy,
                                         Metric::alarm_rate,
                                         Metric::positive_predictive_value,
                                         Metric::negative_predictive_value,
                                         Metric::aurc,
                                         Metric::augrc,
                                         Metric::brier,
                                         Metric::log_loss,
                                         Metric::calibration_in_the_large,
                                         Metric::calibration_slope};
inline constexpr double highest_false_positive_rate = 0.2;  // of the partial AUROC

const char* name(Metric metric);  // "auroc", "average_precision", ...
bool needs_threshold(Metric metric);
bool is_share(Metric metric);  // between 0 and 1, so that its interval is made on the logit scale

/// A metric and U_p, the influence of subject p.
struct Linearized {
  std::optional<double> value;
  std::vector<double> influence;  // [P]; zeros where there is no value, or fewer than 2 subjects
  std::int64_t subjects = 0;  // independent subjects behind it: the smaller of I10 and I01 where
                              // both classes count; degrees of freedom are one fewer
  std::string reason;         // why there is no value
};

/// Where decisions are taken, and where they are put to use.
struct OperatingPoint {
  std::optional<double> threshold = {};   // frozen; positive is score >= threshold. None: the
                                          // metrics that need one have no value
  std::optional<double> prevalence = {};  // for the predictive values; none: that of the samples
};

/// All metrics with their influences, in the order of all_metrics.
/// AUROC: U_p = sqrt(I10/(I10-1)) X_p/m + sqrt(I01/(I01-1)) Y_p/n with X_p, Y_p the subject's sums
/// of centred placements; with one sample per subject sum U_p^2 is DeLong's variance. Sensitivity
/// and specificity: likewise, of their class; balanced accuracy: half their sum; predictive values:
/// by Bayes from both and the prevalence (Altman and Bland 1994), and by its derivatives. Partial
/// AUROC: area over false positive rates 0 to 0.2 by trapezoids, interpolated at its end, as 1/2 at
/// chance and 1 at best (McClish 1989); derivatives by a sample's weight, with the AUROC's factors.
/// Average precision, alarm rate, prevalence, deferral and calibration: sums of that derivative
/// (infinitesimal jackknife) times sqrt(I/(I-1)), I the subjects with known truth.
/// throws     DataError as auroc, or when a subject's index is out of range
/// source     DeLong et al. 1988; Obuchowski 1997 (clusters); Sun and Xu 2014 (n log n); Jaeckel
/// 1972
std::vector<Linearized> linearize(const Cases& cases, const OperatingPoint& at = {});

/// One of them.
Linearized linearize(Metric metric, const Cases& cases, const OperatingPoint& at = {});

/// Net benefit (TP - FP p / (1 - p)) / n of calling positive where the probability that the score
/// states, 1 / (1 + exp(-score)), is at least p: true positives per sample, less false ones at the
/// exchange rate of someone who acts from a probability of p on (Vickers and Elkin 2006).
/// probability  p, above 0 and below 1
Linearized linearize_net_benefit(const Cases& cases, double probability);

}  // namespace mr::stats
