#include <cmath>
#include <limits>

#include "artifact/engine.h"
#include "kspace/simd.h"

namespace mr::artifact {
namespace {

MR_SIMD void add_scaled(float factor, const float* x, std::int64_t n, float* to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] += factor * x[i];
}

bool acts(const Values& values) {
  return std::isfinite(values.at("snr"));
}

/// Adds independent Gaussian noise to the real and the imaginary part. The magnitude of what was
/// real then follows the Rice distribution; a complex image stays complex.
Drawn draw(const Context& context, const Values& values) {
  const double sigma = context.facts.signal / values.at("snr");
  Drawn drawn;
  drawn.values = {{"sigma", sigma}};
  drawn.apply = [key = context.frame_stream("noise"), sigma = static_cast<float>(sigma)](Block& block,
                                                                                   int threads) {
    block.make_complex();
    const auto n = block.plane_size();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      std::vector<float> noise(static_cast<std::size_t>(2 * n));
      fill_normal(sub_key(key, static_cast<std::uint64_t>(slice)), 0, noise.data(), noise.size());
      add_scaled(sigma, noise.data(), n, re);
      add_scaled(sigma, noise.data() + n, n, im);
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
