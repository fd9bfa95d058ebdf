#include "artifact/receiver/full_scale.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <numeric>

#include "artifact/rows.h"
#include "base/simd.h"
#include "base/threads.h"
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

  bool is_plain() const {
    if (volume_.is_complex()) return false;
    const auto* voxels = volume_.voxels.data() + first_;
    return std::none_of(voxels, voxels + depth * lines * readout, [](float x) { return x < 0; });
  }

  /// Of real voxels.
  void copy_row(std::int64_t slice, std::int64_t line, float* to) const {
    const auto step = stride(volume_, roles_.readout);
    const auto* from = volume_.voxels.data() + first_ + slice * stride(volume_, roles_.slice) +
                       line * stride(volume_, roles_.phase_encode);
    if (step == 1)
      std::copy_n(from, readout, to);
    else
      for (std::int64_t x = 0; x < readout; ++x) to[x] = from[x * step];
  }

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

using LaneSums = std::array<double, sum_lanes>;

/// n  a multiple of the lanes
MR_SIMD void add_row(const float* values, std::int64_t n, LaneSums& sums) {
  LaneSums row = sums;
  for (std::int64_t first = 0; first < n; first += static_cast<std::int64_t>(row.size()))
    for (std::size_t l = 0; l < row.size(); ++l)
      row[l] += static_cast<double>(values[first + static_cast<std::int64_t>(l)]);
  sums = row;
}

/// Of `depth` slices that share a transform: |K(k)| <= sum |I| / sqrt(N), met at k = 0 where I >=
/// 0.
double of_magnitudes(const Frame& frame, std::int64_t first, std::int64_t depth, int threads) {
  const auto padded = whole_lanes(frame.readout);
  const auto of_slice = [&](std::int64_t s) {
    std::vector<float> row(static_cast<std::size_t>(padded));
    LaneSums sums{};
    for (std::int64_t y = 0; y < frame.lines; ++y) {
      frame.copy_row(first + s, y, row.data());
      add_row(row.data(), padded, sums);
    }
    return std::accumulate(sums.begin(), sums.end(), 0.0);
  };
  const auto sums = parallel_map(threads, depth, of_slice);
  return std::accumulate(sums.begin(), sums.end(), 0.0) /
         std::sqrt(static_cast<double>(depth * frame.lines * frame.readout));
}

double by_transform(const Frame& frame, std::int64_t first, std::int64_t depth, int threads) {
  Array<float> re({depth, frame.lines, frame.readout}), im(re.shape());
  parallel_for(threads, depth, [&](std::int64_t s) {
    frame.for_voxels(first + s, [&](std::int64_t at, std::complex<float> value) {
      re[s * frame.lines * frame.readout + at] = value.real();
      im[s * frame.lines * frame.readout + at] = value.imag();
    });
  });
  for (int axis = depth > 1 ? 0 : 1; axis < 3; ++axis)
    kspace::transform_axis(re, im, axis, kspace::Direction::to_kspace, threads);
  float most = 0;
  for (const auto* part : {&re, &im})
    for (const float value : *part) most = std::max(most, std::fabs(value));
  return static_cast<double>(most);
}

}  // namespace

std::vector<double> kspace_maxima(const Context& context) {
  const Frame frame(context);
  const auto maximum = frame.is_plain() ? of_magnitudes : by_transform;
  if (context.is_3d()) return {maximum(frame, 0, frame.depth, context.threads)};
  return parallel_map(context.threads, frame.depth,
                      [&](std::int64_t s) { return maximum(frame, s, 1, 1); });
}

double full_scale(const std::vector<double>& maxima) {
  return *std::max_element(maxima.begin(), maxima.end());
}

}  // namespace mr::artifact
