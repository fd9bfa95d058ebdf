#include "artifact/object/warp.h"

#include <algorithm>
#include <vector>

#include "kspace/simd.h"

namespace mr::artifact {
namespace {

/// Four neighbours along the readout, or their weights.
using Taps = float __attribute__((vector_size(16)));

/// Voxels by which a plane goes on before its first and behind its last: all that taps can reach.
constexpr std::int64_t before = 2, behind = 3, margin = before + behind;

/// The plane with its outermost voxels repeated around it, so that no tap needs a limit.
std::vector<float> with_margin(const float* plane, std::int64_t lines, std::int64_t readout) {
  std::vector<float> wide(static_cast<std::size_t>((lines + margin) * (readout + margin)));
  float* to = wide.data();
  for (std::int64_t y = -before; y < lines + behind; ++y) {
    const float* line = plane + std::clamp(y, std::int64_t{0}, lines - 1) * readout;
    to = std::fill_n(to, before, line[0]);
    to = std::copy_n(line, readout, to);
    to = std::fill_n(to, behind, line[readout - 1]);
  }
  return wide;
}

/// Where each voxel of a line comes from: the first of its taps in a plane with margin, and how far
/// it lies behind the second one, 0 to 1.
struct Places {
  explicit Places(std::int64_t readout)
      : first(static_cast<std::size_t>(readout)),
        past_line(first.size()),
        past_column(first.size()) {}
  std::vector<std::int32_t> first;
  std::vector<float> past_line, past_column;
};

/// What lies a voxel or more outside of [0, n - 1] sees the outermost voxel only.
inline double within(double place, double n) {
  return std::min(std::max(place, -1.0), n);
}

MR_SIMD void find_places(const double* dy, const double* dx, std::int64_t line, std::int64_t lines,
                         std::int64_t readout, std::int32_t* first, float* past_line,
                         float* past_column) {
  const auto width = static_cast<std::int32_t>(readout + margin);
  const auto from_line = static_cast<double>(line);
  const auto end_y = static_cast<double>(lines), end_x = static_cast<double>(readout);
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(readout); ++i) {
    const double y = within(from_line + dy[i], end_y), x = within(i + dx[i], end_x);
    const double whole_y = __builtin_floor(y), whole_x = __builtin_floor(x);
    first[i] =
        (static_cast<std::int32_t>(whole_y) + 1) * width + static_cast<std::int32_t>(whole_x) + 1;
    past_line[i] = static_cast<float>(y - whole_y);
    past_column[i] = static_cast<float>(x - whole_x);
  }
}

/// Keys 1981, eq. 15, of the distances 1 + f, f, 1 - f, 2 - f.
inline Taps weights(float f) {
  return Taps{0, 1, 0, 0} +
         f * (Taps{-0.5f, 0, 0.5f, 0} +
              f * (Taps{1, -2.5f, 2, -0.5f} + f * Taps{-0.5f, 1.5f, -1.5f, 0.5f}));
}

inline Taps load(const float* from) {
  Taps taps;
  __builtin_memcpy(&taps, from, sizeof taps);
  return taps;
}

MR_SIMD void interpolate(const float* plane, std::int64_t width, const std::int32_t* first,
                         const float* past_line, const float* past_column, std::int64_t n,
                         float* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float* from = plane + first[i];
    const Taps along_lines = weights(past_line[i]);
    const Taps columns = along_lines[0] * load(from) + along_lines[1] * load(from + width) +
                         along_lines[2] * load(from + 2 * width) +
                         along_lines[3] * load(from + 3 * width);
    const Taps weighted = columns * weights(past_column[i]);
    out[i] = (weighted[0] + weighted[1]) + (weighted[2] + weighted[3]);
  }
}

}  // namespace

void warp(Block& block, int threads, const Displacement& displacement) {
  const bool is_real = block.is_real();
  block.make_complex();
  const auto lines = block.lines(), readout = block.readout(), width = readout + margin;
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    const auto from_re = with_margin(re, lines, readout);
    const auto from_im = is_real ? std::vector<float>() : with_margin(im, lines, readout);
    std::vector<double> dy(static_cast<std::size_t>(readout)), dx(dy.size());
    Places at(readout);
    for (std::int64_t line = 0; line < lines; ++line) {
      displacement(slice, line, dy.data(), dx.data());
      find_places(dy.data(), dx.data(), line, lines, readout, at.first.data(), at.past_line.data(),
                  at.past_column.data());
      const auto take = [&](const std::vector<float>& from, float* to) {
        interpolate(from.data(), width, at.first.data(), at.past_line.data(), at.past_column.data(),
                    readout, to + line * readout);
      };
      take(from_re, re);
      if (!is_real) take(from_im, im);
    }
  });
}

}  // namespace mr::artifact
