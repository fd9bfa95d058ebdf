// stats/: do the probabilities that a model states hold? Probability of a score z: 1 / (1 +
// exp(-z)). Each value comes with the influence on it of each sample: the derivative by the
// sample's weight.
#pragma once
#include "stats/roc.h"

namespace mr::stats {

struct SampleWise {
  std::optional<double> value;
  std::vector<double> influence;  // [N]; 0 where the truth is unknown. Their sum is 0.
  std::string reason;             // why there is no value
};

// scores [N] logits, truth [N] 1, 0 or -1 (left out). No value without samples of known truth.

/// Mean of (probability - truth)^2 (Brier 1950).
SampleWise brier(const std::vector<float>& scores, const std::vector<std::int8_t>& truth);

/// Mean of -log(probability of the truth). No value where it is infinite.
SampleWise log_loss(const std::vector<float>& scores, const std::vector<std::int8_t>& truth);

/// The intercept a of logit P(truth) = a + z by maximum likelihood: calibration in the large (Cox
/// 1958). 0: as many positives as stated; below 0: fewer. No value where a class is absent.
SampleWise calibration_in_the_large(const std::vector<float>& scores,
                                    const std::vector<std::int8_t>& truth);

/// The slope b of logit P(truth) = a + b z by maximum likelihood (Cox 1958). 1: as spread as they
/// should be; below 1: too sure. No value where a class is absent or a score separates the classes.
SampleWise calibration_slope(const std::vector<float>& scores,
                             const std::vector<std::int8_t>& truth);

}  // namespace mr::stats
