#include <cmath>
#include <limits>

#include "artifact/engine.h"
#include "artifact/receiver/white.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return std::isfinite(values.at("snr"));
}

/// Adds independent Gaussian noise to the real and the imaginary part. The magnitude of what was
/// real then follows the Rice distribution; a complex image stays complex.
Drawn draw(const Context& context, const Values& values) {
  const double sigma = context.facts.signal / values.at("snr");
  Drawn drawn;
  drawn.values.set("sigma", sigma);
  drawn.apply = [key = context.frame_stream("noise"), sigma](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      add_white_noise(key, slice, sigma, block.plane_size(), re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact rician() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {{"rician",
           "Thermal noise of coil and body: grain, and a raised black background",
           "Gudbjartsson and Patz 1995, Magn Reson Med 34:910",
           Stage::receiver,
           {{"snr",
             "1",
             "mean of the foreground / standard deviation of the noise per component",
             0.1,
             infinity,
             {40, 20, 12, 8, 5},
             infinity}},
           0,
           true},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
