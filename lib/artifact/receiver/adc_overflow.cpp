#include <algorithm>
#include <cmath>

#include "artifact/engine.h"
#include "artifact/receiver/full_scale.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

MR_SIMD void clip(float most, std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float low = values[i] < -most ? -most : values[i];
    values[i] = low > most ? most : low;
  }
}

bool acts(const Values& values) {
  return values.at("range") != 1;
}

/// Re and Im of every sample of k-space saturate at a share of the largest one. In 2-D only slices
/// whose signal is stronger than that overflow; they are recorded.
Drawn draw(const Context& context, const Values& values) {
  const auto maxima = kspace_maxima(context);
  const double level = values.at("range") * full_scale(maxima);
  Drawn drawn;
  drawn.values.set("clip_level", level);
  if (!context.is_3d()) {
    std::vector<std::size_t> overflowing;
    for (std::size_t s = 0; s < maxima.size(); ++s)
      if (maxima[s] > level) overflowing.push_back(s);
    drawn.values.set("overflowing_slices", overflowing);
  }
  drawn.in_kspace = [level = static_cast<float>(level)](Block& block, int threads) {
    for_slices(block, threads, [&](float* re, float* im, std::int64_t) {
      clip(level, block.plane_size(), re);
      clip(level, block.plane_size(), im);
    });
  };
  return drawn;
}

}  // namespace

Artifact adc_overflow() {
  return {{"adc-overflow",
           "Receiver gain too high: the strongest samples saturate, low frequencies are lost",
           "Graves and Mitchell 2013, J Magn Reson Imaging 38:269 (data clipping)",
           Stage::receiver,
           {{"range",
             "1",
             "full scale of the converter / largest sample of the scan's k-space",
             0.01,
             1,
             {0.95, 0.85, 0.75, 0.6, 0.45},
             1}},
           3,
           false},
          acts,
          draw,
          true};
}

}  // namespace mr::artifact
