#include "kspace/coil_images.h"

#include <cmath>

#include "kspace/axes.h"

namespace mr::kspace {
namespace {

/// Transforms the rows and columns of every coil, and its slices where they are encoded.
void to_images(Array<image::Complex>& coils, bool three_d) {
  const auto& shape = coils.shape();
  Array<float> re({shape[1], shape[2], shape[3]}), im(re.shape());
  for (std::int64_t c = 0; c < shape[0]; ++c) {
    auto* coil = coils.data() + c * re.size();
    for (std::int64_t i = 0; i < re.size(); ++i) {
      re[i] = coil[i].real();
      im[i] = coil[i].imag();
    }
    for (int axis = three_d ? 0 : 1; axis < 3; ++axis)
      transform_axis(re, im, axis, Direction::to_image, 1);
    for (std::int64_t i = 0; i < re.size(); ++i) coil[i] = {re[i], im[i]};
  }
}

/// A Hann window of `width` samples about the centre of n, 0 beyond.
std::vector<float> window(std::int64_t n, std::int64_t width) {
  std::vector<float> w(static_cast<std::size_t>(n), 0);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto off = static_cast<double>(i - n / 2);
    const auto half = static_cast<double>(std::min(width, n)) / 2;
    if (std::fabs(off) < half || n == 1)
      w[static_cast<std::size_t>(i)] =
          static_cast<float>(n == 1 ? 1 : 0.5 * (1 + std::cos(M_PI * off / half)));
  }
  return w;
}

Array<image::Complex> estimate_sensitivities(const image::Volume& kspace, bool three_d) {
  constexpr std::int64_t calibration = 24;
  auto maps = kspace.complex_voxels;
  const auto& shape = maps.shape();
  const auto rows = window(shape[2], calibration), columns = window(shape[3], calibration);
  const auto slices = three_d ? window(shape[1], calibration)
                              : std::vector<float>(static_cast<std::size_t>(shape[1]), 1);
  auto* sample = maps.data();
  for (std::int64_t c = 0; c < shape[0]; ++c)
    for (const float z : slices)
      for (const float y : rows)
        for (const float x : columns) *sample++ *= z * y * x;
  to_images(maps, three_d);
  const auto voxels = maps.size() / shape[0];
  for (std::int64_t v = 0; v < voxels; ++v) {
    double sum = 0;
    for (std::int64_t c = 0; c < shape[0]; ++c) sum += std::norm(maps[c * voxels + v]);
    const auto scale = sum > 0 ? static_cast<float>(1 / std::sqrt(sum)) : 0;
    for (std::int64_t c = 0; c < shape[0]; ++c) maps[c * voxels + v] *= scale;
  }
  return maps;
}

}  // namespace

CoilImages coil_images(image::Raw raw) {
  CoilImages coils;
  coils.image_size = raw.image_size;
  const bool three_d = raw.kspace.acquisition.mode == image::Mode::three_d;
  if (raw.kspace.acquisition.combine == "sense")
    coils.sensitivities = estimate_sensitivities(raw.kspace, three_d);
  coils.images = std::move(raw.kspace);
  to_images(coils.images.complex_voxels, three_d);
  return coils;
}

image::Volume combine(const CoilImages& coils) {
  const auto& all = coils.images.complex_voxels;
  const auto& shape = all.shape();
  const auto& size = coils.image_size;
  image::Volume image;
  image.voxels = Array<float>({1, size[0], size[1], size[2]});
  image.affine =
      image::cut_affine(coils.images.affine, {shape[0], shape[1], shape[2], shape[3]}, size);
  image.spacing_mm = coils.images.spacing_mm;
  image.acquisition = coils.images.acquisition;
  image.acquisition.dim4.reset();
  std::array<std::int64_t, 3> first{};
  for (std::size_t axis = 0; axis < 3; ++axis)
    first[axis] = image::first_kept(shape[axis + 1], size[axis]);
  const auto voxels = all.size() / shape[0];
  auto* out = image.voxels.data();
  for (std::int64_t z = 0; z < size[0]; ++z)
    for (std::int64_t y = 0; y < size[1]; ++y)
      for (std::int64_t x = 0; x < size[2]; ++x) {
        const auto at = ((first[0] + z) * shape[2] + first[1] + y) * shape[3] + first[2] + x;
        double squares = 0, weights = 0;
        std::complex<double> sum = 0;
        for (std::int64_t c = 0; c < shape[0]; ++c) {
          const std::complex<double> value(all[c * voxels + at]);
          if (coils.sensitivities.empty()) {
            squares += std::norm(value);
          } else {
            const std::complex<double> s(coils.sensitivities[c * voxels + at]);
            sum += std::conj(s) * value;
            weights += std::norm(s);
          }
        }
        *out++ = static_cast<float>(coils.sensitivities.empty() ? std::sqrt(squares)
                                    : weights > 0               ? std::abs(sum) / weights
                                                                : 0);
      }
  return image;
}

image::Volume read_image(const std::string& path) {
  if (path == "-" || !image::is_raw(path)) return image::read_image(path);
  return combine(coil_images(image::read_raw(path)));
}

image::Header read_header(const std::string& path) {
  return image::is_raw(path) ? image::read_raw_header(path) : image::read_header(path);
}

}  // namespace mr::kspace
