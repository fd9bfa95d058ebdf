// stats/: metrics of resampled subjects. What does not change from one resample to the next is
// computed once, so a resample costs a pass over the samples (or less).
#pragma once
#include <array>

#include "stats/bootstrap.h"
#include "stats/influence.h"
#include "stats/reliability.h"

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

}  // namespace mr::stats
