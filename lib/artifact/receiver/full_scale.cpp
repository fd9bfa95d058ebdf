#include "artifact/receiver/full_scale.h"

#include <algorithm>
#include <cmath>
#include <complex>

#include "kspace/axes.h"

namespace mr::artifact {
namespace {

/// Slices of the clean frame, as of a block.
class Frame {
 public:
  explicit Frame(const Context& context)
      : volume_(context.volume),
        roles_(context.roles),
        depth(context.slices()),
        lines(context.lines()),
        readout(context.readout()),
        first_(context.frame * (count(volume_.shape()) / volume_.frames())) {}

  /// body(index in a block of one slice, value)
  template <typename Body>
  void for_voxels(std::int64_t slice, Body body) const {
    const auto start = first_ + slice * stride(volume_, roles_.slice);
    const auto step_y = stride(volume_, roles_.phase_encode),
               step_x = stride(volume_, roles_.readout);
    for (std::int64_t y = 0; y < lines; ++y)
      for (std::int64_t x = 0; x < readout; ++x) {
        const auto at = start + y * step_y + x * step_x;
        body(y * readout + x, volume_.is_complex() ? volume_.complex_voxels[at]
                                                   : std::complex<float>(volume_.voxels[at]));
      }
  }

 private:
  const image::Volume& volume_;
  const Roles& roles_;

 public:
  const std::int64_t depth, lines, readout;

 private:
  std::int64_t first_;
};

/// Of `depth` slices that share a transform: |K(k)| <= sum |I| / sqrt(N), met at k = 0 where I >=
/// 0.
double of_magnitudes(const Frame& frame, std::int64_t first, std::int64_t depth) {
  double sum = 0;
  for (auto s = first; s < first + depth; ++s)
    frame.for_voxels(s, [&](std::int64_t, std::complex<float> value) {
      sum += static_cast<double>(value.real());
    });
  return sum / std::sqrt(static_cast<double>(depth * frame.lines * frame.readout));
}

double by_transform(const Frame& frame, std::int64_t first, std::int64_t depth) {
  Array<float> re({depth, frame.lines, frame.readout}), im(re.shape());
  for (std::int64_t s = 0; s < depth; ++s)
    frame.for_voxels(first + s, [&](std::int64_t at, std::complex<float> value) {
      re[s * frame.lines * frame.readout + at] = value.real();
      im[s * frame.lines * frame.readout + at] = value.imag();
    });
  for (int axis = depth > 1 ? 0 : 1; axis < 3; ++axis)
    kspace::transform_axis(re, im, axis, kspace::Direction::to_kspace, 1);
  float most = 0;
  for (std::int64_t i = 0; i < re.size(); ++i)
    most = std::max({most, std::fabs(re[i]), std::fabs(im[i])});
  return static_cast<double>(most);
}

}  // namespace

std::vector<double> kspace_maxima(const Context& context) {
  const Frame frame(context);
  const auto& voxels = context.volume.voxels;
  const bool plain = !context.volume.is_complex() &&
                     std::none_of(voxels.begin(), voxels.end(), [](float x) { return x < 0; });
  const auto maximum = plain ? of_magnitudes : by_transform;
  if (context.is_3d()) return {maximum(frame, 0, frame.depth)};
  std::vector<double> maxima;
  for (std::int64_t s = 0; s < frame.depth; ++s) maxima.push_back(maximum(frame, s, 1));
  return maxima;
}

double full_scale(const std::vector<double>& maxima) {
  return *std::max_element(maxima.begin(), maxima.end());
}

}  // namespace mr::artifact
