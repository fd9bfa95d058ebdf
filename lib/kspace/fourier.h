// kspace/: between image space and k-space. An Array is contiguous, [C, D, H, W]: coils (or
// frames), then the voxel axes z, y, x. Zero frequency sits at index n / 2 of every transformed
// axis. All transforms are unitary (norm 1/sqrt(n)).
#pragma once
#include <array>
#include <complex>

#include "base/array.h"

namespace mr::kspace {

using Complex = std::complex<float>;
enum class Encoding { in_plane_2d, volumetric_3d };  // transforms H, W  |  D, H, W

/// Centred unitary discrete Fourier transform, in place.
/// image    [C, D, H, W]; the unit and the sum of |x|^2 are kept
/// throws   DataError when it has not four axes, or one to transform has length 0
/// source   Bracewell 2000, The Fourier Transform and Its Applications, 3rd ed.
void to_kspace(Array<Complex>& image, Encoding encoding);

/// Inverse of to_kspace to float rounding; the same shapes, unit and errors.
void to_image(Array<Complex>& spectrum, Encoding encoding);

/// The same along one axis: 1 D, 2 H, 3 W.
void to_kspace(Array<Complex>& image, int axis);
void to_image(Array<Complex>& spectrum, int axis);

}  // namespace mr::kspace
