// Which voxels fall on each other when every R-th line of k-space is measured.
#pragma once
#include <cmath>
#include <cstdint>

namespace mr::artifact {

/// R rows at a distance of N / R, rounded up: the field of view is taken as the next multiple of R,
/// beyond the last row of the image there is nothing.
struct Aliasing {
  std::int64_t rows = 1, acceleration = 1;

  std::int64_t step() const { return (rows + acceleration - 1) / acceleration; }
  /// Rows of the image among first, first + step, ...
  std::int64_t partners(std::int64_t first) const { return (rows - first + step() - 1) / step(); }
};

/// The acceleration of a scan is whole: fractions between levels of severity are rounded.
inline Aliasing aliasing(std::int64_t rows, double acceleration) {
  return {rows, static_cast<std::int64_t>(std::lround(acceleration))};
}

}  // namespace mr::artifact
