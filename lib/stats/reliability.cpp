#include "stats/reliability.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "stats/proportion.h"

namespace mr::stats {
namespace {

/// Sums over the samples of a bin.
struct Sums {
  double n = 0, p = 0, y = 0, pp = 0, py = 0;
};

double square(double x) {
  return x * x;
}

}  // namespace

void append(Stated& all, const Cases& cases) {
  if (all.subjects != 0 && all.subjects != cases.subjects)
    throw DataError("stated probabilities: of " + std::to_string(cases.subjects) +
                    " subjects beside " + std::to_string(all.subjects));
  all.subjects = cases.subjects;
  for (std::size_t i = 0; i < cases.truth.size(); ++i) {
    if (cases.truth[i] < 0) continue;
    all.probability.push_back(1 / (1 + std::exp(-double{cases.scores[i]})));
    all.truth.push_back(cases.truth[i]);
    all.subject.push_back(cases.subject[i]);
  }
}

std::vector<std::size_t> bins_of(const std::vector<double>& probability, Binning binning,
                                 std::size_t count) {
  std::vector<std::size_t> bin(probability.size());
  const auto wide = static_cast<double>(count);
  if (binning == Binning::equal_width) {
    for (std::size_t i = 0; i < bin.size(); ++i)
      bin[i] = static_cast<std::size_t>(std::max(1.0, std::ceil(probability[i] * wide - 1e-9))) - 1;
    return bin;
  }
  std::vector<std::size_t> order(bin.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return probability[a] < probability[b]; });
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && probability[order[end]] == probability[order[begin]]) ++end;
    for (std::size_t k = begin; k < end; ++k)
      bin[order[k]] = (begin + end) * count / (2 * order.size());
  }
  return bin;
}

std::optional<Reliability> reliability(const Stated& stated, Binning binning, std::size_t count) {
  if (stated.truth.empty()) return {};
  const auto bin = bins_of(stated.probability, binning, count);
  std::vector<Sums> sums(count);
  for (std::size_t i = 0; i < bin.size(); ++i) {
    const double p = stated.probability[i], y = stated.truth[i];
    auto& s = sums[bin[i]];
    ++s.n;
    s.p += p;
    s.y += y;
    s.pp += p * p;
    s.py += p * y;
  }
  // Of each bin and subject, the sum of what differs from the bin's share.
  const auto subjects = static_cast<std::size_t>(stated.subjects);
  std::vector<double> residual(count * subjects);
  std::vector<bool> seen(count * subjects);
  for (std::size_t i = 0; i < bin.size(); ++i) {
    const auto at = bin[i] * subjects + static_cast<std::size_t>(stated.subject[i]);
    residual[at] += stated.truth[i] - sums[bin[i]].y / sums[bin[i]].n;
    seen[at] = true;
  }
  const auto n = static_cast<double>(bin.size());
  double positives = 0;
  for (const auto& s : sums) positives += s.y;
  const double share = positives / n;
  Reliability all;
  all.uncertainty = share * (1 - share);
  for (std::size_t k = 0; k < count; ++k) {
    const auto& s = sums[k];
    if (s.n == 0) continue;
    const double p = s.p / s.n, y = s.y / s.n;
    all.calibration_error += std::abs(s.p - s.y) / n;
    all.reliability += s.n * square(p - y) / n;
    all.resolution += s.n * square(y - share) / n;
    all.within_bins += (s.pp - s.p * p - 2 * (s.py - s.p * y)) / n;
    double squares = 0, of_subjects = 0;
    for (std::size_t at = k * subjects; at < (k + 1) * subjects; ++at) {
      squares += square(residual[at]);
      of_subjects += seen[at];
    }
    const bool varies = y > 0 && y < 1;
    const double effective =
        varies ? std::min(s.n, y * (1 - y) * square(s.n) / squares) : of_subjects;
    const auto bounds = wilson(y, effective);
    all.bins.push_back({static_cast<std::int64_t>(s.n), p, y, bounds.low, bounds.high});
  }
  return all;
}

}  // namespace mr::stats
