#include "kspace/lines.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kspace/line_fft.h"
#include "kspace/simd.h"

namespace mr::kspace {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr std::int64_t lanes = 16;  // columns side by side in a matrix product

/// A matrix product wins over the fast transform for short lines, and for somewhat longer ones
/// whose length has a large prime factor.
bool direct_is_faster(std::int64_t n) {
  std::int64_t largest = 1, rest = n;
  for (std::int64_t p = 2; p <= rest; ++p)
    while (rest % p == 0) {
      largest = p;
      rest /= p;
    }
  return n <= 40 || (n <= 128 && largest > 7);
}

LineMatrix matrix(std::int64_t rows, std::int64_t n) {
  return {rows, n, Array<float>({rows, n}), Array<float>({rows, n})};
}

/// Element [k][y] is exp(sign 2 pi i (k - c)(y - c) / n) / sqrt(n), c = n / 2.
LineMatrix fourier_matrix(std::int64_t n, double sign) {
  std::vector<std::complex<float>> turns;
  for (std::int64_t j = 0; j < n; ++j) {
    const double angle = sign * 2 * pi * static_cast<double>(j) / static_cast<double>(n);
    const double scale = 1 / std::sqrt(static_cast<double>(n));
    turns.emplace_back(static_cast<float>(scale * std::cos(angle)),
                       static_cast<float>(scale * std::sin(angle)));
  }
  auto m = matrix(n, n);
  for (std::int64_t k = 0; k < n; ++k)
    for (std::int64_t y = 0; y < n; ++y) {
      const auto turn = turns[static_cast<std::size_t>(((k - n / 2) * (y - n / 2) % n + n) % n)];
      m.re[k * n + y] = turn.real();
      m.im[k * n + y] = turn.imag();
    }
  return m;
}

/// Four rows of a complex matrix [., n] times a real image [n, lanes].
MR_SIMD void multiply_real(const float* const* re, const float* const* im, std::int64_t n,
                           const float* x, float* out_re, float* out_im) {
  float sum_re[4][lanes] = {}, sum_im[4][lanes] = {};
  for (std::int64_t y = 0; y < n; ++y)
    for (int r = 0; r < 4; ++r)
      for (std::int64_t l = 0; l < lanes; ++l) {
        sum_re[r][l] += re[r][y] * x[y * lanes + l];
        sum_im[r][l] += im[r][y] * x[y * lanes + l];
      }
  std::memcpy(out_re, sum_re, sizeof sum_re);
  std::memcpy(out_im, sum_im, sizeof sum_im);
}

/// The same with a complex image.
MR_SIMD void multiply_complex(const float* const* re, const float* const* im, std::int64_t n,
                              const float* x, const float* y, float* out_re, float* out_im) {
  float sum_re[4][lanes] = {}, sum_im[4][lanes] = {};
  for (std::int64_t k = 0; k < n; ++k)
    for (int r = 0; r < 4; ++r)
      for (std::int64_t l = 0; l < lanes; ++l) {
        sum_re[r][l] += re[r][k] * x[k * lanes + l] - im[r][k] * y[k * lanes + l];
        sum_im[r][l] += im[r][k] * x[k * lanes + l] + re[r][k] * y[k * lanes + l];
      }
  std::memcpy(out_re, sum_re, sizeof sum_re);
  std::memcpy(out_im, sum_im, sizeof sum_im);
}

/// Rows `rows` of m times an image [n, columns] into the same rows of out, which may be the image
/// itself; im null: the image is real.
void multiply(const LineMatrix& m, const std::vector<int>& rows, const float* re, const float* im,
              std::int64_t columns, float* out_re, float* out_im) {
  const auto n = m.n;
  Array<float> x({n, lanes}), y({im ? n : 0, lanes});
  alignas(64) float sum_re[4 * lanes], sum_im[4 * lanes];
  for (std::int64_t first = 0; first < columns; first += lanes) {
    const auto width = std::min(lanes, columns - first);
    for (std::int64_t k = 0; k < n; ++k) {
      std::copy_n(re + k * columns + first, width, x.data() + k * lanes);
      if (im) std::copy_n(im + k * columns + first, width, y.data() + k * lanes);
    }
    for (std::size_t row = 0; row < rows.size(); row += 4) {
      const auto count = std::min<std::size_t>(4, rows.size() - row);
      const float *row_re[4], *row_im[4];
      for (std::size_t r = 0; r < 4; ++r) {
        const auto index = rows[row + std::min(r, count - 1)];
        row_re[r] = m.re.data() + index * n;
        row_im[r] = m.im.data() + index * n;
      }
      if (im)
        multiply_complex(row_re, row_im, n, x.data(), y.data(), sum_re, sum_im);
      else
        multiply_real(row_re, row_im, n, x.data(), sum_re, sum_im);
      for (std::size_t r = 0; r < count; ++r) {
        const auto to = rows[row + r] * columns + first;
        std::copy_n(sum_re + r * lanes, width, out_re + to);
        std::copy_n(sum_im + r * lanes, width, out_im + to);
      }
    }
  }
}

std::vector<int> all_lines(std::int64_t n) {
  std::vector<int> lines(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < lines.size(); ++i) lines[i] = static_cast<int>(i);
  return lines;
}

enum class Direction { forward, inverse };

/// Loads up to LineFft::lanes columns of [n, columns], each rotated by n / 2 so that the transform
/// is centred, transforms them, and hands each sample to store(row, lane, value).
template <typename Store>
void transform_columns(LineFft& fft, Direction direction, std::int64_t n, const float* re,
                       const float* im, std::int64_t columns, std::int64_t first, Store store) {
  const auto width = std::min(LineFft::lanes, columns - first);
  const bool forward = direction == Direction::forward;
  for (std::int64_t k = 0; k < n; ++k) {
    const auto to = (k + n - n / 2) % n;
    for (std::int64_t l = 0; l < width; ++l)
      (forward ? fft.line(l) : fft.spectrum(l))[to] = {re[k * columns + first + l],
                                                       im ? im[k * columns + first + l] : 0.0f};
  }
  if (forward)
    fft.forward();
  else
    fft.backward();
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(n)));
  for (std::int64_t k = 0; k < n; ++k) {
    const auto from = (k + n - n / 2) % n;
    for (std::int64_t l = 0; l < width; ++l)
      store(k, l, (forward ? fft.spectrum(l) : fft.line(l))[from] * scale);
  }
}

}  // namespace

PhaseEncode::PhaseEncode(std::int64_t n) : n_(n) {
  if (n < 1) throw DataError("phase encoding: want at least one line, got " + std::to_string(n));
  if (!direct_is_faster(n)) return;
  to_lines_ = fourier_matrix(n, -1);
  to_rows_ = fourier_matrix(n, 1);
}

void PhaseEncode::forward(const float* re, const float* im, std::int64_t columns,
                          const std::vector<int>& lines, float* out_re, float* out_im) const {
  if (to_lines_.n > 0) {
    multiply(to_lines_, lines, re, im, columns, out_re, out_im);
    return;
  }
  std::vector<char> wanted(static_cast<std::size_t>(n_));
  for (const int line : lines) wanted[static_cast<std::size_t>(line)] = 1;
  LineFft fft(n_, LineFft::Kind::complex);
  for (std::int64_t first = 0; first < columns; first += LineFft::lanes)
    transform_columns(fft, Direction::forward, n_, re, im, columns, first,
                      [&](std::int64_t k, std::int64_t l, Complex value) {
                        if (!wanted[static_cast<std::size_t>(k)]) return;
                        out_re[k * columns + first + l] = value.real();
                        out_im[k * columns + first + l] = value.imag();
                      });
}

void PhaseEncode::inverse(float* re, float* im, std::int64_t columns) const {
  if (to_rows_.n > 0) {
    multiply(to_rows_, all_lines(n_), re, im, columns, re, im);
    return;
  }
  LineFft fft(n_, LineFft::Kind::complex);
  for (std::int64_t first = 0; first < columns; first += LineFft::lanes)
    transform_columns(fft, Direction::inverse, n_, re, im, columns, first,
                      [&](std::int64_t k, std::int64_t l, Complex value) {
                        re[k * columns + first + l] = value.real();
                        im[k * columns + first + l] = value.imag();
                      });
}

LineFilter::LineFilter(const std::vector<std::complex<double>>& weights)
    : encode_(static_cast<std::int64_t>(weights.size())), weights_(weights.begin(), weights.end()) {
  const auto n = static_cast<std::int64_t>(weights.size());
  if (!direct_is_faster(n)) return;
  // In image space the filter is a circular convolution.
  std::vector<std::complex<double>> kernel(weights.size());
  for (std::int64_t y = 0; y < n; ++y) {
    for (std::int64_t k = 0; k < n; ++k)
      kernel[static_cast<std::size_t>(y)] +=
          weights[static_cast<std::size_t>(k)] *
          std::polar(1.0,
                     2 * pi * static_cast<double>((k - n / 2) * y % n) / static_cast<double>(n));
    kernel[static_cast<std::size_t>(y)] /= static_cast<double>(n);
  }
  direct_ = matrix(n, n);
  for (std::int64_t y = 0; y < n; ++y)
    for (std::int64_t x = 0; x < n; ++x) {
      const auto value = kernel[static_cast<std::size_t>((y - x + n) % n)];
      direct_.re[y * n + x] = static_cast<float>(value.real());
      direct_.im[y * n + x] = static_cast<float>(value.imag());
    }
}

void LineFilter::apply(float* re, float* im, std::int64_t columns, bool real) const {
  const auto n = static_cast<std::int64_t>(weights_.size());
  const auto rows = all_lines(n);
  if (direct_.n > 0) {
    multiply(direct_, rows, re, real ? nullptr : im, columns, re, im);
    return;
  }
  encode_.forward(re, real ? nullptr : im, columns, rows, re, im);
  for (std::int64_t k = 0; k < n; ++k) {
    const auto weight = weights_[static_cast<std::size_t>(k)];
    for (std::int64_t c = k * columns; c < (k + 1) * columns; ++c) {
      const Complex value = weight * Complex(re[c], im[c]);
      re[c] = value.real();
      im[c] = value.imag();
    }
  }
  encode_.inverse(re, im, columns);
}

}  // namespace mr::kspace
