#include "artifact/object/warp.h"

#include <algorithm>
#include <vector>

#include "base/simd.h"

namespace mr::artifact {
namespace {

/// Four neighbours along the readout.
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

struct Weights {
  float w0, w1, w2, w3;
};

/// Keys 1981, eq. 15, of the distances 1 + f, f, 1 - f, 2 - f.
inline Weights weights(float f) {
  return {f * (-0.5f + f * (1 - 0.5f * f)), 1 + f * f * (1.5f * f - 2.5f),
          f * (0.5f + f * (2 - 1.5f * f)), f * f * (0.5f * f - 0.5f)};
}

/// Where each voxel of a line comes from: the first of its taps in a plane with margin, and how far
/// it lies behind the second line and column, 0 to 1.
struct Places {
  explicit Places(std::int64_t readout)
      : first(static_cast<std::size_t>(readout)),
        past_line(first.size()),
        past_column(first.size()) {}
  std::vector<std::int32_t> first;
  std::vector<float> past_line, past_column;
};

/// From a voxel before the first one: what lies beyond that, or as far behind the last, sees the
/// outermost voxel only.
inline double within(double place, double n) {
  return std::min(std::max(place, 0.0), n + 1);
}

MR_SIMD void find_places(const double* dy, const double* dx, std::int64_t line, std::int64_t lines,
                         std::int64_t readout, std::int32_t* first, float* past_line,
                         float* past_column) {
  const auto width = static_cast<std::int32_t>(readout + margin);
  const auto end_y = static_cast<double>(lines), end_x = static_cast<double>(readout);
  const auto next_line = static_cast<double>(line + 1);
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(readout); ++i) {
    const double y = within(next_line + dy[i], end_y), x = within((i + 1) + dx[i], end_x);
    const auto whole_y = static_cast<std::int32_t>(y), whole_x = static_cast<std::int32_t>(x);
    first[i] = whole_y * width + whole_x;
    past_line[i] = static_cast<float>(y - whole_y);
    past_column[i] = static_cast<float>(x - whole_x);
  }
}

inline Taps load(const float* from) {
  Taps taps;
  __builtin_memcpy(&taps, from, sizeof taps);
  return taps;
}

/// Weights of the four lines: [tap][voxel].
MR_SIMD void weigh_lines(const float* past_line, std::int64_t n, float* __restrict of_lines) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto w = weights(past_line[i]);
    of_lines[i] = w.w0;
    of_lines[n + i] = w.w1;
    of_lines[2 * n + i] = w.w2;
    of_lines[3 * n + i] = w.w3;
  }
}

/// Sums over the four lines: [voxel][column].
MR_SIMD void sum_lines(const float* plane, std::int64_t width, const std::int32_t* first,
                       const float* of_lines, std::int64_t n, float* columns) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float* from = plane + first[i];
    const Taps sum = (of_lines[i] * load(from) + of_lines[n + i] * load(from + width)) +
                     (of_lines[2 * n + i] * load(from + 2 * width) +
                      of_lines[3 * n + i] * load(from + 3 * width));
    __builtin_memcpy(columns + 4 * i, &sum, sizeof sum);
  }
}

MR_SIMD void sum_columns(const float* columns, const float* past_column, std::int64_t n,
                         float* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto w = weights(past_column[i]);
    const float* column = columns + 4 * i;
    out[i] = (w.w0 * column[0] + w.w1 * column[1]) + (w.w2 * column[2] + w.w3 * column[3]);
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
    std::vector<float> of_lines(4 * dy.size()), columns(of_lines.size());
    for (std::int64_t line = 0; line < lines; ++line) {
      displacement(slice, line, dy.data(), dx.data());
      find_places(dy.data(), dx.data(), line, lines, readout, at.first.data(), at.past_line.data(),
                  at.past_column.data());
      weigh_lines(at.past_line.data(), readout, of_lines.data());
      const auto take = [&](const std::vector<float>& from, float* to) {
        sum_lines(from.data(), width, at.first.data(), of_lines.data(), readout, columns.data());
        sum_columns(columns.data(), at.past_column.data(), readout, to + line * readout);
      };
      take(from_re, re);
      if (!is_real) take(from_im, im);
    }
  });
}

}  // namespace mr::artifact
