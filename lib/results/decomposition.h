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

/// How much better an arm is than the baseline on corrupted images as drawn, with their gain
/// matched, and the difference of the two: what of the advantage is being robust to gain.
struct Advantage {
  Contrast as_drawn, matched, interaction;
};
Advantage advantage(const Study& study, const std::string& arm, const std::string& baseline);

}  // namespace mr::results
