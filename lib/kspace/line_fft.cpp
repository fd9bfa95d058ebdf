#include "kspace/line_fft.h"

#include <fftw3.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <tuple>

#include "base/error.h"
#include "kspace/simd.h"

namespace mr::kspace {
namespace {

constexpr std::int64_t lanes = LineFft::lanes;
static_assert(lanes == ColumnFft::lanes && ColumnFft::columns % lanes == 0);

struct Plans {
  fftwf_plan forward, backward;
};

enum class Layout { lines, columns };  // samples of a line, or of all lanes, next to each other

fftwf_complex* fftw(Complex* p) {
  return reinterpret_cast<fftwf_complex*>(p);
}

Plans make_plans(int n, Numbers numbers, Layout layout) {
  const int count = static_cast<int>(lanes), bins = n / 2 + 1;
  const bool lines = layout == Layout::lines;
  const int stride = lines ? 1 : count, apart = lines ? n : 1, bins_apart = lines ? bins : 1;
  Array<Complex> image({count, n}), spectrum({count, n});
  Array<float> real({count, n});
  if (numbers == Numbers::real)
    return {
        fftwf_plan_many_dft_r2c(1, &n, count, real.data(), nullptr, stride, apart,
                                fftw(spectrum.data()), nullptr, stride, bins_apart, FFTW_ESTIMATE),
        fftwf_plan_many_dft_c2r(1, &n, count, fftw(spectrum.data()), nullptr, stride, bins_apart,
                                real.data(), nullptr, stride, apart, FFTW_ESTIMATE)};
  return {fftwf_plan_many_dft(1, &n, count, fftw(image.data()), nullptr, stride, apart,
                              fftw(spectrum.data()), nullptr, stride, apart, FFTW_FORWARD,
                              FFTW_ESTIMATE),
          fftwf_plan_many_dft(1, &n, count, fftw(spectrum.data()), nullptr, stride, apart,
                              fftw(image.data()), nullptr, stride, apart, FFTW_BACKWARD,
                              FFTW_ESTIMATE)};
}

/// FFTW plans one at a time; plans live as long as the program.
Plans plans_of(std::int64_t n, Numbers numbers, Layout layout) {
  if (n < 1 || n > std::int64_t{1} << 30)
    throw DataError("Fourier transform: want an axis of 1 to 2^30 samples, got " +
                    std::to_string(n));
  static std::mutex mutex;
  static std::map<std::tuple<std::int64_t, Numbers, Layout>, Plans> cache;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto key = std::make_tuple(n, numbers, layout);
  const auto found = cache.find(key);
  if (found != cache.end()) return found->second;
  return cache.emplace(key, make_plans(static_cast<int>(n), numbers, layout)).first->second;
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

// Tiles [groups of lanes][n][lanes] from and to rows [n] of the image, `stride` apart. Whole groups
// are copied by loops of a fixed width, which become vector code.

/// out as pairs of numbers
MR_SIMD void gather(const float* re, const float* im, std::int64_t n, std::int64_t stride,
                    std::int64_t groups, std::int64_t rotation, float* out) {
  for (std::int64_t i = 0, to = rotation; i < n; ++i, to = to + 1 == n ? 0 : to + 1)
    for (std::int64_t g = 0; g < groups; ++g) {
      const float* a = re + i * stride + g * lanes;
      const float* b = im + i * stride + g * lanes;
      float* pairs = out + 2 * (g * n + to) * lanes;
      for (std::int64_t l = 0; l < lanes; ++l) {
        pairs[2 * l] = a[l];
        pairs[2 * l + 1] = b[l];
      }
    }
}

MR_SIMD void gather_real(const float* re, std::int64_t n, std::int64_t stride, std::int64_t groups,
                         std::int64_t rotation, float* out) {
  for (std::int64_t i = 0, to = rotation; i < n; ++i, to = to + 1 == n ? 0 : to + 1)
    for (std::int64_t g = 0; g < groups; ++g) {
      const float* a = re + i * stride + g * lanes;
      float* pairs = out + 2 * (g * n + to) * lanes;
      for (std::int64_t l = 0; l < lanes; ++l) {
        pairs[2 * l] = a[l];
        pairs[2 * l + 1] = 0;
      }
    }
}

/// From rows `from_stride` apart, as [groups][n][lanes] or the reverse.
MR_SIMD void copy_groups(const float* from, std::int64_t from_stride, std::int64_t from_group,
                         std::int64_t n, std::int64_t groups, float* to, std::int64_t to_stride,
                         std::int64_t to_group) {
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t g = 0; g < groups; ++g) {
      const float* in = from + i * from_stride + g * from_group;
      float* out = to + i * to_stride + g * to_group;
      for (std::int64_t l = 0; l < lanes; ++l) out[l] = in[l];
    }
}

MR_SIMD void scatter_row(const float* pairs, float scale, float* re, float* im) {
  for (std::int64_t l = 0; l < lanes; ++l) {
    re[l] = scale * pairs[2 * l];
    im[l] = scale * pairs[2 * l + 1];
  }
}

MR_SIMD void scatter(const float* in, std::int64_t n, std::int64_t groups, std::int64_t rotation,
                     float scale, float* re, float* im, std::int64_t stride) {
  for (std::int64_t i = 0, from = rotation; i < n; ++i, from = from + 1 == n ? 0 : from + 1)
    for (std::int64_t g = 0; g < groups; ++g) {
      const float* pairs = in + 2 * (g * n + from) * lanes;
      float* a = re + i * stride + g * lanes;
      float* b = im + i * stride + g * lanes;
      for (std::int64_t l = 0; l < lanes; ++l) {
        a[l] = scale * pairs[2 * l];
        b[l] = scale * pairs[2 * l + 1];
      }
    }
}

/// Without the special cases of infinite products that operator* has.
MR_SIMD void multiply_rows(const float* weights, std::int64_t n, float* pairs) {
  for (std::int64_t k = 0; k < n; ++k) {
    const float a = weights[2 * k], b = weights[2 * k + 1];
    float* row = pairs + 2 * k * lanes;
    for (std::int64_t l = 0; l < lanes; ++l) {
      const float x = row[2 * l], y = row[2 * l + 1];
      row[2 * l] = a * x - b * y;
      row[2 * l + 1] = a * y + b * x;
    }
  }
}

const float* pairs_of(const Complex* values) {
  return reinterpret_cast<const float*>(values);
}
float* pairs_of(Complex* values) {
  return reinterpret_cast<float*>(values);
}

std::int64_t groups_of(std::int64_t width) {
  return (width + lanes - 1) / lanes;
}

}  // namespace

LineFft::LineFft(std::int64_t n, Numbers numbers) : n_(n), numbers_(numbers) {
  const auto plans = plans_of(n, numbers, Layout::lines);
  forward_ = plans.forward;
  backward_ = plans.backward;
  spectrum_ = Array<Complex>({lanes, bins()});
  if (numbers == Numbers::real)
    real_ = Array<float>({lanes, n});
  else
    image_ = Array<Complex>({lanes, n});
}

void LineFft::forward() {
  run_forward(forward_, numbers_, real_.data(), image_.data(), spectrum_.data());
}

void LineFft::backward() {
  run_backward(backward_, numbers_, real_.data(), image_.data(), spectrum_.data());
}

ColumnFft::ColumnFft(std::int64_t n, Numbers numbers) : n_(n), numbers_(numbers) {
  const auto plans = plans_of(n, numbers, Layout::columns);
  forward_ = plans.forward;
  backward_ = plans.backward;
  spectrum_ = Array<Complex>({columns / lanes, bins(), lanes});
  if (numbers == Numbers::real)
    real_ = Array<float>({columns / lanes, n, lanes});
  else
    image_ = Array<Complex>({columns / lanes, n, lanes});
}

void ColumnFft::load(Side side, const float* re, const float* im, std::int64_t stride,
                     std::int64_t width, std::int64_t rotation) {
  auto* out = side == Side::image ? image_.data() : spectrum_.data();
  const auto whole = width / lanes;
  rotation %= n_;
  if (im)
    gather(re, im, n_, stride, whole, rotation, pairs_of(out));
  else
    gather_real(re, n_, stride, whole, rotation, pairs_of(out));
  out += whole * n_ * lanes;
  for (std::int64_t i = 0; i < n_ && width % lanes != 0; ++i)
    for (std::int64_t c = whole * lanes; c < width; ++c)
      out[(i + rotation) % n_ * lanes + c % lanes] = {re[i * stride + c],
                                                      im ? im[i * stride + c] : 0.0f};
}

void ColumnFft::store(Side side, float scale, float* re, float* im, std::int64_t stride,
                      std::int64_t width, std::int64_t rotation) const {
  const auto* in = buffer(side);
  const auto whole = width / lanes;
  rotation %= n_;
  scatter(pairs_of(in), n_, whole, rotation, scale, re, im, stride);
  in += whole * n_ * lanes;
  for (std::int64_t i = 0; i < n_ && width % lanes != 0; ++i)
    for (std::int64_t c = whole * lanes; c < width; ++c) {
      const auto value = in[(i + rotation) % n_ * lanes + c % lanes];
      re[i * stride + c] = scale * value.real();
      im[i * stride + c] = scale * value.imag();
    }
}

void ColumnFft::store_rows(Side side, float scale, float* re, float* im, std::int64_t stride,
                           std::int64_t width, std::int64_t rotation,
                           const std::vector<int>& rows) const {
  const auto* in = buffer(side);
  for (const std::int64_t i : rows)
    for (std::int64_t g = 0; g < groups_of(width); ++g) {
      const auto* row = in + (g * n_ + (i + rotation) % n_) * lanes;
      const auto at = i * stride + g * lanes;
      if ((g + 1) * lanes <= width) {
        scatter_row(pairs_of(row), scale, re + at, im + at);
        continue;
      }
      for (std::int64_t l = 0; l < width % lanes; ++l) {
        re[at + l] = scale * row[l].real();
        im[at + l] = scale * row[l].imag();
      }
    }
}

void ColumnFft::load(const float* values, std::int64_t stride, std::int64_t width) {
  const auto whole = width / lanes;
  copy_groups(values, stride, lanes, n_, whole, real_.data(), lanes, n_ * lanes);
  for (std::int64_t i = 0; i < n_ && width % lanes != 0; ++i)
    std::copy_n(values + i * stride + whole * lanes, width % lanes,
                real_.data() + (whole * n_ + i) * lanes);
}

void ColumnFft::store(float* values, std::int64_t stride, std::int64_t width) const {
  const auto whole = width / lanes;
  copy_groups(real_.data(), lanes, n_ * lanes, n_, whole, values, stride, lanes);
  for (std::int64_t i = 0; i < n_ && width % lanes != 0; ++i)
    std::copy_n(real_.data() + (whole * n_ + i) * lanes, width % lanes,
                values + i * stride + whole * lanes);
}

void ColumnFft::multiply(const Complex* weights, std::int64_t width) {
  for (std::int64_t g = 0; g < groups_of(width); ++g)
    multiply_rows(pairs_of(weights), n_, pairs_of(spectra(g)));
}

void ColumnFft::forward(std::int64_t width) {
  for (std::int64_t g = 0; g < groups_of(width); ++g)
    run_forward(forward_, numbers_, real_.empty() ? nullptr : real_.data() + g * n_ * lanes,
                image_.empty() ? nullptr : image_.data() + g * n_ * lanes, spectra(g));
}

void ColumnFft::backward(std::int64_t width) {
  for (std::int64_t g = 0; g < groups_of(width); ++g)
    run_backward(backward_, numbers_, real_.empty() ? nullptr : real_.data() + g * n_ * lanes,
                 image_.empty() ? nullptr : image_.data() + g * n_ * lanes, spectra(g));
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
