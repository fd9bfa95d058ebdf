// train/: from the samples of a manifest to a model file: loss, sampler, optimiser, early stopping,
// checkpoints. A run is a function of its settings, its data and its seed; one that was stopped and
// resumed ends with the same bytes.
#pragma once
#include <cstdint>
#include <vector>

#include "dataset/loader.h"

namespace mr::train {

/// Draws samples with replacement, weighted by the inverse frequency of the sum of their labels
/// (unknown counts as 0): every sum that occurs is drawn equally often.
class BalancedSampler {
 public:
  BalancedSampler(const dataset::SampleSet& samples, std::uint64_t seed);
  /// The draws of an epoch, a function of (seed, epoch) alone.
  std::vector<std::size_t> order(std::int64_t epoch, std::size_t draws) const;

 private:
  std::uint64_t seed_;
  std::vector<std::vector<std::size_t>> groups_;  // samples of equal sum
};

}  // namespace mr::train
