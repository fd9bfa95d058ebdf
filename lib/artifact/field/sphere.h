// The field of a sphere in a uniform main field.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>

namespace mr::artifact {

using Point_mm = std::array<double, 3>;  // along the stored axes, from the first voxel

/// A sphere whose susceptibility differs by chi from its surroundings shifts the resonance outside
/// by gamma B0 chi / 3 (a / r)^3 (3 cos^2(theta) - 1), theta from the main field.
/// source  Ludeke, Roschmann and Tischler 1985, Magn Reson Imaging 3:329
struct Sphere {
  Point_mm centre{};
  std::array<double, 3> field_direction{0, 0, 1};  // unit vector
  double radius = 1;                               // [mm]
  double hz = 0;                                   // gamma B0 chi / 3

  double distance(const Point_mm& at) const {
    const double x = at[0] - centre[0], y = at[1] - centre[1], z = at[2] - centre[2];
    return std::sqrt(x * x + y * y + z * z);
  }
  bool holds(const Point_mm& at) const { return distance(at) < radius; }

  /// Inside, where nothing gives signal, as on the surface.
  double field_hz(const Point_mm& at) const {
    const double r = distance(at);
    double along = 0;
    for (std::size_t a = 0; a < 3; ++a) along += (at[a] - centre[a]) * field_direction[a];
    const double cosine = r > 0 ? along / r : 0;
    const double near = radius / std::max(r, radius);
    return hz * near * near * near * (3 * cosine * cosine - 1);
  }
};

}  // namespace mr::artifact
