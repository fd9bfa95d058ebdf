#include "kspace/axes.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/simd.h"
#include "base/threads.h"
#include "kspace/line_fft.h"

namespace mr::kspace {
namespace {

constexpr std::int64_t lines_per_task = 64 * LineFft::lanes;
constexpr std::int64_t columns_per_task = 16 * ColumnFft::columns;

/// out[i] = (re[i], im[i]) as pairs; im null: zeros
MR_SIMD void interleave(const float* re, const float* im, std::int64_t n, float* pairs) {
  if (im)
    for (std::int64_t i = 0; i < n; ++i) {
      pairs[2 * i] = re[i];
      pairs[2 * i + 1] = im[i];
    }
  else
    for (std::int64_t i = 0; i < n; ++i) {
      pairs[2 * i] = re[i];
      pairs[2 * i + 1] = 0;
    }
}

MR_SIMD void separate(const float* pairs, std::int64_t n, float scale, float* re, float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    re[i] = scale * pairs[2 * i];
    im[i] = scale * pairs[2 * i + 1];
  }
}

MR_SIMD void multiply(const float* by, std::int64_t n, float* pairs) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float a = by[2 * i], b = by[2 * i + 1], x = pairs[2 * i], y = pairs[2 * i + 1];
    pairs[2 * i] = a * x - b * y;
    pairs[2 * i + 1] = a * y + b * x;
  }
}

float* pairs_of(Complex* values) {
  return reinterpret_cast<float*>(values);
}

/// Lets `work(fft, width)` act on the contiguous lines of [D, H, W] between the buffers that
/// `source(fft, lane)` and `result(fft, lane)` name. Sample i stands at (i - n / 2) mod n there.
template <typename Source, typename Work, typename Result>
void along_lines(Array<float>& re_of, Array<float>& im_of, bool real, int threads, float scale,
                 Source source, Work work, Result result) {
  const auto n = re_of.shape(2), count = re_of.size() / n, centre = n / 2;
  float *re = re_of.data(), *im = im_of.data();
  parallel_for(threads, (count + lines_per_task - 1) / lines_per_task, [&](std::int64_t task) {
    LineFft fft(n, Numbers::complex);
    const auto end = std::min(count, (task + 1) * lines_per_task);
    for (auto first = task * lines_per_task; first < end; first += LineFft::lanes) {
      const auto width = std::min(LineFft::lanes, end - first);
      for (std::int64_t lane = 0; lane < width; ++lane) {
        const float* a = re + (first + lane) * n;
        const float* b = real ? nullptr : im + (first + lane) * n;
        auto* to = source(fft, lane);
        interleave(a, b, centre, pairs_of(to + n - centre));
        interleave(a + centre, b ? b + centre : nullptr, n - centre, pairs_of(to));
      }
      work(fft, width);
      for (std::int64_t lane = 0; lane < width; ++lane) {
        float* a = re + (first + lane) * n;
        float* b = im + (first + lane) * n;
        auto* from = result(fft, lane);
        separate(pairs_of(from + n - centre), centre, scale, a, b);
        separate(pairs_of(from), n - centre, scale, a + centre, b + centre);
      }
    }
  });
}

/// Calls body(first sample of the first column, distance of samples, number of columns) for tiles
/// of the columns of [D, H, W] along axis 0 or 1.
template <typename Body>
void for_columns(const Array<float>& image, int axis, int threads, Body body) {
  const auto stride = axis == 0 ? image.shape(1) * image.shape(2) : image.shape(2);
  const auto planes = axis == 0 ? 1 : image.shape(0);
  const auto tiles = (stride + columns_per_task - 1) / columns_per_task;
  parallel_for(threads, planes * tiles, [&](std::int64_t task) {
    const auto first = task % tiles * columns_per_task;
    body(task / tiles * image.shape(axis) * stride + first, stride,
         std::min(columns_per_task, stride - first));
  });
}

Complex* image_of(LineFft& fft, std::int64_t lane) {
  return fft.line(lane);
}
Complex* spectrum_of(LineFft& fft, std::int64_t lane) {
  return fft.spectrum(lane);
}

}  // namespace

void transform_axis(Array<float>& re, Array<float>& im, int axis, Direction direction,
                    int threads) {
  const auto n = re.shape(axis);
  if (n < 1) throw DataError("Fourier transform: want an axis of at least one sample");
  const bool real = im.empty();
  if (real) im = Array<float>(re.shape());
  if (axis != 2)
    return for_columns(
        re, axis, threads, [&](std::int64_t at, std::int64_t stride, std::int64_t columns) {
          const auto side = direction == Direction::to_kspace ? ColumnFft::Side::spectrum
                                                              : ColumnFft::Side::image;
          transform_columns(side, n, re.data() + at, real ? nullptr : im.data() + at, stride,
                            columns, nullptr, re.data() + at, im.data() + at);
        });
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(n)));
  if (direction == Direction::to_kspace)
    along_lines(
        re, im, real, threads, scale, image_of, [](LineFft& fft, std::int64_t) { fft.forward(); },
        spectrum_of);
  else
    along_lines(
        re, im, real, threads, scale, spectrum_of,
        [](LineFft& fft, std::int64_t) { fft.backward(); }, image_of);
}

AxisFilter::AxisFilter(int axis, const std::vector<std::complex<double>>& weights)
    : axis_(axis), n_(static_cast<std::int64_t>(weights.size())) {
  if (axis != 2) {
    columns_.emplace(weights);
    return;
  }
  for (std::int64_t i = 0; i < n_; ++i)
    rotated_.emplace_back(weights[static_cast<std::size_t>((i + n_ / 2) % n_)] /
                          static_cast<double>(n_));
}

void AxisFilter::apply(Array<float>& re, Array<float>& im, int threads) const {
  if (re.shape(axis_) != n_)
    throw DataError("filter: want " + std::to_string(re.shape(axis_)) + " weights, got " +
                    std::to_string(n_));
  const bool real = im.empty();
  if (real) im = Array<float>(re.shape());
  if (columns_)
    return for_columns(re, axis_, threads,
                       [&](std::int64_t at, std::int64_t stride, std::int64_t columns) {
                         columns_->apply(re.data() + at, im.data() + at, stride, columns, real);
                       });
  along_lines(
      re, im, real, threads, 1, image_of,
      [&](LineFft& fft, std::int64_t width) {
        fft.forward();
        for (std::int64_t lane = 0; lane < width; ++lane)
          multiply(reinterpret_cast<const float*>(rotated_.data()), n_,
                   pairs_of(fft.spectrum(lane)));
        fft.backward();
      },
      image_of);
}

}  // namespace mr::kspace
