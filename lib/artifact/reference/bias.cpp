#include <algorithm>
#include <array>
#include <limits>

#include "artifact/reference/ref.h"
#include "base/error.h"
#include "base/simd.h"
#include "base/text.h"

namespace mr::artifact {
namespace {

/// exp(x) to 1e-8 without a branch: 2^k exp(r), |r| <= ln(2) / 2, Taylor to r^7; 0 and infinity
/// where float overflows by far. Adding 1.5 2^52 rounds to a whole number, which then stands in the
/// lowest bits. In double precision, since the published strengths make x as large as 100.
inline double fast_exp(double x) {
  const double limited = std::min(std::max(x, -708.0), 710.0);
  const double rounder = 6755399441055744.0, rounded = limited * 1.4426950408889634 + rounder;
  const double r = limited - (rounded - rounder) * 0.6931471805599453;
  double series = 1;
  for (const double n : {7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0}) series = 1 + r / n * series;
  std::int64_t k;
  __builtin_memcpy(&k, &rounded, sizeof k);
  const auto bits = static_cast<std::uint64_t>(k + 1023) << 52;
  double power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return series * power;
}

/// Multiplies a row by exp(c[0] + c[1] v + c[2] v^2 + c[3] v^3), v from -1 to 1; returns how many
/// voxels exceed the largest float.
MR_SIMD std::int32_t shade(const double* c, std::int32_t n, float* voxels) {
  const double per_column = n > 1 ? 2.0 / (n - 1) : 0, first = n > 1 ? -1 : 0;
  std::int32_t beyond = 0;
  for (std::int32_t x = 0; x < n; ++x) {
    const double v = first + per_column * x;
    const double bias = fast_exp(c[0] + v * (c[1] + v * (c[2] + v * c[3])));
    const double value = static_cast<double>(voxels[x]) * bias;
    beyond += !(__builtin_fabs(value) <= static_cast<double>(std::numeric_limits<float>::max()));
    voxels[x] = static_cast<float>(value);
  }
  return beyond;
}

/// exp of a cubic with a constant term and coefficients of U(-N, N); coordinates run from -1 to 1
/// along both axes. The gain of the slice is not restored.
void corrupt(ref::Slice slice, RandomKey key, double percent) {
  std::array<std::array<double, 4>, 4> c{};
  std::uint64_t index = 0;
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; i + j < 4; ++j) c[i][j] = uniform(key, index++, -percent, percent);
  for (std::int64_t y = 0; y < slice.rows; ++y) {
    const double u =
        slice.rows > 1 ? 2 * static_cast<double>(y) / static_cast<double>(slice.rows - 1) - 1 : 0;
    std::array<double, 4> along{};
    for (std::size_t j = 0; j < 4; ++j)
      along[j] = c[0][j] + u * (c[1][j] + u * (c[2][j] + u * c[3][j]));
    if (shade(along.data(), static_cast<std::int32_t>(slice.columns),
              slice.voxels + y * slice.columns) > 0)
      throw DataError("ref-bias at " + shortest(percent) +
                      " percent: a voxel exceeds the largest float");
  }
}

}  // namespace

Artifact ref_bias() {
  return ref::artifact<corrupt>(
      ref::row("bias", "As published: exp of a cubic with coefficients of U(-N, N)",
               "TorchIO 0.18 RandomBiasField(coefficients=N)", Stage::coil));
}

}  // namespace mr::artifact
