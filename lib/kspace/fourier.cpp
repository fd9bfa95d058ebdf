#include "kspace/fourier.h"

#include <fftw3.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include "base/error.h"

namespace mr::kspace {
namespace {

using Line = std::vector<Complex, AlignedAllocator<Complex>>;

/// Plans are made once per length and direction, with FFTW_ESTIMATE: measured plans change from
/// run to run and with them the last bits. They are executed on aligned scratch lines only.
fftwf_plan plan_of(std::int64_t n, int direction) {
  static std::mutex mutex;
  static std::map<std::pair<std::int64_t, int>, fftwf_plan> plans;  // lives as long as the program
  const std::lock_guard<std::mutex> lock(mutex);
  auto& plan = plans[{n, direction}];
  if (!plan) {
    Line scratch(static_cast<std::size_t>(n));
    auto* p = reinterpret_cast<fftwf_complex*>(scratch.data());
    plan = fftwf_plan_dft_1d(static_cast<int>(n), p, p, direction, FFTW_ESTIMATE);
  }
  return plan;
}

/// Centred unitary transform of lines of one length.
class Transform {
 public:
  Transform(std::int64_t n, int direction)
      : n_(static_cast<std::size_t>(n)),
        plan_(plan_of(n, direction)),
        scale_(static_cast<float>(1 / std::sqrt(static_cast<double>(n)))),
        scratch_(n_) {}

  void operator()(Complex* line) {
    const std::size_t half = n_ / 2;  // the centre's index, which the transform wants at 0
    std::copy(line + half, line + n_, scratch_.begin());
    std::copy(line, line + half, scratch_.begin() + static_cast<std::ptrdiff_t>(n_ - half));
    auto* p = reinterpret_cast<fftwf_complex*>(scratch_.data());
    fftwf_execute_dft(plan_, p, p);
    for (std::size_t i = 0; i < half; ++i) line[i] = scratch_[i + n_ - half] * scale_;
    for (std::size_t i = half; i < n_; ++i) line[i] = scratch_[i - half] * scale_;
  }

 private:
  std::size_t n_;
  fftwf_plan plan_;
  float scale_;
  Line scratch_;
};

/// Calls body(line, index) for each line along `axis`, gathered from memory in tiles of lines.
template <typename Body>
void for_each_line(Array<Complex>& array, int axis, Body body) {
  if (array.shape().size() != 4) throw DataError("Fourier transform: want 4 axes");
  const auto n = array.shape(axis);
  if (n == 0 || array.size() == 0) throw DataError("Fourier transform: an axis has length 0");
  std::int64_t inner = 1;  // elements between neighbours along the axis
  for (int a = axis + 1; a < 4; ++a) inner *= array.shape(a);
  const auto outer = array.size() / (inner * n);
  if (inner == 1) {
    for (std::int64_t o = 0; o < outer; ++o) body(array.data() + o * n, o);
    return;
  }
  constexpr std::int64_t tile = 16;  // lines: two cache lines of neighbours at each step
  Line lines(static_cast<std::size_t>(tile * n));
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t first = 0; first < inner; first += tile) {
      const auto width = std::min(tile, inner - first);
      Complex* base = array.data() + o * n * inner + first;
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t t = 0; t < width; ++t)
          lines[static_cast<std::size_t>(t * n + i)] = base[i * inner + t];
      for (std::int64_t t = 0; t < width; ++t) body(lines.data() + t * n, o * inner + first + t);
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t t = 0; t < width; ++t)
          base[i * inner + t] = lines[static_cast<std::size_t>(t * n + i)];
    }
}

void transform(Array<Complex>& array, int axis, int direction) {
  if (array.shape().size() != 4) throw DataError("Fourier transform: want 4 axes");
  if (array.shape(axis) == 0) throw DataError("Fourier transform: an axis has length 0");
  Transform t(array.shape(axis), direction);
  for_each_line(array, axis, [&](Complex* line, std::int64_t) { t(line); });
}

}  // namespace

void to_kspace(Array<Complex>& image, int axis) {
  transform(image, axis, FFTW_FORWARD);
}
void to_image(Array<Complex>& spectrum, int axis) {
  transform(spectrum, axis, FFTW_BACKWARD);
}

void to_kspace(Array<Complex>& image, Encoding encoding) {
  for (int axis = encoding == Encoding::volumetric_3d ? 1 : 2; axis < 4; ++axis)
    to_kspace(image, axis);
}

void to_image(Array<Complex>& spectrum, Encoding encoding) {
  for (int axis = encoding == Encoding::volumetric_3d ? 1 : 2; axis < 4; ++axis)
    to_image(spectrum, axis);
}

void filter_lines(Array<Complex>& image, int axis,
                  const std::function<void(Complex*, std::int64_t)>& filter) {
  if (image.shape().size() != 4) throw DataError("Fourier transform: want 4 axes");
  if (image.shape(axis) == 0) throw DataError("Fourier transform: an axis has length 0");
  Transform forward(image.shape(axis), FFTW_FORWARD), backward(image.shape(axis), FFTW_BACKWARD);
  for_each_line(image, axis, [&](Complex* line, std::int64_t index) {
    forward(line);
    filter(line, index);
    backward(line);
  });
}

}  // namespace mr::kspace
