#include "artifact/object/warp.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace mr::artifact {
namespace {

/// Four neighbours of a place along an axis of n voxels, and their weights.
struct Taps {
  std::array<std::int64_t, 4> index;
  std::array<double, 4> weight;
};

/// Keys 1981, eq. 15.
double kernel(double s) {
  s = std::fabs(s);
  if (s < 1) return (1.5 * s - 2.5) * s * s + 1;
  return s < 2 ? ((-0.5 * s + 2.5) * s - 4) * s + 2 : 0;
}

Taps taps_at(double place, std::int64_t n) {
  const double floor = std::floor(place);
  Taps taps{};
  for (std::size_t t = 0; t < 4; ++t) {
    const double at = floor + static_cast<double>(t) - 1;
    taps.index[t] = std::clamp(static_cast<std::int64_t>(at), std::int64_t{0}, n - 1);
    taps.weight[t] = kernel(place - at);
  }
  return taps;
}

double read(const std::vector<float>& plane, std::int64_t readout, const Taps& y, const Taps& x) {
  double sum = 0;
  for (std::size_t a = 0; a < 4; ++a)
    for (std::size_t b = 0; b < 4; ++b)
      sum +=
          y.weight[a] * x.weight[b] *
          static_cast<double>(plane[static_cast<std::size_t>(y.index[a] * readout + x.index[b])]);
  return sum;
}

}  // namespace

void warp(Block& block, int threads, const Displacement& displacement) {
  block.make_complex();
  const auto lines = block.lines(), readout = block.readout();
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    const std::vector<float> from_re(re, re + block.plane_size());
    const std::vector<float> from_im(im, im + block.plane_size());
    std::vector<double> dy(static_cast<std::size_t>(readout)), dx(dy.size());
    for (std::int64_t line = 0, i = 0; line < lines; ++line) {
      displacement(slice, line, dy.data(), dx.data());
      for (std::int64_t column = 0; column < readout; ++column, ++i) {
        const auto at = static_cast<std::size_t>(column);
        const auto y = taps_at(static_cast<double>(line) + dy[at], lines);
        const auto x = taps_at(static_cast<double>(column) + dx[at], readout);
        re[i] = static_cast<float>(read(from_re, readout, y, x));
        im[i] = static_cast<float>(read(from_im, readout, y, x));
      }
    }
  });
}

}  // namespace mr::artifact
