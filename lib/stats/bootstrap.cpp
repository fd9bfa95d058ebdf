#include "stats/bootstrap.h"

#include <algorithm>

#include "base/threads.h"

namespace mr::stats {
namespace {

constexpr double most_discarded = 0.05;
constexpr std::int64_t block = 50;  // replicates to a task

}  // namespace

void draw_subjects(RandomKey key, std::uint64_t number, Times& times) {
  std::fill(times.begin(), times.end(), 0);
  const auto stream = sub_key(key, number);
  const auto subjects = static_cast<std::uint64_t>(times.size());
  for (std::uint64_t drawn = 0; drawn < subjects;)
    for (const std::uint64_t bits : philox(stream, drawn / 4)) {
      if (drawn == subjects) break;
      ++times[(bits * subjects) >> 32];
      ++drawn;
    }
}

double quantile(const std::vector<double>& ascending, double p) {
  const double at = p * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const auto above = std::min(below + 1, ascending.size() - 1);
  return ascending[below] +
         (at - static_cast<double>(below)) * (ascending[above] - ascending[below]);
}

Bootstrap cluster_bootstrap(
    RandomKey key, std::int32_t subjects, std::int64_t replicates,
    const std::function<std::optional<double>(const Times& times)>& statistic, int threads) {
  std::vector<std::optional<double>> of_replicate(static_cast<std::size_t>(replicates));
  parallel_for(threads, (replicates + block - 1) / block, [&](std::int64_t task) {
    Times times(static_cast<std::size_t>(subjects));
    for (auto b = task * block; b < std::min(replicates, (task + 1) * block); ++b) {
      draw_subjects(key, static_cast<std::uint64_t>(b), times);
      of_replicate[static_cast<std::size_t>(b)] = statistic(times);
    }
  });
  Bootstrap result;
  result.replicates = replicates;
  std::vector<double> values;
  for (const auto& value : of_replicate)
    if (value) values.push_back(*value);
  result.discarded = replicates - static_cast<std::int64_t>(values.size());
  if (static_cast<double>(result.discarded) > most_discarded * static_cast<double>(replicates)) {
    result.reason = std::to_string(result.discarded) + " of " + std::to_string(replicates) +
                    " resamples have no value: no interval";
    return result;
  }
  std::sort(values.begin(), values.end());
  result.low = quantile(values, 0.025);
  result.high = quantile(values, 0.975);
  return result;
}

}  // namespace mr::stats
