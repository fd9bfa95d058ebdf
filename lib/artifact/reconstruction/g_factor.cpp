#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "artifact/coil/array.h"
#include "artifact/engine.h"
#include "artifact/reconstruction/aliasing.h"
#include "artifact/reconstruction/unfolding.h"
#include "base/error.h"
#include "kspace/simd.h"

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

/// Sensitivities and noise of one slice.
struct Slice {
  const Array<std::complex<float>>& sensitivities;  // [coil, lines, readout]
  const std::vector<float>& noise;                  // [coil, part, step, readout]
  Aliasing rows;

  /// (S^H S)^-1 S^H n of the voxels that alias to row `first`, some columns from x on, in of.b.
  void unfold(std::int64_t first, std::int64_t x, std::int64_t count, Equations& of) const {
    const auto columns = sensitivities.shape(2), plane = sensitivities.shape(1) * columns;
    const auto folded = rows.step() * columns, at = first * columns + x;
    const auto n = static_cast<std::size_t>(rows.partners(first));
    of.clear(n);
    std::array<Numbers, most_aliased> sees;
    Numbers own;
    for (std::int64_t c = 0; c < sensitivities.shape(0); ++c) {
      const auto* seen = reinterpret_cast<const float*>(sensitivities.data() + c * plane + at);
      for (std::size_t i = 0; i < n; ++i, seen += 2 * folded) load_pairs(seen, count, sees[i]);
      const auto* drawn = noise.data() + 2 * c * folded + at;
      load(drawn, drawn + folded, count, own);
      add_coil(sees, own, n, of);
    }
    if (!solve(n, of))
      throw DataError("g-factor: the coils see aliased voxels alike: they cannot be unfolded");
  }
};

void add_noise(const CoilArray& array, RandomKey key, const Aliasing& rows, double sigma,
               std::int64_t slice, std::int64_t columns, float* re, float* im) {
  const auto s = array.sensitivities(slice);
  std::vector<float> noise(static_cast<std::size_t>(2 * array.size() * rows.step() * columns));
  fill_normal(sub_key(key, static_cast<std::uint64_t>(slice)), 0, noise.data(), noise.size());
  const Slice one{s, noise, rows};
  Equations equations;
  for (std::int64_t y = 0; y < rows.step(); ++y)
    for (std::int64_t x = 0; x < columns; x += unfolded_columns) {
      const auto count = std::min(unfolded_columns, columns - x);
      one.unfold(y, x, count, equations);
      for (std::int64_t i = 0; i < rows.partners(y); ++i) {
        const auto at = (y + i * rows.step()) * columns + x;
        add_scaled(sigma, equations.b[static_cast<std::size_t>(i)], count, re + at, im + at);
      }
    }
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
  const auto rows = aliasing(context.lines(), values.at("acceleration"));
  if (array.size() < std::min(rows.acceleration, rows.rows))
    throw DataError("g-factor: want at least " + std::to_string(rows.acceleration) +
                    " coils for that acceleration, got " + std::to_string(array.size()));
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
