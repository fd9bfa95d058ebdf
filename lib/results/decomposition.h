// results/: what a loss under artifacts is made of.
#pragma once
#include "results/contrasts.h"

namespace mr::results {

/// With P(x) on clean images, P(y) on corrupted ones, P(y/g) on those divided by their gain and
/// P(gx) on clean ones times it, each a mean over severities:
///   gain      = [(P(x) - P(gx)) + (P(y/g) - P(y))] / 2
///   structure = [(P(x) - P(y/g)) + (P(gx) - P(y))] / 2
/// sum to the loss P(x) - P(y): the Shapley values of the two (Shapley 1953); the interaction is
/// P(x) - P(gx) - P(y/g) + P(y). Positive is lost.
struct Decomposition {
  Contrast loss, gain, structure, interaction;
};

/// Of one artifact, or of the mean over artifacts. The study has parts.
Decomposition decompose(const Study& study, const std::string& arm,
                        const std::optional<std::string>& artifact = {});

/// Of Youden's J = sensitivity + specificity - 1 at thresholds t0 frozen from clean validation and
/// t_y chosen by the same rule on validation images under the artifact:
///   loss = J(x, t0) - J(y, t0) = ranking + threshold, with
///   ranking = J(x, t0) - J(y, t_y) and threshold = J(y, t_y) - J(y, t0),
/// as contrasts of the balanced accuracy (J + 1) / 2. Means as above. Both thresholds are chosen
/// anew on the same resampled validation subjects, so the interval holds their spread.
struct ThresholdLoss {
  Contrast loss, ranking, threshold;
};
ThresholdLoss threshold_loss(const Study& study, const std::string& arm,
                             const std::optional<std::string>& artifact = {});

/// How much better an arm is than the baseline on corrupted images as drawn, with their gain
/// matched, and the difference of the two: what of the advantage is being robust to gain.
struct Advantage {
  Contrast as_drawn, matched, interaction;
};
Advantage advantage(const Study& study, const std::string& arm, const std::string& baseline);

}  // namespace mr::results
