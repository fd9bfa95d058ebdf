#include "kspace/line_fft.h"

#include <fftw3.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/simd.h"

namespace mr::kspace {
namespace {

constexpr std::int64_t lanes = LineFft::lanes;
static_assert(lanes == 8 && ColumnFft::columns % lanes == 0);

/// Distance of lines in a buffer: more than their length, so that lines of a power of two do not
/// meet in one set of the cache; lines begin on 64 bytes.
std::int64_t pitch_of(std::int64_t n) {
  return (n / 16 + 2) * 16;
}

struct Plans {
  fftwf_plan forward, backward;
};

fftwf_complex* fftw(Complex* p) {
  return reinterpret_cast<fftwf_complex*>(p);
}

Plans make_plans(int n, Numbers numbers) {
  const int count = static_cast<int>(lanes), apart = static_cast<int>(pitch_of(n));
  Array<Complex> image({count, apart}), spectrum({count, apart});
  Array<float> real({count, apart});
  if (numbers == Numbers::real)
    return {fftwf_plan_many_dft_r2c(1, &n, count, real.data(), nullptr, 1, apart,
                                    fftw(spectrum.data()), nullptr, 1, apart, FFTW_ESTIMATE),
            fftwf_plan_many_dft_c2r(1, &n, count, fftw(spectrum.data()), nullptr, 1, apart,
                                    real.data(), nullptr, 1, apart, FFTW_ESTIMATE)};
  return {
      fftwf_plan_many_dft(1, &n, count, fftw(image.data()), nullptr, 1, apart,
                          fftw(spectrum.data()), nullptr, 1, apart, FFTW_FORWARD, FFTW_ESTIMATE),
      fftwf_plan_many_dft(1, &n, count, fftw(spectrum.data()), nullptr, 1, apart,
                          fftw(image.data()), nullptr, 1, apart, FFTW_BACKWARD, FFTW_ESTIMATE)};
}

/// FFTW plans one at a time; plans live as long as the program.
Plans plans_of(std::int64_t n, Numbers numbers) {
  if (n < 1 || n > std::int64_t{1} << 30)
    throw DataError("Fourier transform: want an axis of 1 to 2^30 samples, got " +
                    std::to_string(n));
  static std::mutex mutex;
  static std::map<std::pair<std::int64_t, Numbers>, Plans> cache;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto key = std::make_pair(n, numbers);
  const auto found = cache.find(key);
  if (found != cache.end()) return found->second;
  return cache.emplace(key, make_plans(static_cast<int>(n), numbers)).first->second;
}

void run_forward(void* plan, Numbers numbers, float* real, Complex* image, Complex* spectrum) {
  if (numbers == Numbers::real)
    fftwf_execute_dft_r2c(static_cast<fftwf_plan>(plan), real, fftw(spectrum));
  else
    fftwf_execute_dft(static_cast<fftwf_plan>(plan), fftw(image), fftw(spectrum));
}

void run_backward(void* plan, Numbers numbers, float* real, Complex* image, Complex* spectrum) {
  if (numbers == Numbers::real)
    fftwf_execute_dft_c2r(static_cast<fftwf_plan>(plan), fftw(spectrum), real);
  else
    fftwf_execute_dft(static_cast<fftwf_plan>(plan), fftw(spectrum), fftw(image));
}

// Columns of an image become lines of a buffer and come back, eight rows of eight columns at a
// time, since plans for lines are two to four times as fast as those for columns.

using Eight = float __attribute__((vector_size(32)));

[[gnu::always_inline]] inline void load_eight(const float* from, Eight& values) {
  __builtin_memcpy(&values, from, sizeof values);
}

[[gnu::always_inline]] inline void store_eight(const Eight& values, float* to) {
  __builtin_memcpy(to, &values, sizeof values);
}

[[gnu::always_inline]] inline void transpose(Eight* r) {
  Eight s[8], t[8];
  for (int k = 0; k < 8; k += 2) {
    s[k] = __builtin_shufflevector(r[k], r[k + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    s[k + 1] = __builtin_shufflevector(r[k], r[k + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int k = 0; k < 8; k += 4)
    for (int h = 0; h < 2; ++h) {
      t[k + 2 * h] = __builtin_shufflevector(s[k + h], s[k + h + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      t[k + 2 * h + 1] =
          __builtin_shufflevector(s[k + h], s[k + h + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int k = 0; k < 4; ++k) {
    r[k] = __builtin_shufflevector(t[k], t[k + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    r[k + 4] = __builtin_shufflevector(t[k], t[k + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

// Groups of eight columns take turns within eight rows, since rows may lie so far apart that they
// push each other out of the cache.

/// Rows, `stride` apart, to lines of pairs; im null: zeros.
MR_SIMD void gather(const float* re, const float* im, std::int64_t rows, std::int64_t stride,
                    std::int64_t groups, std::int64_t pitch, float* lines) {
  std::int64_t i = 0;
  for (; i + 8 <= rows; i += 8)
    for (std::int64_t g = 0; g < groups; ++g) {
      Eight a[8], b[8] = {};
      for (int r = 0; r < 8; ++r) load_eight(re + (i + r) * stride + 8 * g, a[r]);
      transpose(a);
      if (im) {
        for (int r = 0; r < 8; ++r) load_eight(im + (i + r) * stride + 8 * g, b[r]);
        transpose(b);
      }
      for (int l = 0; l < 8; ++l) {
        float* to = lines + 2 * ((8 * g + l) * pitch + i);
        store_eight(__builtin_shufflevector(a[l], b[l], 0, 8, 1, 9, 2, 10, 3, 11), to);
        store_eight(__builtin_shufflevector(a[l], b[l], 4, 12, 5, 13, 6, 14, 7, 15), to + 8);
      }
    }
  for (; i < rows; ++i)
    for (std::int64_t c = 0; c < 8 * groups; ++c) {
      lines[2 * (c * pitch + i)] = re[i * stride + c];
      lines[2 * (c * pitch + i) + 1] = im ? im[i * stride + c] : 0;
    }
}

/// The reverse, times `scale`.
MR_SIMD void scatter(const float* lines, std::int64_t pitch, float scale, std::int64_t rows,
                     std::int64_t stride, std::int64_t groups, float* re, float* im) {
  std::int64_t i = 0;
  for (; i + 8 <= rows; i += 8)
    for (std::int64_t g = 0; g < groups; ++g) {
      Eight a[8], b[8];
      for (int l = 0; l < 8; ++l) {
        const float* from = lines + 2 * ((8 * g + l) * pitch + i);
        Eight low, high;
        load_eight(from, low);
        load_eight(from + 8, high);
        a[l] = scale * __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14);
        b[l] = scale * __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15);
      }
      transpose(a);
      transpose(b);
      for (int r = 0; r < 8; ++r) {
        store_eight(a[r], re + (i + r) * stride + 8 * g);
        store_eight(b[r], im + (i + r) * stride + 8 * g);
      }
    }
  for (; i < rows; ++i)
    for (std::int64_t c = 0; c < 8 * groups; ++c) {
      re[i * stride + c] = scale * lines[2 * (c * pitch + i)];
      im[i * stride + c] = scale * lines[2 * (c * pitch + i) + 1];
    }
}

/// The same of real numbers.
MR_SIMD void gather_real(const float* values, std::int64_t rows, std::int64_t stride,
                         std::int64_t groups, std::int64_t pitch, float* lines) {
  std::int64_t i = 0;
  for (; i + 8 <= rows; i += 8)
    for (std::int64_t g = 0; g < groups; ++g) {
      Eight a[8];
      for (int r = 0; r < 8; ++r) load_eight(values + (i + r) * stride + 8 * g, a[r]);
      transpose(a);
      for (int l = 0; l < 8; ++l) store_eight(a[l], lines + (8 * g + l) * pitch + i);
    }
  for (; i < rows; ++i)
    for (std::int64_t c = 0; c < 8 * groups; ++c) lines[c * pitch + i] = values[i * stride + c];
}

MR_SIMD void scatter_real(const float* lines, std::int64_t pitch, std::int64_t rows,
                          std::int64_t stride, std::int64_t groups, float* values) {
  std::int64_t i = 0;
  for (; i + 8 <= rows; i += 8)
    for (std::int64_t g = 0; g < groups; ++g) {
      Eight a[8];
      for (int l = 0; l < 8; ++l) load_eight(lines + (8 * g + l) * pitch + i, a[l]);
      transpose(a);
      for (int r = 0; r < 8; ++r) store_eight(a[r], values + (i + r) * stride + 8 * g);
    }
  for (; i < rows; ++i)
    for (std::int64_t c = 0; c < 8 * groups; ++c) values[i * stride + c] = lines[c * pitch + i];
}

/// Without the special cases of infinite products that operator* has.
MR_SIMD void multiply_line(const float* weights, std::int64_t n, float* pairs) {
  for (std::int64_t k = 0; k < n; ++k) {
    const float a = weights[2 * k], b = weights[2 * k + 1], x = pairs[2 * k], y = pairs[2 * k + 1];
    pairs[2 * k] = a * x - b * y;
    pairs[2 * k + 1] = a * y + b * x;
  }
}

const float* pairs_of(const Complex* values) {
  return reinterpret_cast<const float*>(values);
}
float* pairs_of(Complex* values) {
  return reinterpret_cast<float*>(values);
}

}  // namespace

LineFft::LineFft(std::int64_t n, Numbers numbers) : n_(n), pitch_(pitch_of(n)), numbers_(numbers) {
  const auto plans = plans_of(n, numbers);
  forward_ = plans.forward;
  backward_ = plans.backward;
  spectrum_ = Array<Complex>({lanes, pitch_});
  if (numbers == Numbers::real)
    real_ = Array<float>({lanes, pitch_});
  else
    image_ = Array<Complex>({lanes, pitch_});
}

void LineFft::forward() {
  run_forward(forward_, numbers_, real_.data(), image_.data(), spectrum_.data());
}

void LineFft::backward() {
  run_backward(backward_, numbers_, real_.data(), image_.data(), spectrum_.data());
}

ColumnFft::ColumnFft(std::int64_t n, Numbers numbers)
    : n_(n), pitch_(pitch_of(n)), numbers_(numbers) {
  const auto plans = plans_of(n, numbers);
  forward_ = plans.forward;
  backward_ = plans.backward;
  spectrum_ = Array<Complex>({columns, pitch_});
  if (numbers == Numbers::real)
    real_ = Array<float>({columns, pitch_});
  else
    image_ = Array<Complex>({columns, pitch_});
}

void ColumnFft::load(Side side, const float* re, const float* im, std::int64_t stride,
                     std::int64_t width, std::int64_t rotation) {
  auto* lines = side == Side::image ? image_.data() : spectrum_.data();
  rotation %= n_;
  // The last rows of the image come first.
  const auto first_rows = n_ - rotation, skip = first_rows * stride;
  const auto groups = width / lanes, whole = groups * lanes;
  gather(re, im, first_rows, stride, groups, pitch_, pairs_of(lines + rotation));
  gather(re + skip, im ? im + skip : nullptr, rotation, stride, groups, pitch_, pairs_of(lines));
  for (auto c = whole; c < width; ++c)
    for (std::int64_t i = 0; i < n_; ++i)
      lines[c * pitch_ + (i + rotation) % n_] = {re[i * stride + c],
                                                 im ? im[i * stride + c] : 0.0f};
}

void ColumnFft::store(Side side, float scale, float* re, float* im, std::int64_t stride,
                      std::int64_t width, std::int64_t rotation) const {
  const auto* lines = buffer(side);
  rotation %= n_;
  const auto first_rows = n_ - rotation, skip = first_rows * stride;
  const auto groups = width / lanes, whole = groups * lanes;
  scatter(pairs_of(lines + rotation), pitch_, scale, first_rows, stride, groups, re, im);
  scatter(pairs_of(lines), pitch_, scale, rotation, stride, groups, re + skip, im + skip);
  for (auto c = whole; c < width; ++c)
    for (std::int64_t i = 0; i < n_; ++i) {
      const auto value = lines[c * pitch_ + (i + rotation) % n_];
      re[i * stride + c] = scale * value.real();
      im[i * stride + c] = scale * value.imag();
    }
}

void ColumnFft::store_rows(Side side, float scale, float* re, float* im, std::int64_t stride,
                           std::int64_t width, std::int64_t rotation,
                           const std::vector<int>& rows) const {
  for (const std::int64_t i : rows) {
    const auto* from = buffer(side) + (i + rotation) % n_;
    for (std::int64_t c = 0; c < width; ++c) {
      re[i * stride + c] = scale * from[c * pitch_].real();
      im[i * stride + c] = scale * from[c * pitch_].imag();
    }
  }
}

void ColumnFft::load(const float* values, std::int64_t stride, std::int64_t width) {
  const auto groups = width / lanes, whole = groups * lanes;
  gather_real(values, n_, stride, groups, pitch_, real_.data());
  for (auto c = whole; c < width; ++c)
    for (std::int64_t i = 0; i < n_; ++i) real_[c * pitch_ + i] = values[i * stride + c];
}

void ColumnFft::store(float* values, std::int64_t stride, std::int64_t width) const {
  const auto groups = width / lanes, whole = groups * lanes;
  scatter_real(real_.data(), pitch_, n_, stride, groups, values);
  for (auto c = whole; c < width; ++c)
    for (std::int64_t i = 0; i < n_; ++i) values[i * stride + c] = real_[c * pitch_ + i];
}

void ColumnFft::multiply(const Complex* weights, std::int64_t width) {
  for (std::int64_t c = 0; c < width; ++c)
    multiply_line(pairs_of(weights), n_, pairs_of(spectrum(c)));
}

void ColumnFft::forward(std::int64_t width) {
  for (std::int64_t c = 0; c < width; c += lanes)
    run_forward(forward_, numbers_, real_.empty() ? nullptr : real_.data() + c * pitch_,
                image_.empty() ? nullptr : image_.data() + c * pitch_, spectrum(c));
}

void ColumnFft::backward(std::int64_t width) {
  for (std::int64_t c = 0; c < width; c += lanes)
    run_backward(backward_, numbers_, real_.empty() ? nullptr : real_.data() + c * pitch_,
                 image_.empty() ? nullptr : image_.data() + c * pitch_, spectrum(c));
}

void transform_columns(ColumnFft::Side to, std::int64_t n, const float* re, const float* im,
                       std::int64_t stride, std::int64_t columns, const std::vector<int>* rows,
                       float* out_re, float* out_im) {
  const bool forward = to == ColumnFft::Side::spectrum;
  const auto from = forward ? ColumnFft::Side::image : ColumnFft::Side::spectrum;
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(n)));
  const auto rotation = n - n / 2;
  ColumnFft fft(n, Numbers::complex);
  for (std::int64_t first = 0; first < columns; first += ColumnFft::columns) {
    const auto width = std::min(ColumnFft::columns, columns - first);
    fft.load(from, re + first, im ? im + first : nullptr, stride, width, rotation);
    if (forward)
      fft.forward(width);
    else
      fft.backward(width);
    if (rows)
      fft.store_rows(to, scale, out_re + first, out_im + first, stride, width, rotation, *rows);
    else
      fft.store(to, scale, out_re + first, out_im + first, stride, width, rotation);
  }
}

}  // namespace mr::kspace
