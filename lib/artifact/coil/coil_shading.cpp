#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

#include "artifact/coil/array.h"
#include "artifact/engine.h"
#include "artifact/rows.h"
#include "base/error.h"
#include "base/simd.h"
#include "base/threads.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

using Sums = std::array<double, sum_lanes>;

/// Of whole lanes of voxels.
MR_SIMD void add_row(const std::uint8_t* mask, const float* magnitude, const float* field,
                     std::int64_t n, Sums& sum, Sums& weighted) {
  Sums s = sum, w = weighted;
  for (std::int64_t first = 0; first < n; first += sum_lanes)
    for (std::int64_t l = 0; l < sum_lanes; ++l) {
      const auto i = static_cast<std::size_t>(l);
      const double value = mask[first + l] * static_cast<double>(magnitude[first + l]);
      s[i] += value;
      w[i] += value * static_cast<double>(field[first + l]);
    }
  sum = s;
  weighted = w;
}

MR_SIMD void multiply(float scale, const float* field, std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) values[i] *= scale * field[i];
}

/// What the loops see of every voxel together, [slices, lines, readout].
Array<float> sensitivity(const std::vector<kspace::Loop>& loops, const kspace::CoilGrid& grid,
                         int threads) {
  Array<float> out({grid.size[0], grid.size[1], grid.size[2]});
  parallel_for(threads, grid.size[0], [&](std::int64_t slice) {
    const auto s = kspace::combined_sensitivity(loops, grid, slice);
    std::copy(s.begin(), s.end(), out.data() + slice * s.size());
  });
  return out;
}

/// Mean of a field over the foreground, weighted by the image as it was given.
double weighted_mean(const Array<float>& field, const Context& context) {
  const auto& volume = context.volume;
  const auto& roles = context.roles;
  const auto first = context.frame * (count(volume.shape()) / volume.frames());
  const auto n = context.readout(), step = stride(volume, roles.readout);
  const bool whole_rows = step == 1 && !volume.is_complex();
  const auto of_slice = [&](std::int64_t s) {
    std::vector<std::uint8_t> mask_row(static_cast<std::size_t>(n));
    std::vector<float> magnitude_row(mask_row.size());
    PaddedRows<std::uint8_t> masks(n);
    PaddedRows<float> magnitudes(n), fields(n);
    Sums sum{}, weighted{};
    for (std::int64_t y = 0; y < context.lines(); ++y) {
      auto at = first + s * stride(volume, roles.slice) + y * stride(volume, roles.phase_encode);
      const auto* mask = whole_rows ? context.facts.foreground.data() + at : mask_row.data();
      const auto* magnitude = whole_rows ? volume.voxels.data() + at : magnitude_row.data();
      for (std::size_t x = 0; x < mask_row.size() && !whole_rows; ++x, at += step) {
        mask_row[x] = context.facts.foreground[at];
        magnitude_row[x] =
            volume.is_complex() ? std::abs(volume.complex_voxels[at]) : volume.voxels[at];
      }
      add_row(masks(mask), magnitudes(magnitude),
              fields(field.data() + (s * context.lines() + y) * n), whole_lanes(n), sum, weighted);
    }
    return std::array<double, 2>{std::accumulate(weighted.begin(), weighted.end(), 0.0),
                                 std::accumulate(sum.begin(), sum.end(), 0.0)};
  };
  double weighted = 0, sum = 0;
  for (const auto& slice : parallel_map(context.threads, context.slices(), of_slice)) {
    weighted += slice[0];
    sum += slice[1];
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
  auto field = sensitivity(loops, coil_grid(context), context.threads);
  const double scale = 1 / weighted_mean(field, context);
  if (!std::isfinite(scale)) throw DataError("coil-shading: the foreground sees no coil");
  Drawn drawn;
  drawn.values.set("coils", coils).set("first_rad", angle).set("scale", scale);
  const auto shared = std::make_shared<const Array<float>>(std::move(field));
  drawn.apply = [shared, scale = static_cast<float>(scale)](Block& block, int threads) {
    const auto n = block.plane_size();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      multiply(scale, shared->data() + slice * n, n, re);
      if (im) multiply(scale, shared->data() + slice * n, n, im);
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
            loops_parameter("around the axis of slices; 1: a surface coil")},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
