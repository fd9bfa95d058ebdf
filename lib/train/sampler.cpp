#include "train/sampler.h"

#include <array>
#include <map>
#include <numeric>
#include <string>

#include "base/random.h"

namespace mr::train {

std::string name(Sampling sampling) {
  return sampling == Sampling::balanced ? "balanced by the sum of labels, with replacement"
                                        : "natural: permutations, without replacement";
}

Sampler::Sampler(Sampling sampling, const dataset::SampleSet& samples, std::uint64_t seed)
    : sampling_(sampling), seed_(seed), samples_(samples.size()) {
  std::map<int, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    int sum = 0;
    for (const int label : samples.labels(i)) sum += label == 1;
    groups[sum].push_back(i);
  }
  for (auto& group : groups) groups_.push_back(std::move(group.second));
}

std::vector<std::size_t> Sampler::order(std::int64_t epoch, std::size_t draws) const {
  if (sampling_ == Sampling::natural) return permutations(epoch, draws);
  const auto key = random_key(seed_, {"sampler", std::to_string(epoch)});
  std::vector<std::size_t> order(draws);
  for (std::size_t i = 0; i < draws; ++i) {
    const auto& group = groups_[below(key, 2 * i, groups_.size())];
    order[i] = group[below(key, 2 * i + 1, group.size())];
  }
  return order;
}

std::vector<std::size_t> Sampler::permutations(std::int64_t epoch, std::size_t draws) const {
  const auto key = random_key(seed_, {"permutation", std::to_string(epoch)});
  std::vector<std::size_t> order, all(samples_);
  for (std::uint64_t round = 0; order.size() < draws; ++round) {
    std::iota(all.begin(), all.end(), std::size_t{0});
    shuffle(sub_key(key, round), all);
    order.insert(order.end(), all.begin(), all.end());
  }
  order.resize(draws);
  return order;
}

std::vector<LabelWeight> label_weights(const dataset::SampleSet& samples, ClassWeights weights) {
  std::vector<LabelWeight> out(samples.label_names().size());
  if (weights == ClassWeights::none) return out;
  for (std::size_t l = 0; l < out.size(); ++l) {
    std::array<double, 2> count{};
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const int label = samples.labels(i)[l];
      if (label != dataset::unknown_label) ++count[static_cast<std::size_t>(label)];
    }
    const double known = count[0] + count[1];
    out[l] = {known / (2 * count[0]), known / (2 * count[1])};
  }
  return out;
}

}  // namespace mr::train
