#include <algorithm>

#include "artifact/export/intensity.h"
#include "base/error.h"
#include "base/simd.h"
#include "base/text.h"

namespace mr::artifact {
namespace {

struct Ramp {
  double low, high, black, slope;
};

MR_SIMD void map(Ramp ramp, std::int64_t n, float* x) {
  for (std::int64_t i = 0; i < n; ++i) {
    const double inside = std::min(std::max(static_cast<double>(x[i]), ramp.low), ramp.high);
    x[i] = static_cast<float>(ramp.black + ramp.slope * (inside - ramp.low));
  }
}

bool acts(const Values& values) {
  return values.at("low_percent") != 0 || values.at("high_percent") != 100;
}

/// Linear from [low, high] to the range that the clean image had, and flat outside, as a viewer
/// writes what it shows. Percentiles are of all voxels, air included, as in common normalisation,
/// so that 0 and 100 are the identity.
Drawn draw(const Context& context, const Values& values) {
  const auto limits =
      clean_quantiles(context, Where::everywhere,
                      {values.at("low_percent") / 100, values.at("high_percent") / 100});
  const double low = limits[0], high = limits[1];
  if (!(high > low))
    throw DataError("window: percentiles " + shortest(values.at("low_percent")) + " and " +
                    shortest(values.at("high_percent")) + " of the image are " + shortest(low) +
                    " and " + shortest(high) + ": want the second one higher");
  const double black = context.facts.minimum, white = context.facts.maximum;
  Drawn drawn;
  drawn.values.set("low", low).set("high", high).set("black", black).set("white", white);
  const Ramp ramp{low, high, black, (white - black) / (high - low)};
  drawn.apply = [ramp, complex_image = context.volume.is_complex()](Block& block, int threads) {
    const auto n = block.plane_size();
    on_magnitude(block, complex_image, threads, [&](float* x, std::int64_t) { map(ramp, n, x); });
  };
  return drawn;
}

}  // namespace

Artifact window() {
  return {{"window",
           "Export through a display window: what lies outside turns black or white",
           "DICOM PS3.3 2024, C.11.2.1.2 (linear window)",
           Stage::export_,
           {{"low_percent",
             "%",
             "percentile of the image that becomes black",
             0,
             49,
             {1, 2, 5, 10, 20},
             0},
            {"high_percent",
             "%",
             "percentile of the image that becomes white",
             51,
             100,
             {99, 98, 95, 90, 80},
             100}},
           0,
           false},
          acts,
          draw,
          false,
          {},
          false,
          {},
          true};
}

}  // namespace mr::artifact
