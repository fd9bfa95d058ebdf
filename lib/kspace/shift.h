// Rigid motion without resampling: every line of the image is shifted along itself by a linear
// phase of its transform, and three or four such passes make a rotation.
#pragma once
#include <array>
#include <vector>

#include "base/array.h"

namespace mr::kspace {

using Vector3 = std::array<double, 3>;
using Matrix3 = std::array<Vector3, 3>;  // [row][column]

/// Moves lines along one axis of [D, H, W]. Coordinates are voxels from index n / 2 of each axis.
struct Shear {
  int axis = 0;       // 0 D, 1 H, 2 W
  Vector3 slope{};    // displacement per voxel of the other two axes; slope[axis] is 0
  double offset = 0;  // [voxel]
};

/// Moves each line by its own distance, circularly: multiplies its spectrum by
/// exp(-2 pi i k d / n). The unpaired frequency of an even length is multiplied by cos(pi d), so
/// that a real image stays real.
/// re, im  [D, H, W], in place; im empty: the image is real
void shift_lines(Array<float>& re, Array<float>& im, const Shear& shear, int threads);

/// The passes, first one first, that together move what is at x to m x + t [voxel]; m has
/// determinant 1. None where nothing moves.
/// throws   DataError for a rotation by so much that no shears make it (half a turn)
/// source   Cox and Jesmanowicz 1999, Magn Reson Med 42:1014 (four shears of a 3-D rotation);
///          Unser, Thevenaz and Yaroslavsky 1995, IEEE Trans Image Process 4:1371 (three, in 2-D)
std::vector<Shear> rigid_shears(const Matrix3& m, const Vector3& t);

/// Rotation by angles [rad] about the three axes of a right-handed frame, the first axis first.
Matrix3 rotation(const Vector3& angles_rad);

}  // namespace mr::kspace
