// train/: from the samples of a manifest to a model file: loss, sampler, optimiser, early stopping,
// checkpoints. A run is a function of its settings, its data and its seed; one that was stopped and
// resumed ends with the same bytes.
#pragma once
#include <cstdint>
#include <vector>

#include "dataset/loader.h"
#include "train/train.h"

namespace mr::train {

/// balanced  with replacement, weighted by the inverse frequency of the sum of a sample's labels
///           (unknown counts as 0): every sum that occurs is drawn equally often
/// natural   without replacement: permutations of all samples one after another, cut at the end
class Sampler {
 public:
  Sampler(Sampling sampling, const dataset::SampleSet& samples, std::uint64_t seed);
  /// The draws of an epoch, a function of (seed, epoch) alone.
  std::vector<std::size_t> order(std::int64_t epoch, std::size_t draws) const;

 private:
  std::vector<std::size_t> permutations(std::int64_t epoch, std::size_t draws) const;
  Sampling sampling_;
  std::uint64_t seed_;
  std::size_t samples_;
  std::vector<std::vector<std::size_t>> groups_;  // samples of equal sum
};

struct LabelWeight {
  double negative = 1, positive = 1;
};

/// What a known value of each label counts in its loss. inverse: n_known / (2 n_negative) and
/// n_known / (2 n_positive), counted in `samples`, which hold both of each label.
/// source  King and Zeng 2001, Logistic regression in rare events data, section 4.2 with tau = 1/2
std::vector<LabelWeight> label_weights(const dataset::SampleSet& samples, ClassWeights weights);

}  // namespace mr::train
