#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "artifact/coil/array.h"
#include "artifact/engine.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

/// sum += |a x + sigma n|^2
MR_SIMD void add_power(float a, float sigma, const float* x, const float* noise, std::int64_t n,
                       float* sum) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float y = a * x[i] + sigma * noise[i];
    sum[i] += y * y;
  }
}

MR_SIMD void add_noise_power(float sigma, const float* noise, std::int64_t n, float* sum) {
  for (std::int64_t i = 0; i < n; ++i) sum[i] += sigma * sigma * noise[i] * noise[i];
}

MR_SIMD void take_root(std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) values[i] = __builtin_sqrtf(values[i]);
}

constexpr std::int64_t at_once = 2048;  // voxels whose noise stays in the cache

/// Sums of squares of `count` voxels of a slice of n, from voxel `first` on. The noise of the real
/// parts comes first in a coil's stream, then that of the imaginary parts.
struct Coils {
  std::int64_t count;
  float sigma;
  RandomKey key;  // of a slice

  void add(std::int64_t n, std::int64_t first, std::int64_t voxels, const float* re,
           const float* im, float* sum) const {
    const auto share = static_cast<float>(1 / std::sqrt(static_cast<double>(count)));
    std::array<float, at_once> noise;
    const auto draw = [&](std::int64_t coil, std::int64_t from) {
      fill_normal(sub_key(key, static_cast<std::uint64_t>(coil)), static_cast<std::uint64_t>(from),
                  noise.data(), static_cast<std::size_t>(voxels));
    };
    for (std::int64_t c = 0; c < count; ++c) {
      draw(c, first);
      add_power(share, sigma, re, noise.data(), voxels, sum);
      draw(c, n + first);
      if (im)
        add_power(share, sigma, im, noise.data(), voxels, sum);
      else
        add_noise_power(sigma, noise.data(), voxels, sum);
    }
  }
};

bool acts(const Values& values) {
  return std::isfinite(values.at("snr"));
}

/// M = sqrt(sum |A_c + n_c|^2) over L coils of equal sensitivity, A_c = A / sqrt(L). The
/// combination takes the magnitude itself: what was complex keeps its phase.
Drawn draw(const Context& context, const Values& values) {
  refuse_coil_frames(context, "nc-chi");
  const auto coils = whole(values, "coils", "nc-chi");
  const double sigma = context.facts.signal / values.at("snr");
  Drawn drawn;
  drawn.values.set("sigma", sigma).set("coils", coils);
  drawn.apply = [key = context.frame_stream("noise"), coils, sigma = static_cast<float>(sigma)](
                    Block& block, int threads) {
    const auto n = block.plane_size();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      const Coils array{coils, sigma, sub_key(key, static_cast<std::uint64_t>(slice))};
      for (std::int64_t first = 0; first < n; first += at_once) {
        const auto voxels = std::min(at_once, n - first);
        float* imaginary = im ? im + first : nullptr;
        std::array<float, at_once> sum{};
        array.add(n, first, voxels, re + first, imaginary, sum.data());
        take_root(voxels, sum.data());
        set_magnitude(sum.data(), voxels, re + first, imaginary);
      }
    });
  };
  return drawn;
}

}  // namespace

Artifact nc_chi() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {
      {"nc-chi",
       "Noise of several coils, combined by the root of the sum of squares: grain, a high floor",
       "Constantinides, Atalar and McVeigh 1997, Magn Reson Med 38:852, eq. 3",
       Stage::receiver,
       {{"snr",
         "1",
         "mean of the foreground / standard deviation of a coil's noise per component",
         0.1,
         infinity,
         {40, 20, 12, 8, 5},
         infinity},
        {"coils", "1", "whole number L of coils", 1, 64, {8, 8, 8, 8, 8}, 8}},
       0,
       false},
      acts,
      draw,
      false};
}

}  // namespace mr::artifact
