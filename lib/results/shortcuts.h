// results/: what could be guessed of a label without looking at the image.
#pragma once
#include "results/evaluation.h"
#include "stats/contrast.h"

namespace mr::results {

/// How well one fact about a sample ranks a label by itself.
struct Shortcut {
  std::string
      fact;  // "slice position", "distance from the middle slice", "slices of the image", "mean
             // intensity" (before standardisation), or an attribute: of numbers; "ATTRIBUTE =
             // VALUE" where there are two values; else, where there are at most 20, how common each
             // label is with its value among clean validation samples
  std::vector<stats::Estimate> auroc;  // [L], against truth; far from 0.5 either way is a shortcut
};

/// The facts that the evaluation knows and that are not the same for all samples. Position runs
/// from 0 to 1 over an image's samples in their order.
std::vector<Shortcut> shortcuts(const Header& header);

}  // namespace mr::results
