// kspace/: between image space and k-space. Images are [D, H, W], the voxel axes z, y, x or slice,
// phase encoding and readout, split in real and imaginary parts. Zero frequency sits at index n / 2
// of every transformed axis; all transforms are unitary (norm 1/sqrt(n)).
#pragma once
#include <complex>
#include <optional>
#include <vector>

#include "base/array.h"
#include "kspace/lines.h"

namespace mr::kspace {

enum class Direction { to_kspace, to_image };

/// Centred unitary discrete Fourier transform of one axis (0 D, 1 H, 2 W), in place. An empty `im`
/// is an image without imaginary part; it is there afterwards. The number of threads does not
/// change a bit. throws   DataError when the axis has length 0 source   Bracewell 2000, The Fourier
/// Transform and Its Applications, 3rd ed.
void transform_axis(Array<float>& re, Array<float>& im, int axis, Direction direction, int threads);

/// Multiplies the k-space of one axis by weights; made once, applied to any number of images.
class AxisFilter {
 public:
  /// weights  [n], one for each sample of the axis (0 D, 1 H, 2 W)
  AxisFilter(int axis, const std::vector<std::complex<double>>& weights);

  /// In place; `im` as in transform_axis. throws DataError when the axis has another length
  void apply(Array<float>& re, Array<float>& im, int threads) const;

 private:
  int axis_;
  std::int64_t n_;
  std::optional<LineFilter> columns_;         // axes 0 and 1
  std::vector<std::complex<float>> rotated_;  // else: zero frequency first, divided by n
};

}  // namespace mr::kspace
