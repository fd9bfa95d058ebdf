#include "kspace/axes.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "base/threads.h"
#include "kspace/line_fft.h"

namespace mr::kspace {
namespace {

constexpr std::int64_t lanes = LineFft::lanes;
constexpr std::int64_t lines_per_task = 64 * lanes;

/// The lines of [D, H, W] along one axis, `lanes` at a time.
class AxisLines {
 public:
  AxisLines(const Shape& shape, int axis)
      : n(shape[static_cast<std::size_t>(axis)]), count_(n > 0 ? mr::count(shape) / n : 0) {
    if (n < 1) throw DataError("Fourier transform: want an axis of at least one sample");
    stride_ = axis == 2 ? 1 : axis == 1 ? shape[2] : shape[1] * shape[2];
  }

  const std::int64_t n;

  std::int64_t tasks() const { return (count_ + lines_per_task - 1) / lines_per_task; }

  /// body(first line, how many) for the groups of one task.
  template <typename Body>
  void for_groups(std::int64_t task, Body body) const {
    const auto end = std::min(count_, (task + 1) * lines_per_task);
    for (auto first = task * lines_per_task; first < end; first += lanes)
      body(first, std::min(lanes, end - first));
  }

  /// body(index in the image, in the centred line, lane), in an order that is kind to memory.
  template <typename Body>
  void for_samples(std::int64_t first, std::int64_t width, Body body) const {
    std::array<std::int64_t, lanes> start{};
    for (std::int64_t l = 0; l < width; ++l)
      start[static_cast<std::size_t>(l)] =
          (first + l) / stride_ * stride_ * n + (first + l) % stride_;
    const auto centre = n / 2;
    const auto rotated = [&](std::int64_t i) { return i < centre ? i + n - centre : i - centre; };
    if (stride_ == 1) {
      for (std::int64_t l = 0; l < width; ++l)
        for (std::int64_t i = 0; i < n; ++i)
          body(start[static_cast<std::size_t>(l)] + i, rotated(i), l);
    } else {
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t l = 0; l < width; ++l)
          body(start[static_cast<std::size_t>(l)] + i * stride_, rotated(i), l);
    }
  }

 private:
  std::int64_t count_, stride_;
};

/// Gathers the lines, lets `work` act on the buffers, and scatters what it leaves in `result`.
template <typename Work, typename Source, typename Result>
void along(Array<float>& re, Array<float>& im, int axis, int threads, float scale, Source source,
           Work work, Result result) {
  const bool real = im.empty();
  if (real) im = Array<float>(re.shape());
  const AxisLines lines(re.shape(), axis);
  parallel_for(threads, lines.tasks(), [&](std::int64_t task) {
    LineFft fft(lines.n, LineFft::Kind::complex);
    lines.for_groups(task, [&](std::int64_t first, std::int64_t width) {
      lines.for_samples(first, width, [&](std::int64_t at, std::int64_t i, std::int64_t lane) {
        source(fft, lane)[i] = {re[at], real ? 0.0f : im[at]};
      });
      work(fft, width);
      lines.for_samples(first, width, [&](std::int64_t at, std::int64_t i, std::int64_t lane) {
        const auto value = result(fft, lane)[i];
        re[at] = scale * value.real();
        im[at] = scale * value.imag();
      });
    });
  });
}

Complex* image_of(LineFft& fft, std::int64_t lane) {
  return fft.line(lane);
}
Complex* spectrum_of(LineFft& fft, std::int64_t lane) {
  return fft.spectrum(lane);
}

/// Without the special cases of infinite products that operator* has.
void multiply(std::int64_t n, const Complex* by, Complex* values) {
  for (std::int64_t i = 0; i < n; ++i)
    values[i] = {values[i].real() * by[i].real() - values[i].imag() * by[i].imag(),
                 values[i].real() * by[i].imag() + values[i].imag() * by[i].real()};
}

}  // namespace

void transform_axis(Array<float>& re, Array<float>& im, int axis, Direction direction,
                    int threads) {
  const auto n = re.shape(axis);
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(n)));
  if (direction == Direction::to_kspace)
    along(
        re, im, axis, threads, scale, image_of, [](LineFft& fft, std::int64_t) { fft.forward(); },
        spectrum_of);
  else
    along(
        re, im, axis, threads, scale, spectrum_of,
        [](LineFft& fft, std::int64_t) { fft.backward(); }, image_of);
}

AxisFilter::AxisFilter(int axis, const std::vector<std::complex<double>>& weights)
    : axis_(axis), n_(static_cast<std::int64_t>(weights.size())) {
  if (axis == 1) {
    lines_.emplace(weights);
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
  if (lines_) {
    const bool real = im.empty();
    if (real) im = Array<float>(re.shape());
    const auto plane = n_ * re.shape(2);
    parallel_for(threads, re.shape(0), [&](std::int64_t slice) {
      lines_->apply(re.data() + slice * plane, im.data() + slice * plane, re.shape(2), real);
    });
    return;
  }
  along(
      re, im, axis_, threads, 1, image_of,
      [&](LineFft& fft, std::int64_t width) {
        fft.forward();
        for (std::int64_t lane = 0; lane < width; ++lane)
          multiply(n_, rotated_.data(), fft.spectrum(lane));
        fft.backward();
      },
      image_of);
}

}  // namespace mr::kspace
