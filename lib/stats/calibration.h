// stats/: do the probabilities that a model states hold? Probability of a score z: 1 / (1 +
// exp(-z)).
#pragma once
#include "stats/roc.h"

namespace mr::stats {

/// log(1 + exp(z)) without overflow: -log of the probability that a logit -z states.
double softplus(double z);

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

/// A score z becomes intercept + slope z, slope > 0: ranks stay.
struct Recalibration {
  double intercept = 0, slope = 1;
  std::string reason;  // why there is none
};

/// Intercept and slope of the logistic model of the truth by maximum likelihood (Platt 1999,
/// without his targets). None where the slope has none, or is not positive.
Recalibration platt_scaling(const std::vector<float>& scores,
                            const std::vector<std::int8_t>& truth);

/// The slope alone, 1 / temperature, by maximum likelihood (Guo et al. 2017). None where a class is
/// absent or the temperature lies beyond exp(-5) to exp(5).
Recalibration temperature_scaling(const std::vector<float>& scores,
                                  const std::vector<std::int8_t>& truth);

}  // namespace mr::stats
