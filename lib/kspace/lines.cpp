#include "kspace/lines.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/simd.h"
#include "kspace/line_fft.h"

namespace mr::kspace {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr std::int64_t lanes = lane_count;   // columns side by side in a matrix product
constexpr std::int64_t rows_at_once = 4;     // of the matrix
constexpr std::int64_t longest_direct = 96;  // up to here a product beats copies and transforms

/// Rows of x, paired about the central one: even [t] = x(t) + x(-t), odd [t] = x(t) - x(-t), for
/// t = 0 .. n/2; what has no partner stands alone in `even`. The cosines of a transform act on the
/// even part, the sines on the odd one, which takes a quarter of the work of the full matrix.
MR_SIMD void fold(const float* x, std::int64_t n, std::int64_t stride, std::int64_t width,
                  float* even, float* odd) {
  const auto centre = n / 2;
  for (std::int64_t t = 0; t <= centre; ++t) {
    const bool paired = t > 0 && 2 * t != n;
    const float* minus = x + (centre - t) * stride;
    const float* plus = paired ? x + (centre + t) * stride : minus;
    const float weight = paired ? 1.0f : 0.0f;
    for (std::int64_t l = 0; l < width; ++l) {
      even[t * lanes + l] = plus[l] + weight * minus[l];
      odd[t * lanes + l] = plus[l] - minus[l];
    }
  }
}

/// out[r] = sum over t of matrix[r][t] x[t], for `rows_at_once` rows.
MR_SIMD void multiply_rows(const float* const* matrix, std::int64_t count, const float* x,
                           float* out) {
  const auto* in = reinterpret_cast<const Lanes*>(x);
  const float *m0 = matrix[0], *m1 = matrix[1], *m2 = matrix[2], *m3 = matrix[3];
  Lanes sum0{}, sum1{}, sum2{}, sum3{};
  for (std::int64_t t = 0; t < count; ++t) {
    const Lanes value = in[t];
    sum0 += m0[t] * value;
    sum1 += m1[t] * value;
    sum2 += m2[t] * value;
    sum3 += m3[t] * value;
  }
  auto* to = reinterpret_cast<Lanes*>(out);
  to[0] = sum0;
  to[1] = sum1;
  to[2] = sum2;
  to[3] = sum3;
}

/// One line: even +- i times odd.
MR_SIMD void combine(const float* even_re, const float* even_im, const float* odd_re,
                     const float* odd_im, float sign, std::int64_t width, float* out_re,
                     float* out_im) {
  for (std::int64_t l = 0; l < width; ++l) {
    out_re[l] = even_re[l] + sign * odd_im[l];
    out_im[l] = even_im[l] - sign * odd_re[l];
  }
}

}  // namespace

PhaseEncode::PhaseEncode(std::int64_t n) : n_(n) {
  if (n < 1) throw DataError("phase encoding: want at least one line, got " + std::to_string(n));
  all_lines_.resize(static_cast<std::size_t>(n));
  std::iota(all_lines_.begin(), all_lines_.end(), 0);
  if (n > longest_direct) return;
  const auto half = n / 2 + 1;
  cosine_ = Array<float>({half, half});
  sine_ = Array<float>({half, half});
  std::vector<double> turn_cosine, turn_sine;
  for (std::int64_t j = 0; j < n; ++j) {
    const double angle = 2 * pi * static_cast<double>(j) / static_cast<double>(n);
    turn_cosine.push_back(std::cos(angle) / std::sqrt(static_cast<double>(n)));
    turn_sine.push_back(std::sin(angle) / std::sqrt(static_cast<double>(n)));
  }
  for (std::int64_t k = 0; k < half; ++k)
    for (std::int64_t t = 0; t < half; ++t) {
      const auto turn = static_cast<std::size_t>(k * t % n);
      cosine_[k * half + t] = static_cast<float>(turn_cosine[turn]);
      sine_[k * half + t] = static_cast<float>(turn_sine[turn]);
    }
}

void PhaseEncode::forward(const float* re, const float* im, std::int64_t stride,
                          std::int64_t columns, const std::vector<int>& lines, float* out_re,
                          float* out_im) const {
  if (is_product())
    multiply(Direction::forward, re, im, stride, columns, lines, out_re, out_im);
  else
    transform_columns(ColumnFft::Side::spectrum, n_, re, im, stride, columns,
                      static_cast<std::int64_t>(lines.size()) == n_ ? nullptr : &lines, out_re,
                      out_im);
}

void PhaseEncode::inverse(float* re, float* im, std::int64_t stride, std::int64_t columns) const {
  if (is_product())
    multiply(Direction::inverse, re, im, stride, columns, all_lines_, re, im);
  else
    transform_columns(ColumnFft::Side::image, n_, re, im, stride, columns, nullptr, re, im);
}

/// K(+-k) = C even -+ i S odd, with matrices C of cosines and S of sines.
void PhaseEncode::multiply(Direction direction, const float* re, const float* im,
                           std::int64_t stride, std::int64_t columns, const std::vector<int>& lines,
                           float* out_re, float* out_im) const {
  const auto centre = n_ / 2, half = centre + 1;
  std::vector<char> wanted(static_cast<std::size_t>(n_));
  std::vector<char> frequencies(static_cast<std::size_t>(half));
  for (const int line : lines) {
    wanted[static_cast<std::size_t>(line)] = 1;
    frequencies[static_cast<std::size_t>(std::abs(line - centre))] = 1;
  }
  std::vector<std::int64_t> rows;
  for (std::int64_t k = 0; k < half; ++k)
    if (frequencies[static_cast<std::size_t>(k)]) rows.push_back(k);

  Array<float> folded({4, half, lanes});
  float *even_re = folded.data(), *odd_re = even_re + half * lanes,
        *even_im = odd_re + half * lanes, *odd_im = even_im + half * lanes;
  alignas(64) float c_re[rows_at_once * lanes],
      c_im[rows_at_once * lanes] = {}, s_re[rows_at_once * lanes], s_im[rows_at_once * lanes] = {};
  for (std::int64_t first = 0; first < columns; first += lanes) {
    const auto width = std::min(lanes, columns - first);
    fold(re + first, n_, stride, width, even_re, odd_re);
    if (im) fold(im + first, n_, stride, width, even_im, odd_im);
    for (std::size_t row = 0; row < rows.size(); row += rows_at_once) {
      const auto count = std::min<std::size_t>(rows_at_once, rows.size() - row);
      const float *cosines[rows_at_once], *sines[rows_at_once];
      for (std::size_t r = 0; r < rows_at_once; ++r) {
        const auto k = rows[row + std::min(r, count - 1)];
        cosines[r] = cosine_.data() + k * half;
        sines[r] = sine_.data() + k * half;
      }
      multiply_rows(cosines, half, even_re, c_re);
      multiply_rows(sines, half, odd_re, s_re);
      if (im) {
        multiply_rows(cosines, half, even_im, c_im);
        multiply_rows(sines, half, odd_im, s_im);
      }
      for (std::size_t r = 0; r < count; ++r)
        for (const int side : {1, -1}) {
          const auto k = rows[row + r];
          if (side > 0 && 2 * k == n_) continue;  // only the negative one exists
          const auto line = centre + side * k;
          if (!wanted[static_cast<std::size_t>(line)]) continue;
          const float sign = (direction == Direction::forward) == (side > 0) ? 1.0f : -1.0f;
          const auto to = line * stride + first;
          combine(c_re + r * lanes, c_im + r * lanes, s_re + r * lanes, s_im + r * lanes, sign,
                  width, out_re + to, out_im + to);
        }
    }
  }
}

LineFilter::LineFilter(const std::vector<std::complex<double>>& weights)
    : encode_(static_cast<std::int64_t>(weights.size())),
      lines_(weights.size()),
      weights_(weights.begin(), weights.end()) {
  std::iota(lines_.begin(), lines_.end(), 0);
  const auto n = weights.size();
  for (std::size_t i = 0; i < n; ++i)
    rotated_.emplace_back(weights[(i + n / 2) % n] / static_cast<double>(n));
}

void LineFilter::apply(float* re, float* im, std::int64_t stride, std::int64_t columns,
                       bool real) const {
  if (!encode_.is_product()) {
    const auto rotation = encode_.size() - encode_.size() / 2;
    ColumnFft fft(encode_.size(), Numbers::complex);
    for (std::int64_t first = 0; first < columns; first += ColumnFft::columns) {
      const auto width = std::min(ColumnFft::columns, columns - first);
      fft.load(ColumnFft::Side::image, re + first, real ? nullptr : im + first, stride, width,
               rotation);
      fft.forward(width);
      fft.multiply(rotated_.data(), width);
      fft.backward(width);
      fft.store(ColumnFft::Side::image, 1, re + first, im + first, stride, width, rotation);
    }
    return;
  }
  encode_.forward(re, real ? nullptr : im, stride, columns, lines_, re, im);
  for (std::size_t k = 0; k < weights_.size(); ++k) {
    const float a = weights_[k].real(), b = weights_[k].imag();
    const auto first = static_cast<std::int64_t>(k) * stride;
    for (auto c = first; c < first + columns; ++c) {
      const float x = re[c], y = im[c];
      re[c] = a * x - b * y;
      im[c] = a * y + b * x;
    }
  }
  encode_.inverse(re, im, stride, columns);
}

}  // namespace mr::kspace
