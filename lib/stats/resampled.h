// stats/: metrics of resampled subjects. What does not change from one resample to the next is
// computed once, so a resample costs a pass over the samples (or less).
#pragma once
#include <array>

#include "stats/bootstrap.h"
#include "stats/influence.h"
#include "stats/reliability.h"
#include "stats/threshold.h"

namespace mr::stats {

/// AUROC in which each sample counts as often as its subject. Errors as auroc.
class ResampledAuroc {
 public:
  explicit ResampledAuroc(const Cases& cases);
  /// times    [P]
  /// returns  none where a class is absent
  std::optional<double> operator()(const Times& times) const;

 private:
  // Descending by score: subject x 4, + 2 for the last sample of its score, + 1 for a positive.
  std::vector<std::int32_t> samples_;
};

/// ECE in bins of equal width, likewise.
class ResampledCalibrationError {
 public:
  explicit ResampledCalibrationError(const Stated& stated);
  std::optional<double> operator()(const Times& times) const;

 private:
  // Of each subject: by bin, the sum of probability - truth; then the number of samples. Float adds
  // less than 1e-6, and vectors of it are twice as long.
  std::vector<std::array<float, bins + 1>> of_subject_;
};

/// The rule's threshold on validation samples, likewise; as choose_threshold.
class ResampledThreshold {
 public:
  ResampledThreshold(const Cases& validation, const OperatingRule& rule);
  std::optional<double> operator()(const Times& times) const;

 private:
  OperatingRule rule_;
  std::vector<std::int32_t> samples_;  // as of ResampledAuroc
  std::vector<float> scores_;          // theirs
};

/// Metrics of decisions, in the order of what decisions_at returns.
inline constexpr Metric decision_metrics[] = {Metric::sensitivity,
                                              Metric::specificity,
                                              Metric::balanced_accuracy,
                                              Metric::alarm_rate,
                                              Metric::positive_predictive_value,
                                              Metric::negative_predictive_value};

/// Those of `cases` at each of several thresholds, values as of linearize; NaN where there is none.
/// thresholds  [B]; NaN: no threshold
/// prevalence  for the predictive values; none: that of the samples
/// returns     [decision_metrics][B]
std::vector<std::vector<float>> decisions_at(const Cases& cases,
                                             const std::vector<double>& thresholds,
                                             std::optional<double> prevalence = {});

}  // namespace mr::stats
