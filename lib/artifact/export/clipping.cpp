#include <algorithm>

#include "artifact/export/intensity.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("share_percent") != 0;
}

/// What is brighter than the foreground's percentile is cut to it, never wrapped. The gain stays
/// as it falls out.
Drawn draw(const Context& context, const Values& values) {
  auto foreground = clean_magnitudes(context, Where::foreground);
  const double limit = quantile(foreground, 1 - values.at("share_percent") / 100);
  Drawn drawn;
  drawn.values.set("limit", limit);
  drawn.apply = [limit = static_cast<float>(limit), complex_image = context.volume.is_complex()](
                    Block& block, int threads) {
    const auto n = block.plane_size();
    on_magnitude(block, complex_image, threads, [&](float* x, std::int64_t) {
      for (std::int64_t i = 0; i < n; ++i) x[i] = std::min(x[i], limit);
    });
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
          false};
}

}  // namespace mr::artifact
