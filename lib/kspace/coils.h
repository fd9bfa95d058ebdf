// Receive coils: circular loops of wire around the image, and what they see of a voxel. Lengths are
// in half fields of view, so that an image spans -1 .. 1 along its longer in-plane axis.
#pragma once
#include <array>
#include <complex>
#include <vector>

#include "base/array.h"
#include "kspace/shift.h"

namespace mr::kspace {

struct Loop {
  Vector3 centre{};       // x, y, z
  Vector3 axis{0, 0, 1};  // of length 1
  double radius = 0.2;
};

/// `count` loops around the z axis at `distance` from it, facing it, the first at `first_rad` from
/// the x axis. source  BART simu/coil.c: distance 1.5, radius 0.2
std::vector<Loop> ring_of_loops(int count, double distance = 1.5, double radius = 0.2,
                                double first_rad = 0);

/// Field of a loop that carries a unit current, in units of mu0 / length: Biot and Savart's
/// integral in closed form, by complete elliptic integrals. Infinite on the wire. source  Smythe
/// 1968, Static and Dynamic Electricity, 3rd ed., 7.10 (6) and (7)
Vector3 loop_field(const Loop& loop, const Vector3& point);

/// Where the voxels of a slice lie: voxel i of n at (i - (n - 1) / 2) spacing from the middle.
struct CoilGrid {
  std::array<std::int64_t, 3> size{1, 1, 1};  // slices, rows (y), columns (x)
  std::array<double, 3> spacing_mm{1, 1, 1};
};

/// Receive sensitivities b_x + i b_y of a slice, [loop, rows, columns], divided by one number: that
/// which makes the root of the sum of squares 1 in the middle of the grid. Away from the wires the
/// field is a polynomial over some voxels, to 1e-6 of it; near them it is computed voxel by voxel.
/// source  Hoult and Richards 1976, J Magn Reson 24:71 (reciprocity)
Array<std::complex<float>> loop_sensitivities(const std::vector<Loop>& loops, const CoilGrid& grid,
                                              std::int64_t slice);

/// Root of the sum of their squares over the loops, [rows, columns].
Array<float> combined_sensitivity(const std::vector<Loop>& loops, const CoilGrid& grid,
                                  std::int64_t slice);

}  // namespace mr::kspace
