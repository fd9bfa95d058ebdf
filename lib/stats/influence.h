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
  average_precision,
  sensitivity,
  specificity,
  balanced_accuracy,
  alarm_rate,  // share of the samples of known truth that are called positive
  brier,
  log_loss,
  calibration_in_the_large,  // of calibration.h, as the two before and the one after
  calibration_slope,
};
inline constexpr Metric all_metrics[] = {Metric::auroc,
                                         Metric::average_precision,
                                         Metric::sensitivity,
                                         Metric::specificity,
                                         Metric::balanced_accuracy,
                                         Metric::alarm_rate,
                                         Metric::brier,
                                         Metric::log_loss,
                                         Metric::calibration_in_the_large,
                                         Metric::calibration_slope};
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

/// All metrics with their influences, in the order of all_metrics.
/// threshold  frozen, positive is score >= threshold; without one the thresholded metrics have no
///            value
/// AUROC: U_p = sqrt(I10/(I10-1)) X_p/m + sqrt(I01/(I01-1)) Y_p/n with X_p, Y_p the subject's sums
/// of centred placements; with one sample per subject sum U_p^2 is DeLong's variance. Sensitivity
/// and specificity: likewise, of their class; balanced accuracy: half their sum. Average precision
/// and alarm rate, and what tells of calibration: sums of the derivative by a sample's weight
/// (infinitesimal jackknife) times sqrt(I/(I-1)), I the subjects with known truth.
/// throws     DataError as auroc, or when a subject's index is out of range
/// source     DeLong et al. 1988; Obuchowski 1997 (clusters); Sun and Xu 2014 (n log n); Jaeckel
/// 1972
std::vector<Linearized> linearize(const Cases& cases, std::optional<double> threshold = {});

/// One of them.
Linearized linearize(Metric metric, const Cases& cases, std::optional<double> threshold = {});

}  // namespace mr::stats
