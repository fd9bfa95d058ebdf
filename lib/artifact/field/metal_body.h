// The field of metal in a uniform main field.
#pragma once
#include <array>
#include <cstdint>

namespace mr::artifact {

using Point_mm = std::array<double, 3>;  // along the stored axes, from the first voxel

/// A sphere, or a cylinder without ends, whose susceptibility differs by chi from its surroundings.
/// It shifts the resonance outside, r from its centre or axis, by
///   sphere    gamma B0 chi / 3 (a / r)^3 (3 cos^2(theta) - 1), theta from the main field;
///   cylinder  gamma B0 chi / 2 (a / r)^2 sin^2(theta) cos(2 phi), theta between its axis and the
///             main field, phi from the main field's part across the axis.
/// Inside, where nothing gives signal, the field is as on the surface.
/// source  Ludeke, Roschmann and Tischler 1985, Magn Reson Imaging 3:329; Haacke et al. 1999,
///         Magnetic Resonance Imaging, ch. 25
class MetalBody {
 public:
  enum class Form { sphere, cylinder };

  /// field_direction, axis  unit vectors; a sphere's axis has no effect
  /// hz                     gamma B0 chi
  MetalBody(Form form, const Point_mm& centre, const std::array<double, 3>& field_direction,
            const std::array<double, 3>& axis, double radius_mm, double hz);

  /// Of n points at `start`, start + step along a stored axis, ...: the field [Hz] in float64, and
  /// 1 outside the body, 0 inside it; `outside` may be null.
  void row(const Point_mm& start, std::size_t axis, double step_mm, std::int64_t n, double* hz,
           float* outside) const;

 private:
  Form form_;
  Point_mm centre_;
  std::array<double, 3> axis_;    // of a cylinder; else 0
  std::array<double, 3> across_;  // the main field's direction less its part along that axis
  double radius_, hz_;
};

}  // namespace mr::artifact
