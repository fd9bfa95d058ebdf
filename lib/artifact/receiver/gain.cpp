// Two changes of the receiver's gain: arms of control, which change no structure.
#include <cmath>

#include "artifact/engine.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

MR_SIMD void multiply(float gain, std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) values[i] *= gain;
}

bool acts(const Values& values) {
  return values.at("log2_gain") != 0;
}

Drawn amplify(double log2_gain) {
  const double gain = std::exp2(log2_gain);
  Drawn drawn;
  drawn.values.set("gain", gain);
  drawn.apply = [gain = static_cast<float>(gain)](Block& block, int) {
    multiply(gain, block.re.size(), block.re.data());
    multiply(gain, block.im.size(), block.im.data());
  };
  return drawn;
}

Drawn draw_common(const Context&, const Values& values) {
  return amplify(values.at("log2_gain"));
}

/// Up or down, by the toss of a coin, for each unit that the recipe draws per (scanner, subject).
Drawn draw_random(const Context& context, const Values& values) {
  const double sign = below(context.group_stream("sign"), 0, 2) == 0 ? 1 : -1;
  return amplify(sign * values.at("log2_gain"));
}

}  // namespace

Artifact gain_common() {
  return {{"gain-common",
           "All images brighter by one factor: thresholds notice, ranks do not",
           "Control arm: g I, artifacts.md section 3.5",
           Stage::receiver,
           {{"log2_gain",
             "1",
             "binary logarithm of the gain; negative: darker",
             -10,
             10,
             {0.15, 0.3, 0.6, 1, 2},
             0}},
           0,
           false},
          acts,
          draw_common,
          false};
}

Artifact gain_random() {
  return {{"gain-random",
           "Each image brighter or darker by a factor: ranks notice too",
           "Control arm: g I or I / g, artifacts.md section 3.5",
           Stage::receiver,
           {{"log2_gain",
             "1",
             "modulus of the gain's binary logarithm; its sign is drawn",
             0,
             10,
             {0.15, 0.3, 0.6, 1, 2},
             0}},
           0,
           false},
          acts,
          draw_random,
          false};
}

}  // namespace mr::artifact
