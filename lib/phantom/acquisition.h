// From a knee to the image that a scanner makes of it: geometry, partial volumes, coils, noise.
#pragma once
#include "base/array.h"
#include "image/volume.h"
#include "phantom/anatomy.h"
#include "phantom/tissue.h"

namespace mr::phantom {

using image::Complex;

enum class Plane { coronal, sagittal };

/// A 2-D multi-slice protocol. The slices share one coverage, whatever their number.
struct Geometry {
  Plane plane = Plane::coronal;
  int matrix = 64;  // in-plane, square
  int slices = 10;
  double in_plane_mm() const { return 128.0 / matrix; }
  double slice_spacing_mm() const { return (plane == Plane::coronal ? 36.0 : 60.0) / slices; }
  static constexpr double thickness_mm = 3;
  Shape shape() const { return {slices, matrix, matrix}; }  // [Z, Y, X]
};

/// Voxel (i, j, k) to RAS+ mm, the field of view centred on the knee. Coronal: i runs to the left,
/// j up, k back; sagittal: i runs back, j up, k to the right.
image::Affine affine(const Geometry& geometry);

struct Rendering {
  Array<float> share;         // [Z, Y, X, tissue]; the shares of a voxel sum to 1
  Array<double> finding_mm2;  // [finding, Z]: area of each lesion in each slice
};

/// Shares of the tissues in each voxel, from 3 x 3 points in the plane, at 3 depths of the slice.
Rendering render(const Anatomy& anatomy, const Geometry& geometry);

/// Tissue with the largest share in each voxel, [Z, Y, X].
Array<float> tissue_map(const Rendering& rendering);

/// Share of the proton density that is fat, [Z, Y, X]; 0 in air.
Array<float> fat_map(const Rendering& rendering);

/// Spin-echo signal [Z, Y, X] of the shares, with a smooth texture of a few percent (assumed).
Array<float> spin_echo_image(const Rendering& rendering, const SpinEcho& spin_echo,
                             const Geometry& geometry, RandomKey texture);

/// Receive sensitivities [C, Z, Y, X] of `coils` elements around the knee, smooth and complex;
/// their root sum of squares is 1 in the middle of the field of view and rises towards the
/// elements.
Array<Complex> sensitivities(const Geometry& geometry, int coils, RandomKey key);

/// Coil images [C, Z, Y, X]: signal times sensitivity, plus complex Gaussian
/// noise of standard deviation noise_sd in the real and in the imaginary part, independent between
/// voxels and coils. For a fully sampled Cartesian acquisition that is noise in k-space, since the
/// centred transform is unitary.
Array<Complex> receive(const Array<float>& signal, const Array<Complex>& sensitivity,
                       double noise_sd, RandomKey key);

/// Root sum of squares, [1, Z, Y, X]. In air it follows a chi distribution with 2 C degrees of
/// freedom. source  Roemer et al. 1990, Magn Reson Med 16:192; Constantinides et al. 1997,
/// Magn Reson Med 38:852
Array<float> root_sum_of_squares(const Array<Complex>& coils);

/// Matched filter sum conj(c) y / sqrt(sum |c|^2), [1, Z, Y, X]: complex, noise_sd kept, the
/// shading that of root_sum_of_squares, the phase that of the first coil, as when sensitivities are
/// estimated relative to it. source  Roemer et al. 1990
Array<Complex> matched_filter(const Array<Complex>& coils, const Array<Complex>& sensitivity);

}  // namespace mr::phantom
