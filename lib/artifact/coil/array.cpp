#include "artifact/coil/array.h"

#include <cmath>

#include "base/error.h"
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

/// Each voxel's coils divided by the root of the sum of their squares.
void normalise(Array<std::complex<float>>& s) {
  const auto plane = s.shape(1) * s.shape(2);
  for (std::int64_t i = 0; i < plane; ++i) {
    double sum = 0;
    for (auto at = i; at < s.size(); at += plane) sum += static_cast<double>(std::norm(s[at]));
    const double scale = sum > 0 ? 1 / std::sqrt(sum) : 0;
    for (auto at = i; at < s.size(); at += plane) s[at] *= static_cast<float>(scale);
  }
}

}  // namespace

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
  for (std::int64_t i = 0; i < n; ++i) {
    const float before = im ? std::hypot(re[i], im[i]) : 0.0f;
    if (before > 0) {
      re[i] *= magnitude[i] / before;
      im[i] *= magnitude[i] / before;
    } else {
      re[i] = magnitude[i];
    }
  }
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
  std::int64_t i = 0;
  for (std::int64_t c = 0; c < coils_; ++c)
    for (std::int64_t y = 0; y < out.shape(1); ++y)
      for (std::int64_t x = 0; x < out.shape(2); ++x)
        out[i++] = map_->complex_voxels[c * frame + slice * stride(*map_, roles_.slice) + y * line +
                                        x * readout];
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
