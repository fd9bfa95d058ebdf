// results/: from slices to what a decision is about: scores, truth and facts of volumes and
// subjects.
#pragma once
#include "results/evaluation.h"

namespace mr::results {

/// What is decided on: a sample of the manifest (a slice), an image of it, or a person.
enum class Level { sample, volume, subject };
const char* name(Level level);               // "sample", "volume", "subject"
Level parse_level(const std::string& text);  // throws UsageError
std::vector<std::string> level_names();

/// How the logits of a unit's samples become one.
enum class Pool {
  top3,     // mean of the three largest, or of as many as there are
  max,      // the largest
  noisy_or  // logit of 1 - prod(1 - probability); units must have equally many samples
};
const char* name(Pool pool);               // "top3", "max", "noisy-or"
Pool parse_pool(const std::string& text);  // throws UsageError
std::vector<std::string> pool_names();

class Pooling {
 public:
  /// throws DataError when the evaluation does not say which image a sample is of, or, for
  /// noisy-or, when units differ in their number of samples
  Pooling(const Samples& samples, Level level, Pool pool);

  /// The units in the place of samples: ids of images or subjects; truth 1 where any of its samples
  /// is known 1, 0 where all are known 0, else unknown; attributes that all its images share, and
  /// how many samples it has
  /// ("sample_counts").
  const Samples& units() const { return units_; }

  /// [L x N] logits to [L x units].
  std::vector<float> pooled(const std::vector<float>& scores) const;

  /// [N] to [units]: the mean of what is no logit. Empty stays empty.
  std::vector<float> averaged(const std::vector<float>& values) const;

 private:
  Pool pool_;
  bool as_they_are_;
  std::vector<std::vector<std::size_t>> members_;  // of each unit, indices of samples
  std::size_t samples_ = 0;
  Samples units_;
};

/// The level of a study that does not say: volumes where the images have slices and each label is
/// present in at least 10 subjects with, and in 10 with a volume without it; else samples.
/// why  is set to a sentence where slices are not pooled
Level choose_level(const Samples& samples, const std::vector<std::string>& labels,
                   std::string& why);

}  // namespace mr::results
