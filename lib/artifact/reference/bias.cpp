#include <cmath>
#include <limits>

#include "artifact/reference/ref.h"
#include "base/error.h"
#include "base/text.h"

namespace mr::artifact {
namespace {

/// exp of a cubic with a constant term and coefficients of U(-N, N); coordinates run from -1 to 1
/// along both axes. The gain of the slice is not restored.
void corrupt(ref::Slice slice, RandomKey key, double percent) {
  std::array<std::array<double, 4>, 4> c{};
  std::uint64_t index = 0;
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; i + j < 4; ++j) c[i][j] = uniform(key, index++, -percent, percent);
  const auto coordinate = [](std::int64_t at, std::int64_t n) {
    return n > 1 ? 2 * static_cast<double>(at) / static_cast<double>(n - 1) - 1 : 0;
  };
  for (std::int64_t y = 0; y < slice.rows; ++y)
    for (std::int64_t x = 0; x < slice.columns; ++x) {
      const double u = coordinate(y, slice.rows), v = coordinate(x, slice.columns);
      double log_bias = 0;
      for (std::size_t i = 0; i < 4; ++i)
        for (std::size_t j = 0; i + j < 4; ++j)
          log_bias +=
              c[i][j] * std::pow(u, static_cast<double>(i)) * std::pow(v, static_cast<double>(j));
      auto& voxel = slice.voxels[y * slice.columns + x];
      const double value = static_cast<double>(voxel) * std::exp(log_bias);
      if (!(std::fabs(value) <= static_cast<double>(std::numeric_limits<float>::max())))
        throw DataError("ref-bias at " + shortest(percent) +
                        " percent: a voxel exceeds the largest float");
      voxel = static_cast<float>(value);
    }
}

}  // namespace

Artifact ref_bias() {
  return ref::artifact<corrupt>(
      ref::row("bias", "As published: exp of a cubic with coefficients of U(-N, N)",
               "TorchIO 0.18 RandomBiasField(coefficients=N)", Stage::coil));
}

}  // namespace mr::artifact
