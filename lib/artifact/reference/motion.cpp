#include <algorithm>
#include <cmath>

#include "artifact/reference/ref.h"

namespace mr::artifact {
namespace {

/// Linear interpolation at (row, column); outside the slice's voxels, the fill value. The first and
/// last half voxel repeat the edge, as ITK does.
float sample(const ref::Slice& slice, const std::vector<float>& voxels, double row, double column,
             float fill) {
  const auto inside = [](double x, std::int64_t n) {
    return x >= -0.5 && x < static_cast<double>(n) - 0.5;
  };
  if (!inside(row, slice.rows) || !inside(column, slice.columns)) return fill;
  const double r0 = std::floor(row), c0 = std::floor(column);
  const auto at = [&](double r, double c) {
    const auto y = std::clamp<std::int64_t>(static_cast<std::int64_t>(r), 0, slice.rows - 1);
    const auto x = std::clamp<std::int64_t>(static_cast<std::int64_t>(c), 0, slice.columns - 1);
    return static_cast<double>(voxels[static_cast<std::size_t>(y * slice.columns + x)]);
  };
  const double v = row - r0, u = column - c0;
  return static_cast<float>((1 - v) * ((1 - u) * at(r0, c0) + u * at(r0, c0 + 1)) +
                            v * ((1 - u) * at(r0 + 1, c0) + u * at(r0 + 1, c0 + 1)));
}

/// One pose for the whole slice: TorchIO splits k-space along the last stored axis, which has
/// length 1 here, so every line comes from the last pose and there is no motion artifact. It also
/// loses the centre of rotation, which is the first voxel, and a tensor without an affine has 1 mm
/// voxels.
void corrupt(ref::Slice slice, RandomKey key, double percent) {
  const double angle = uniform(key, 0, -5, 5) * percent * 3.14159265358979323846 / 180;
  const double shift_row = uniform(key, 1, -2, 2) * percent,
               shift_column = uniform(key, 2, -2, 2) * percent;
  const std::vector<float> voxels(slice.voxels, slice.voxels + slice.size());
  const float fill = *std::min_element(voxels.begin(), voxels.end());
  const double c = std::cos(angle), s = std::sin(angle);
  for (std::int64_t y = 0; y < slice.rows; ++y)
    for (std::int64_t x = 0; x < slice.columns; ++x) {
      const auto row = static_cast<double>(y), column = static_cast<double>(x);
      slice.voxels[y * slice.columns + x] = sample(slice, voxels, c * row - s * column + shift_row,
                                                   s * row + c * column + shift_column, fill);
    }
}

}  // namespace

Artifact ref_motion() {
  return ref::artifact<corrupt>(ref::row(
      "motion", "As published: each slice moved as a whole, up to 5 N degrees and 2 N voxels",
      "TorchIO 0.18 RandomMotion(degrees=5N, translation=2N)", Stage::encoding));
}

}  // namespace mr::artifact
