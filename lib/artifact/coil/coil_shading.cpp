#include <cmath>
#include <limits>
#include <memory>

#include "artifact/coil/array.h"
#include "artifact/engine.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// Root of the sum of squares of the loops' sensitivities, [slices, lines, readout].
Array<float> sensitivity(const std::vector<kspace::Loop>& loops, const kspace::CoilGrid& grid) {
  const auto plane = grid.size[1] * grid.size[2];
  Array<float> out({grid.size[0], grid.size[1], grid.size[2]});
  for (std::int64_t slice = 0; slice < grid.size[0]; ++slice) {
    const auto s = kspace::loop_sensitivities(loops, grid, slice);
    auto* to = out.data() + slice * plane;
    for (std::int64_t i = 0; i < s.size(); ++i) to[i % plane] += std::norm(s[i]);
    for (std::int64_t i = 0; i < plane; ++i) to[i] = std::sqrt(to[i]);
  }
  return out;
}

/// Mean of a field over the foreground, weighted by the image as it was given.
double weighted_mean(const Array<float>& field, const Context& context) {
  const auto& volume = context.volume;
  const auto& roles = context.roles;
  const auto first = context.frame * (count(volume.shape()) / volume.frames());
  double weighted = 0, sum = 0;
  std::int64_t at = 0;
  for (std::int64_t s = 0; s < context.slices(); ++s)
    for (std::int64_t y = 0; y < context.lines(); ++y)
      for (std::int64_t x = 0; x < context.readout(); ++x, ++at) {
        const auto i = first + s * stride(volume, roles.slice) +
                       y * stride(volume, roles.phase_encode) + x * stride(volume, roles.readout);
        if (!context.facts.foreground[i]) continue;
        const auto value = static_cast<double>(
            volume.is_complex() ? std::abs(volume.complex_voxels[i]) : volume.voxels[i]);
        weighted += value * static_cast<double>(field[at]);
        sum += value;
      }
  return weighted / sum;
}

bool acts(const Values& values) {
  return std::isfinite(values.at("distance"));
}

/// The image times what an array of loops sees, scaled so that the foreground's sum stays. The
/// scale is a fact of the whole image.
Drawn draw(const Context& context, const Values& values) {
  refuse_coil_frames(context, "coil-shading");
  const auto coils = whole(values, "coils", "coil-shading");
  const double angle = 2 * pi * uniform(context.stream("angle"), 0);
  const auto loops =
      kspace::ring_of_loops(static_cast<int>(coils), values.at("distance"), 0.2, angle);
  auto field = sensitivity(loops, coil_grid(context));
  const double scale = 1 / weighted_mean(field, context);
  if (!std::isfinite(scale)) throw DataError("coil-shading: the foreground sees no coil");
  for (auto& value : field) value = static_cast<float>(scale * static_cast<double>(value));
  Drawn drawn;
  drawn.values.set("coils", coils).set("first_rad", angle).set("scale", scale);
  const auto shared = std::make_shared<const Array<float>>(std::move(field));
  drawn.apply = [shared](Block& block, int threads) {
    const auto n = block.plane_size();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      const auto* factor = shared->data() + slice * n;
      for (std::int64_t i = 0; i < n; ++i) re[i] *= factor[i];
      if (im)
        for (std::int64_t i = 0; i < n; ++i) im[i] *= factor[i];
    });
  };
  return drawn;
}

}  // namespace

Artifact coil_shading() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {{"coil-shading",
           "Sensitivity of receive loops uncorrected: bright at the rim, dark in the depth",
           "Roemer et al. 1990, Magn Reson Med 16:192; loops by Biot and Savart as in BART",
           Stage::coil,
           {{"distance",
             "1",
             "of the loops, of radius 0.2, from the middle / half the larger field of view",
             1.45,
             infinity,
             {5.5, 4, 3.1, 2.6, 2.25},
             infinity},
            {"coils",
             "1",
             "whole number of loops around the axis of slices; 1: a surface coil",
             1,
             64,
             {8, 8, 8, 8, 8},
             8}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
