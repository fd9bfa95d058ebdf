#include <cmath>
#include <limits>

#include "artifact/engine.h"
#include "artifact/receiver/white.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return std::isfinite(values.at("snr"));
}

/// White Gaussian noise, the same in k-space as in the image since transforms are unitary. It has
/// no place in a magnitude; what a real image can hold is the real part of a reconstruction that
/// knows the phase (as in inversion recovery): signed, without a floor. The magnitude's noise is
/// rician.
Drawn draw(const Context& context, const Values& values) {
  const double sigma = context.facts.signal / values.at("snr");
  Drawn drawn;
  drawn.values.set("sigma", sigma);
  drawn.apply = [key = context.frame_stream("noise"), sigma](Block& block, int threads) {
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      add_white_noise(key, slice, sigma, block.plane_size(), re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact gaussian() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {{"gaussian",
           "White noise of a complex image, or of a signed real part: voxels may turn negative",
           "Henkelman 1985, Med Phys 12:232 (noise before the magnitude is taken)",
           Stage::receiver,
           {{"snr",
             "1",
             "mean of the foreground / standard deviation of the noise per component",
             0.1,
             infinity,
             {40, 20, 12, 8, 5},
             infinity}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
