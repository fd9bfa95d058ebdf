#include "train/sampler.h"

#include <map>
#include <string>

#include "base/random.h"

namespace mr::train {

BalancedSampler::BalancedSampler(const dataset::SampleSet& samples, std::uint64_t seed)
    : seed_(seed) {
  std::map<int, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    int sum = 0;
    for (const int label : samples.labels(i)) sum += label == 1;
    groups[sum].push_back(i);
  }
  for (auto& group : groups) groups_.push_back(std::move(group.second));
}

std::vector<std::size_t> BalancedSampler::order(std::int64_t epoch, std::size_t draws) const {
  const auto key = random_key(seed_, {"sampler", std::to_string(epoch)});
  std::vector<std::size_t> order(draws);
  for (std::size_t i = 0; i < draws; ++i) {
    const auto& group = groups_[below(key, 2 * i, groups_.size())];
    order[i] = group[below(key, 2 * i + 1, group.size())];
  }
  return order;
}

}  // namespace mr::train
