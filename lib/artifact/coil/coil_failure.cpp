#include <algorithm>
#include <cmath>
#include <numeric>

#include "artifact/coil/array.h"
#include "artifact/engine.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

/// Weights of the elements: the first of a drawn order fail one after another, so that a larger
/// number of them holds the smaller; a fraction fails in part.
std::vector<double> draw_weights(RandomKey key, std::int64_t coils, const Values& values) {
  std::vector<std::size_t> order(static_cast<std::size_t>(coils));
  std::iota(order.begin(), order.end(), std::size_t{0});
  shuffle(key, order);
  std::vector<double> weights(order.size(), 1.0);
  for (std::size_t n = 0; n < order.size(); ++n) {
    const double part = std::clamp(values.at("elements") - static_cast<double>(n), 0.0, 1.0);
    weights[order[n]] = 1 - part * (1 - values.at("weight"));
  }
  return weights;
}

MR_SIMD void add_power(float weight, const float* pairs, std::int64_t n, float* all, float* left) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float power = pairs[2 * i] * pairs[2 * i] + pairs[2 * i + 1] * pairs[2 * i + 1];
    all[i] += power;
    left[i] += weight * power;
  }
}

MR_SIMD void multiply_root(const float* all, const float* left, std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) {  // selects before it divides, so that it needs no branch
    const float whole = all[i] > 0 ? all[i] : 1.0f, part = all[i] > 0 ? left[i] : 1.0f;
    values[i] *= __builtin_sqrtf(part / whole);
  }
}

/// RSS' = RSS sqrt(sum w_c^2 |S_c|^2), S_c the sensitivities of RSS 1; where no coil sees anything,
/// the image stays.
void shade(const CoilArray& array, const std::vector<double>& weights, std::int64_t slice,
           float* re, float* im) {
  const auto s = array.sensitivities(slice);
  const auto columns = s.shape(2), plane = s.shape(1) * columns;
  std::vector<float> all(static_cast<std::size_t>(columns)), left(all.size());
  for (std::int64_t row = 0; row < plane; row += columns) {
    std::fill(all.begin(), all.end(), 0.0f);
    std::fill(left.begin(), left.end(), 0.0f);
    const auto* seen = s.data() + row;
    for (const double weight : weights) {
      add_power(static_cast<float>(weight * weight), reinterpret_cast<const float*>(seen), columns,
                all.data(), left.data());
      seen += plane;
    }
    multiply_root(all.data(), left.data(), columns, re + row);
    if (im) multiply_root(all.data(), left.data(), columns, im + row);
  }
}

bool acts(const Values& values) {
  return values.at("weight") != 1 && values.at("elements") != 0;
}

/// One coil of a multi-coil image is multiplied by its weight; a combined image by what is left of
/// the root of the sum of squares. The drop of the signal is physical and is kept.
Drawn draw(const Context& context, const Values& values) {
  const bool frames_are_coils = context.volume.acquisition.dim4 == "coil";
  const CoilArray array(context, values.at("coils"), "coil-failure");
  const auto coils = frames_are_coils ? context.volume.frames() : array.size();
  const auto weights = draw_weights(context.stream("order"), coils, values);
  Drawn drawn;
  if (!frames_are_coils) drawn.values = array.record();
  drawn.values.set("weights", weights);
  if (frames_are_coils) {
    const auto weight = static_cast<float>(weights[static_cast<std::size_t>(context.frame)]);
    drawn.apply = [weight](Block& block, int) {
      for (auto& x : block.re) x *= weight;
      for (auto& x : block.im) x *= weight;
    };
  } else {
    drawn.apply = [array, weights](Block& block, int threads) {
      for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
        shade(array, weights, slice, re, im);
      });
    };
  }
  return drawn;
}

}  // namespace

Artifact coil_failure() {
  return {{"coil-failure",
           "Elements of the receive array weak or dead: shading on their side",
           "Roemer et al. 1990, Magn Reson Med 16:192 (root of the sum of squares of an array)",
           Stage::coil,
           {{"weight", "1", "what is left of a failed element", 0, 1, {0.8, 0.5, 0.2, 0, 0}, 1},
            {"elements",
             "1",
             "number of failed elements; a fraction fails in part",
             0,
             64,
             {1, 1, 1, 1, 2},
             1},
            loops_parameter("where neither frames nor a map are coils")},
           0,
           false},
          acts,
          draw,
          false,
          {},
          false,
          {Map::coils}};
}

}  // namespace mr::artifact
