// Test-time schemes of batch norm, and the sets of samples that they adapt on. A set is a list of
// samples, never "whatever shares the batch"; no label is looked at. Free of LibTorch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "dataset/loader.h"

namespace mr::eval {

/// batch_stats  statistics of the set in place of the running ones (Nado et al. 2020)
/// n_prior      both mixed, the running ones counting as N images (Schneider et al. 2020, eq. 2)
/// tent         batch_stats, and a step down the set's entropy (Wang et al. 2021), episodic
/// recalibrate  statistics of clean training images at their natural prevalence, before any test
/// image
enum class Scheme { none, batch_stats, n_prior, tent, recalibrate };

/// slice     each sample alone
/// volume    the samples of one image: what can be had where a scanner stands
/// mixed     n samples of any subjects: permutations keyed by (seed, "adapt"), a short last set
/// joins
///           the one before; scores are means over 5 of them
/// all       every sample: transductive, samples are no longer independent
/// crossfit  two folds of subjects, each adapted on the other
enum class Policy { slice, volume, mixed, all, crossfit };

struct Adaptation {
  Scheme scheme = Scheme::none;
  Policy policy = Policy::volume;
  std::int64_t mixed = 32;      // samples in a set of Policy::mixed
  double prior = 16;            // images, of n_prior
  double learning_rate = 1e-3;  // of tent
  int steps = 1;                // of tent
  /// The set is of one image: a slice of it, or all its samples.
  bool within_image() const;
  /// The set spans images, so that all of a condition's pixels are needed at once.
  bool over_images() const;
};

/// "SCHEME[=VALUE][:POLICY]": "batch-stats", "n-prior=16:volume", "tent=0.001:mixed:32",
/// "recalibrate". The value is N of n-prior or the learning rate of tent; the policy is volume by
/// default. throws UsageError
Adaptation parse_adaptation(const std::string& text);

/// "", or as above with what is the default written out: "n-prior=16:volume".
std::string name(const Adaptation& adaptation);
Json to_json(const Adaptation& adaptation);  // null for none

/// The words that parse_adaptation takes, for completion.
std::vector<std::string> adaptation_names();

/// At most so many of n samples, drawn without replacement, ascending.
std::vector<std::size_t> draw_samples(std::size_t n, std::size_t at_most, const RandomKey& key);

constexpr int mixed_partitions = 5;

/// Sets of Policy::mixed in partition `partition`, each in ascending order.
std::vector<std::vector<std::size_t>> mixed_sets(std::size_t samples, std::int64_t size,
                                                 std::uint64_t seed, int partition);

/// The fold, 0 or 1, of every sample: half of the subjects each.
/// throws DataError when there is one subject alone
std::vector<int> subject_folds(const dataset::SampleSet& samples, std::uint64_t seed);

}  // namespace mr::eval
