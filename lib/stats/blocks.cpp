#include "stats/blocks.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "stats/distribution.h"

namespace mr::stats {
namespace {

/// Twice the mid-ranks of ascending values, whole numbers; `ties` grows by t^3 - t of each tie.
std::vector<std::size_t> doubled_ranks(const std::vector<double>& values, double& ties) {
  std::vector<std::size_t> order(values.size()), ranks(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = begin + end + 1;
    const auto t = static_cast<double>(end - begin);
    ties += t * t * t - t;
  }
  return ranks;
}

std::string too_few(std::size_t blocks) {
  return "fewer than " + std::to_string(fewest_blocks) + " blocks (" + std::to_string(blocks) +
         "): no test";
}

}  // namespace

Friedman friedman(const std::vector<std::vector<double>>& values) {
  Friedman result;
  const auto k = values.empty() ? 0 : values.front().size();
  const auto blocks = static_cast<double>(values.size()), treatments = static_cast<double>(k);
  double ties = 0;
  std::vector<std::size_t> sums(k);
  for (const auto& block : values) {
    if (block.size() != k) throw DataError("blocks: want as many treatments in each");
    const auto doubled = doubled_ranks(block, ties);
    for (std::size_t j = 0; j < k; ++j) sums[j] += doubled[j];
  }
  for (const auto sum : sums)  // ranks count from the highest
    result.mean_ranks.push_back(treatments + 1 - static_cast<double>(sum) / (2 * blocks));
  if (k < 3) {
    result.reason = "fewer than 3 treatments (" + std::to_string(k) + "): no test";
  } else if (values.size() < fewest_blocks) {
    result.reason = too_few(values.size());
  } else if (const double correction =
                 1 - ties / (blocks * treatments * (treatments * treatments - 1));
             !(correction > 0)) {
    result.reason = "all treatments tie in every block";
  } else {
    double squares = 0;
    for (const double mean : result.mean_ranks) squares += std::pow(mean - (treatments + 1) / 2, 2);
    const double chi2 = 12 * blocks * squares / (treatments * (treatments + 1)) / correction;
    const double most = blocks * (treatments - 1);
    result.chi2 = chi2;
    result.p = chi2_upper(chi2, treatments - 1);
    if (most - chi2 > 1e-9 * most) {
      result.f = (blocks - 1) * chi2 / (most - chi2);
      result.p_of_f = f_upper(*result.f, treatments - 1, (treatments - 1) * (blocks - 1));
    } else {
      result.reason = "every block has the same order: F is infinite";
    }
  }
  return result;
}

Value signed_rank(const std::vector<double>& differences) {
  if (differences.size() < fewest_blocks) return {{}, too_few(differences.size())};
  std::vector<double> sizes;
  for (const double d : differences) sizes.push_back(std::abs(d));
  double ties = 0;
  const auto ranks = doubled_ranks(sizes, ties);
  // chance[w] that the positive ones' doubled ranks sum to w, sign by sign.
  std::vector<double> chance{1};
  std::size_t positive = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (differences[i] == 0) continue;
    if (differences[i] > 0) positive += ranks[i];
    std::vector<double> next(chance.size() + ranks[i]);
    for (std::size_t w = 0; w < chance.size(); ++w) {
      next[w] += 0.5 * chance[w];
      next[w + ranks[i]] += 0.5 * chance[w];
    }
    chance = std::move(next);
  }
  if (chance.size() == 1) return {{}, "no block differs"};
  const auto at = chance.begin() + static_cast<std::ptrdiff_t>(positive);
  const double low = std::accumulate(chance.begin(), at + 1, 0.0);
  const double high = std::accumulate(at, chance.end(), 0.0);
  return {std::min(1.0, 2 * std::min(low, high)), ""};
}

}  // namespace mr::stats
