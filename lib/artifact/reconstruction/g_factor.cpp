#include <cmath>
#include <limits>

#include "artifact/coil/array.h"
#include "artifact/engine.h"
#include "artifact/reconstruction/unfolding.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

/// Adds sigma x to some columns of a row.
MR_SIMD void add_scaled(double sigma, const Numbers& x, std::int64_t columns, float* re,
                        float* im) {
  for (std::int64_t l = 0; l < columns; ++l) {
    re[l] += static_cast<float>(sigma * x.re[static_cast<std::size_t>(l)]);
    im[l] += static_cast<float>(sigma * x.im[static_cast<std::size_t>(l)]);
  }
}

/// (S^H S)^-1 S^H n of the noise n of every coil's aliased image.
void add_noise(const CoilArray& array, RandomKey key, const Aliasing& rows, double sigma,
               std::int64_t slice, std::int64_t columns, float* re, float* im) {
  const auto folded = rows.step() * columns;
  std::vector<float> noise(static_cast<std::size_t>(2 * array.size() * folded));
  fill_normal(sub_key(key, static_cast<std::uint64_t>(slice)), 0, noise.data(), noise.size());
  unfold(
      array.sensitivities(slice), rows, "g-factor",
      [&](std::int64_t coil, std::int64_t row, std::int64_t x, std::int64_t count, Numbers& to) {
        const auto* drawn = noise.data() + 2 * coil * folded + row * columns + x;
        load(drawn, drawn + folded, count, to);
      },
      [&](std::int64_t at, std::int64_t count, const Numbers& voxels) {
        add_scaled(sigma, voxels, count, re + at, im + at);
      });
}

bool acts(const Values& values) {
  return std::isfinite(values.at("snr"));
}

/// SENSE with the right sensitivities gives the image back, and with it the unfolded noise of the
/// coils' aliased images: sigma sqrt(R) g, which aliased voxels share. The array is scaled voxel by
/// voxel, so that R = 1 has the noise sigma everywhere, and the sum of R voxels has sqrt(R) of it.
Drawn draw(const Context& context, const Values& values) {
  refuse_coil_frames(context, "g-factor");
  const CoilArray array(context, values.at("coils"), "g-factor");
  const auto rows = aliasing_of(context, values, array, "g-factor");
  const double sigma = context.facts.signal / values.at("snr");
  Drawn drawn;
  drawn.values = array.record();
  drawn.values.set("sigma", sigma);
  drawn.values.set("acceleration", rows.acceleration);
  drawn.apply = [array, rows, key = context.frame_stream("noise"),
                 folded = sigma * std::sqrt(static_cast<double>(rows.acceleration))](Block& block,
                                                                                     int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      add_noise(array, key, rows, folded, slice, block.readout(), re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact g_factor() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {{"g-factor",
           "Noise of parallel imaging (SENSE), larger where coils cannot tell aliased voxels apart",
           "Pruessmann et al. 1999, Magn Reson Med 42:952, eq. 23",
           Stage::reconstruction,
           {{"snr",
             "1",
             "mean of the foreground / noise per component of the scan without acceleration",
             0.1,
             infinity,
             {40, 30, 30, 22, 22},
             infinity},
            {"acceleration", "1", "R, rounded to a whole number", 1, 8, {2, 2, 3, 3, 4}, 1},
            loops_parameter("where no map of coils is given")},
           0,
           false},
          acts,
          draw,
          false,
          {},
          false,
          {Map::coils}};
}

}  // namespace mr::artifact
