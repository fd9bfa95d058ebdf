#include <algorithm>

#include "artifact/export/intensity.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

MR_SIMD void cut(float limit, std::int64_t n, float* x) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = std::min(x[i], limit);
}

bool acts(const Values& values) {
  return values.at("share_percent") != 0;
}

/// What is brighter than the foreground's percentile is cut to it, never wrapped. The gain stays
/// as it falls out.
Drawn draw(const Context& context, const Values& values) {
  const double limit =
      clean_quantiles(context, Where::foreground, {1 - values.at("share_percent") / 100})[0];
  Drawn drawn;
  drawn.values.set("limit", limit);
  drawn.apply = [limit = static_cast<float>(limit), complex_image = context.volume.is_complex()](
                    Block& block, int threads) {
    const auto n = block.plane_size();
    on_magnitude(block, complex_image, threads, [&](float* x, std::int64_t) { cut(limit, n, x); });
  };
  return drawn;
}

}  // namespace

Artifact clipping() {
  return {{"clipping",
           "Saturated export: the brightest tissue turns into a flat white",
           "DICOM PS3.3 2024, C.11.2.1.2 (values above the window take its highest output)",
           Stage::export_,
           {{"share_percent",
             "%",
             "share of the foreground that is cut to one value",
             0,
             99,
             {2, 5, 10, 20, 35},
             0}},
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
