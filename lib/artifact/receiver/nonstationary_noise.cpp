#include <cmath>
#include <limits>

#include "artifact/engine.h"
#include "artifact/autoregressive.h"
#include "artifact/receiver/white.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return std::isfinite(values.at("snr"));
}

/// Noise as of rician, with a standard deviation of each slice's own: log sigma is autoregressive
/// over slices. A 3-D scan measures all slices at once, so that one sigma is drawn for the volume.
Drawn draw(const Context& context, const Values& values) {
  const auto x = autoregressive(context.stream("log sigma"), context.is_3d() ? 1 : context.slices(),
                                values.at("slice_correlation"), values.at("log_std"));
  std::vector<double> sigma;
  for (const double value : x)
    sigma.push_back(context.facts.signal / values.at("snr") * std::exp(value));
  Drawn drawn;
  drawn.values.set("sigma", sigma);
  drawn.apply = [key = context.frame_stream("noise"), sigma](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      const auto which = sigma.size() == 1 ? 0 : static_cast<std::size_t>(slice);
      add_white_noise(key, slice, sigma[which], block.plane_size(), re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact nonstationary_noise() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {{"nonstationary-noise",
           "Thermal noise whose strength varies from slice to slice, or between volumes in 3-D",
           "artifacts.md section 7 (log sigma, autoregressive); Gudbjartsson and Patz 1995",
           Stage::receiver,
           {{"snr",
             "1",
             "mean of the foreground / median over slices of the noise per component",
             0.1,
             infinity,
             {40, 20, 12, 8, 5},
             infinity},
            {"log_std",
             "1",
             "standard deviation over slices of the noise's logarithm",
             0,
             2,
             {0.1, 0.15, 0.2, 0.3, 0.4},
             0},
            {"slice_correlation",
             "1",
             "correlation of that of neighbouring slices",
             0,
             1,
             {0.8, 0.8, 0.8, 0.8, 0.8},
             0.8}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
