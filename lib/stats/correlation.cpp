#include "stats/correlation.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace mr::stats {
namespace {

/// Ranks from the middle one, so that they sum to 0.
std::vector<double> centred_ranks(const std::vector<double>& values) {
  std::vector<double> ranks;
  for (const double v : values) {
    if (std::isnan(v)) throw DataError("spearman: a value is not a number");
    double rank = 0;
    for (const double other : values) rank += 0.5 * ((other < v) - (other > v));
    ranks.push_back(rank);
  }
  return ranks;
}

double product(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

std::optional<double> spearman(const std::vector<double>& x, const std::vector<double>& y) {
  if (x.size() != y.size()) throw DataError("spearman: want as many values of one as of the other");
  const auto a = centred_ranks(x), b = centred_ranks(y);
  const double scale = std::sqrt(product(a, a) * product(b, b));
  if (scale == 0) return {};
  return product(a, b) / scale;
}

}  // namespace mr::stats
