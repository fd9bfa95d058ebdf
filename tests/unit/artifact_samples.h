// Images and maps that the tests of the artifact room share.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "artifact/recipe.h"
#include "base/json.h"
#include "base/random.h"
#include "kspace/axes.h"

namespace samples {

using mr::image::Complex;
using mr::image::Mode;
using mr::image::Volume;

/// -1 at the first of n voxels, 1 at the last.
inline double unit(std::int64_t i, std::int64_t n) {
  return n > 1 ? 2 * static_cast<double>(i) / static_cast<double>(n - 1) - 1 : 0.0;
}

/// f(x, y, z) in -1 .. 1 at each voxel of [F, Z, Y, X].
template <typename Function>
mr::Array<float> sampled(const mr::Shape& shape, Function f) {
  mr::Array<float> values(shape);
  for (std::int64_t i = 0; i < values.size(); ++i)
    values[i] =
        static_cast<float>(f(unit(i % shape[3], shape[3]), unit(i / shape[3] % shape[2], shape[2]),
                             unit(i / shape[3] / shape[2] % shape[1], shape[1])));
  return values;
}

/// An ellipsoid with structure inside on a weak background: [F, Z, Y, X], values about 0 to `peak`.
inline Volume phantom(const mr::Shape& shape, double peak = 1000, std::uint64_t seed = 1) {
  Volume v;
  v.affine = {{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}};
  std::uint64_t i = 0;
  v.voxels = sampled(shape, [&](double x, double y, double z) {
    const bool inside = x * x / 0.6 + y * y / 0.7 + z * z / 1.1 < 1;
    const double texture = 0.15 * std::sin(9 * x + 2 * z) * std::cos(7 * y);
    return peak * ((inside ? 0.6 + texture : 0) + 0.01 * mr::uniform({seed}, i++));
  });
  return v;
}

/// Puts that slice, corrupted alone, in its place.
inline void corrupt_slice(Volume& v, std::int64_t slice, const mr::artifact::Recipe& recipe,
                          const mr::artifact::Facts& facts, const mr::artifact::Draw& draw,
                          const mr::artifact::Maps& maps = {}) {
  const auto alone = mr::artifact::corrupt_slices(v, {slice}, recipe, facts, draw, maps);
  const auto axis = static_cast<std::size_t>(3 - mr::artifact::roles_of(v).slice);
  const auto& shape = v.shape();
  std::int64_t inner = 1;
  for (std::size_t a = axis + 1; a < 4; ++a) inner *= shape[a];
  for (std::int64_t i = 0; i < alone.voxels.size(); ++i)
    v.voxels[(i / inner * shape[axis] + slice) * inner + i % inner] = alone.voxels[i];
}

inline Volume two_d(const mr::Shape& shape = {1, 6, 24, 35}, double peak = 1000) {
  auto v = phantom(shape, peak);
  v.spacing_mm = {0.8, 1.1, 4};
  v.acquisition.mode = Mode::two_d;
  v.acquisition.slice_axis = 2;
  v.acquisition.phase_encode_axis = 1;
  return v;
}

inline Volume three_d(const mr::Shape& shape = {1, 17, 24, 15}) {
  auto v = phantom(shape);
  v.spacing_mm = {1, 1.2, 0.9};
  v.acquisition.mode = Mode::three_d;
  v.acquisition.slice_axis = 2;
  v.acquisition.phase_encode_axis = 1;
  return v;
}

inline Volume with_phase(const Volume& real) {
  Volume v = real;
  v.complex_voxels = mr::Array<Complex>(real.shape());
  for (std::int64_t i = 0; i < real.voxels.size(); ++i)
    v.complex_voxels[i] = std::polar(real.voxels[i], 0.003f * static_cast<float>(i % 1000));
  v.voxels = {};
  return v;
}

/// Axes (0 z, 1 y, 2 x) of an image of one frame [1, Z, Y, X] to k-space.
inline void to_kspace(mr::Array<Complex>& image, const std::vector<int>& axes) {
  const mr::Shape shape{image.shape(1), image.shape(2), image.shape(3)};
  mr::Array<float> re(shape), im(shape);
  for (std::int64_t i = 0; i < re.size(); ++i) {
    re[i] = image[i].real();
    im[i] = image[i].imag();
  }
  for (const int axis : axes)
    mr::kspace::transform_axis(re, im, axis, mr::kspace::Direction::to_kspace, 1);
  for (std::int64_t i = 0; i < re.size(); ++i) image[i] = {re[i], im[i]};
}

/// One map of each kind on the grid of [1, Z, Y, X]: a rim of fat, a smooth field of up to 100 Hz,
/// four coils, seven tissues.
inline mr::artifact::Maps maps(const Volume& image) {
  using mr::artifact::Map;
  auto shape = image.shape();
  shape[0] = 1;
  mr::artifact::Maps all;
  const auto on_grid = [&](mr::Array<float> values) {
    Volume v;
    v.voxels = std::move(values);
    v.affine = image.affine;
    v.spacing_mm = image.spacing_mm;
    return v;
  };
  all[Map::fat] = on_grid(sampled(shape, [](double x, double y, double z) {
    const double r = x * x / 0.6 + y * y / 0.7 + z * z / 1.1;
    return r > 0.5 && r < 1 ? 0.8 : 0.05;
  }));
  all[Map::field] = on_grid(sampled(
      shape, [](double x, double y, double z) { return 60 * x * y + 30 * y * y - 20 * z + 10; }));
  all[Map::tissue] = on_grid(sampled(shape, [](double x, double y, double) {
    return x * x / 0.6 + y * y / 0.7 > 1 ? 0 : 2 + std::floor(3.49 * (x + 1));
  }));
  Volume coils = on_grid({});
  coils.complex_voxels = mr::Array<Complex>({4, shape[1], shape[2], shape[3]});
  for (int c = 0; c < 4; ++c) {
    const double angle = 1.5707963 * c + 0.3;
    const auto size = sampled(shape, [&](double x, double y, double) {
      const double d = std::hypot(x - 1.3 * std::cos(angle), y - 1.3 * std::sin(angle));
      return 1 / (1 + d * d);
    });
    const auto phase = sampled(
        shape, [&](double x, double y, double z) { return angle + 0.4 * x - 0.3 * y + 0.1 * z; });
    for (std::int64_t i = 0; i < size.size(); ++i)
      coils.complex_voxels[c * size.size() + i] = std::polar(size[i], phase[i]);
  }
  all[Map::coils] = coils;
  return all;
}

inline mr::artifact::Recipe recipe(const std::vector<std::string>& steps) {
  mr::artifact::Recipe r;
  for (const auto& step : steps) r.steps.push_back(mr::artifact::parse_step(step));
  return r;
}

struct Result {
  Volume volume;
  mr::Json record;
};

inline Result corrupted(Volume volume, const mr::artifact::Recipe& r, std::uint64_t seed = 1,
                        const std::string& id = "a", int threads = 1) {
  const auto facts = mr::artifact::measure_facts(volume);
  const auto all = maps(volume);
  auto record = mr::artifact::corrupt(volume, r, facts, {seed, id, std::nullopt}, threads, all);
  return {std::move(volume), std::move(record)};
}

inline Result corrupted(Volume volume, const std::string& step, std::uint64_t seed = 1,
                        const std::string& id = "a") {
  return corrupted(std::move(volume), recipe({step}), seed, id);
}

inline bool same_bits(const Volume& a, const Volume& b) {
  return a.voxels == b.voxels && a.complex_voxels == b.complex_voxels;
}

inline double norm(const Volume& v) {
  double sum = 0;
  for (const auto x : v.voxels) sum += static_cast<double>(x) * static_cast<double>(x);
  for (const auto& x : v.complex_voxels) sum += static_cast<double>(std::norm(x));
  return std::sqrt(sum);
}

inline double distance(const Volume& a, const Volume& b, double scale_of_a = 1) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.voxels.size(); ++i)
    sum += std::pow(
        scale_of_a * static_cast<double>(a.voxels[i]) - static_cast<double>(b.voxels[i]), 2);
  for (std::int64_t i = 0; i < a.complex_voxels.size(); ++i)
    sum += static_cast<double>(
        std::norm(static_cast<float>(scale_of_a) * a.complex_voxels[i] - b.complex_voxels[i]));
  return std::sqrt(sum);
}

}  // namespace samples
