#include "kspace/fourier.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kspace/line_fft.h"

namespace mr::kspace {
namespace {

enum class Direction { to_kspace, to_image };

/// Lines along `axis` are gathered a few at a time, since a strided transform is several times
/// slower than a copy. Rotating each line by n / 2 on both sides makes the transform centred.
void transform(Array<Complex>& data, int axis, Direction direction) {
  if (data.shape().size() != 4)
    throw DataError("Fourier transform: want an array [C, D, H, W], got " +
                    std::to_string(data.shape().size()) + " axes");
  const auto n = data.shape(axis), centre = n / 2;
  LineFft fft(n, LineFft::Kind::complex);
  std::int64_t stride = 1;
  for (int a = axis + 1; a < 4; ++a) stride *= data.shape(a);
  const auto lines = data.size() / n;
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(n)));
  const bool forward = direction == Direction::to_kspace;
  const auto input = [&](std::int64_t lane) {
    return forward ? fft.line(lane) : fft.spectrum(lane);
  };
  const auto output = [&](std::int64_t lane) {
    return forward ? fft.spectrum(lane) : fft.line(lane);
  };
  for (std::int64_t first = 0; first < lines; first += LineFft::lanes) {
    const auto lanes = std::min(LineFft::lanes, lines - first);
    std::array<Complex*, LineFft::lanes> start{};
    for (std::int64_t lane = 0; lane < lanes; ++lane)
      start[static_cast<std::size_t>(lane)] =
          data.data() + (first + lane) / stride * stride * n + (first + lane) % stride;
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t lane = 0; lane < lanes; ++lane)
        input(lane)[i < centre ? i + n - centre : i - centre] =
            start[static_cast<std::size_t>(lane)][i * stride];
    if (forward)
      fft.forward();
    else
      fft.backward();
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t lane = 0; lane < lanes; ++lane)
        start[static_cast<std::size_t>(lane)][i * stride] =
            output(lane)[i < centre ? i + n - centre : i - centre] * scale;
  }
}

void transform(Array<Complex>& data, Encoding encoding, Direction direction) {
  for (int axis = encoding == Encoding::volumetric_3d ? 1 : 2; axis <= 3; ++axis)
    transform(data, axis, direction);
}

}  // namespace

void to_kspace(Array<Complex>& image, Encoding encoding) {
  transform(image, encoding, Direction::to_kspace);
}
void to_image(Array<Complex>& spectrum, Encoding encoding) {
  transform(spectrum, encoding, Direction::to_image);
}
void to_kspace(Array<Complex>& image, int axis) {
  transform(image, axis, Direction::to_kspace);
}
void to_image(Array<Complex>& spectrum, int axis) {
  transform(spectrum, axis, Direction::to_image);
}

}  // namespace mr::kspace
