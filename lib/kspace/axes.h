// kspace/: between image space and k-space. Images are [D, H, W], the voxel axes z, y, x or slice,
// phase encoding and readout, split in real and imaginary parts. Zero frequency sits at index n / 2
// of every transformed axis; all transforms are unitary (norm 1/sqrt(n)).
#pragma once
#include <complex>
#include <vector>

#include "base/array.h"

namespace mr::kspace {

enum class Direction { to_kspace, to_image };

/// Centred unitary discrete Fourier transform of one axis (0 D, 1 H, 2 W), in place. An empty `im`
/// is an image without imaginary part; it is there afterwards. The number of threads does not
/// change a bit. throws   DataError when the axis has length 0 source   Bracewell 2000, The Fourier
/// Transform and Its Applications, 3rd ed.
void transform_axis(Array<float>& re, Array<float>& im, int axis, Direction direction, int threads);

/// Multiplies the k-space of one axis by weights [n], in place; `im` as above.
/// throws DataError unless there is one weight for each sample
void filter_axis(Array<float>& re, Array<float>& im, int axis,
                 const std::vector<std::complex<double>>& weights, int threads);

}  // namespace mr::kspace
