#include "artifact/coil/array.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/simd.h"
#include "base/text.h"

namespace mr::artifact {
namespace {

void require_grid(const image::Volume& map, const image::Volume& volume,
                  const std::string& artifact) {
  for (int axis = 0; axis < 3; ++axis)
    if (map.length(axis) != volume.length(axis))
      throw DataError(artifact + ": the coils map has " + std::to_string(map.length(axis)) +
                      " voxels along " + "ijk"[axis] + ", the image " +
                      std::to_string(volume.length(axis)));
  if (!map.is_complex()) throw DataError(artifact + ": the coils map: want complex voxels");
}

MR_SIMD void add_squares(const float* pairs, std::int64_t n, double* sum) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto a = static_cast<double>(pairs[2 * i]), b = static_cast<double>(pairs[2 * i + 1]);
    sum[i] += a * a + b * b;
  }
}

// Loops that select before they divide or multiply need no branches.

MR_SIMD void invert_roots(const double* squares, std::int64_t n, float* scales) {
  for (std::int64_t i = 0; i < n; ++i) {
    const double square = squares[i] > 0 ? squares[i] : std::numeric_limits<double>::infinity();
    scales[i] = static_cast<float>(1 / std::sqrt(square));
  }
}

MR_SIMD void scale_pairs(const float* scales, std::int64_t n, float* pairs) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float re = scales[i] > 0 ? pairs[2 * i] : 0, im = scales[i] > 0 ? pairs[2 * i + 1] : 0;
    pairs[2 * i] = re * scales[i];
    pairs[2 * i + 1] = im * scales[i];
  }
}

MR_SIMD void scale_to(const float* magnitude, std::int64_t n, float* re, float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float before = __builtin_sqrtf(re[i] * re[i] + im[i] * im[i]);
    const float size = before > 0 ? before : 1.0f, a = before > 0 ? re[i] : 1.0f,
                b = before > 0 ? im[i] : 0.0f;
    re[i] = magnitude[i] / size * a;
    im[i] = magnitude[i] / size * b;
  }
}

}  // namespace

void normalise(Array<std::complex<float>>& s) {
  const auto columns = s.shape(2), plane = s.shape(1) * columns;
  std::vector<double> squares(static_cast<std::size_t>(columns));
  std::vector<float> scales(squares.size());
  for (std::int64_t row = 0; row < plane; row += columns) {
    std::fill(squares.begin(), squares.end(), 0.0);
    const auto pairs = [&](std::int64_t coil) {
      return reinterpret_cast<float*>(s.data() + coil * plane + row);
    };
    for (std::int64_t c = 0; c < s.shape(0); ++c) add_squares(pairs(c), columns, squares.data());
    invert_roots(squares.data(), columns, scales.data());
    for (std::int64_t c = 0; c < s.shape(0); ++c) scale_pairs(scales.data(), columns, pairs(c));
  }
}

Parameter loops_parameter(const std::string& otherwise) {
  return {"coils", "1", "whole number of loops " + otherwise, 1, 64, {8, 8, 8, 8, 8}, 8};
}

kspace::CoilGrid coil_grid(const Context& context) {
  const auto spacing = [&](int axis) {
    return context.volume.spacing_mm[static_cast<std::size_t>(axis)];
  };
  const auto& roles = context.roles;
  return {{context.slices(), context.lines(), context.readout()},
          {spacing(roles.slice), spacing(roles.phase_encode), spacing(roles.readout)}};
}

void refuse_coil_frames(const Context& context, const std::string& artifact) {
  if (context.volume.acquisition.dim4 == "coil")
    throw DataError(artifact + ": the frames are coils; want the combined image");
}

std::int64_t whole(const Values& values, const std::string& name, const std::string& artifact) {
  const double value = values.at(name);
  if (value != std::floor(value))
    throw DataError(artifact + ": " + name + ": want a whole number, got " + shortest(value));
  return static_cast<std::int64_t>(value);
}

void set_magnitude(const float* magnitude, std::int64_t n, float* re, float* im) {
  if (im)
    scale_to(magnitude, n, re, im);
  else
    std::copy_n(magnitude, n, re);
}

CoilArray::CoilArray(const Context& context, double loops, const std::string& artifact)
    : roles_(context.roles), grid_(coil_grid(context)) {
  const auto map = context.maps.find(Map::coils);
  if (map == context.maps.end()) {
    coils_ = whole({{"coils", loops}}, "coils", artifact);
  } else {
    require_grid(map->second, context.volume, artifact);
    map_ = &map->second;
    coils_ = map_->frames();
  }
}

Array<std::complex<float>> CoilArray::from_map(std::int64_t slice) const {
  Array<std::complex<float>> out({coils_, grid_.size[1], grid_.size[2]});
  const auto frame = count(map_->shape()) / coils_;
  const auto line = stride(*map_, roles_.phase_encode), readout = stride(*map_, roles_.readout);
  auto* to = out.data();
  for (std::int64_t c = 0; c < coils_; ++c)
    for (std::int64_t y = 0; y < out.shape(1); ++y) {
      const auto* from =
          map_->complex_voxels.data() + c * frame + slice * stride(*map_, roles_.slice) + y * line;
      if (readout == 1)
        std::copy_n(from, out.shape(2), to);
      else
        for (std::int64_t x = 0; x < out.shape(2); ++x) to[x] = from[x * readout];
      to += out.shape(2);
    }
  return out;
}

Array<std::complex<float>> CoilArray::sensitivities(std::int64_t slice) const {
  auto s = map_ ? from_map(slice)
                : loop_sensitivities(kspace::ring_of_loops(static_cast<int>(coils_)), grid_, slice);
  normalise(s);
  return s;
}

Record CoilArray::record() const {
  return Record().set("array", is_map() ? "map" : "loops").set("coils", coils_);
}

}  // namespace mr::artifact
