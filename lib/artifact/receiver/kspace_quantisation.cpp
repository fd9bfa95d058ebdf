#include <cmath>
#include <limits>

#include "artifact/engine.h"
#include "artifact/receiver/full_scale.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return std::isfinite(values.at("bits"));
}

/// To whole multiples of a step. Adding 1.5 2^52 rounds to a whole number, ties to even; beyond
/// 2^51 steps it changes less than a single-precision value can tell.
MR_SIMD void quantise(double step, std::int64_t n, float* values) {
  const double rounder = 6755399441055744.0, by_step = 1 / step;
  for (std::int64_t i = 0; i < n; ++i) {
    const double whole = (static_cast<double>(values[i]) * by_step + rounder) - rounder;
    values[i] = static_cast<float>(step * whole);
  }
}

/// Re and Im of every sample of k-space are rounded to multiples of 2 F / 2^b, F the largest one of
/// the scan: an error of half a step at most. With few bits most samples away from the centre
/// become 0. Not dithered: noise that the image has is part of the samples already.
Drawn draw(const Context& context, const Values& values) {
  const double step = full_scale(kspace_maxima(context)) * std::exp2(1 - values.at("bits"));
  Drawn drawn;
  drawn.values.set("step", step);
  drawn.in_kspace = [step](Block& block, int threads) {
    for_slices(block, threads, [&](float* re, float* im, std::int64_t) {
      quantise(step, block.plane_size(), re);
      quantise(step, block.plane_size(), im);
    });
  };
  return drawn;
}

}  // namespace

Artifact kspace_quantisation() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {{"kspace-quantisation",
           "Receiver gain too low: few steps of the converter are used, fine detail is lost",
           "Widrow and Kollar 2008, Quantization Noise, ch. 1 (uniform quantiser)",
           Stage::receiver,
           {{"bits",
             "1",
             "bits of the converter that the largest sample of the scan's k-space uses, with sign",
             2,
             infinity,
             {12, 10, 8, 6, 5},
             infinity}},
           3,
           false},
          acts,
          draw,
          true};
}

}  // namespace mr::artifact
