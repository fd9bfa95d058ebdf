#include <cmath>
#include <limits>

#include "artifact/export/intensity.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

MR_SIMD void round_to(double step, std::int64_t n, float* x) {
  for (std::int64_t i = 0; i < n; ++i)
    x[i] = static_cast<float>(step * __builtin_nearbyint(static_cast<double>(x[i]) / step));
}

bool acts(const Values& values) {
  return std::isfinite(values.at("levels"));
}

/// Rounds to multiples of one step, half to even. The range is not cut: what earlier steps made
/// brighter than the clean image's maximum lies on the same grid.
Drawn draw(const Context& context, const Values& values) {
  const double step = context.facts.maximum / (values.at("levels") - 1);
  Drawn drawn;
  drawn.values.set("step", step);
  drawn.apply = [step, complex_image = context.volume.is_complex()](Block& block, int threads) {
    const auto n = block.plane_size();
    on_magnitude(block, complex_image, threads,
                 [&](float* x, std::int64_t) { round_to(step, n, x); });
  };
  return drawn;
}

}  // namespace

Artifact quantisation() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {{"quantisation",
           "Few grey levels: bands where the image should be smooth",
           "Widrow, Kollar and Liu 1996, IEEE Trans Instrum Meas 45:353 (error uniform in a step)",
           Stage::export_,
           {{"levels",
             "1",
             "grey levels from 0 to the clean image's maximum, both included",
             2,
             infinity,
             {256, 64, 32, 16, 8},
             infinity}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
