#include "artifact/elementary.h"
#include "artifact/field/solid_harmonics.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

/// to += share exp(2 pi i turns) from, along one line
MR_SIMD void add_turned(const float* turns, float share, const float* from_re, const float* from_im,
                        std::int64_t n, float* re, float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float rounder = 12582912.0f;  // 1.5 2^23: takes off whole turns
    const float part = turns[i] - ((turns[i] + rounder) - rounder);
    const auto turn = fast_sine_cosine(6.28318531f * part);
    re[i] += share * (turn.cosine * from_re[i] - turn.sine * from_im[i]);
    im[i] += share * (turn.cosine * from_im[i] + turn.sine * from_re[i]);
  }
}

/// I + e exp(i phase) (I moved by half the field of view along phase encoding).
void add_alias(const Array<float>& turns, float share, std::int64_t lines, std::int64_t columns,
               float* re, float* im) {
  const std::vector<float> from_re(re, re + lines * columns), from_im(im, im + lines * columns);
  for (std::int64_t y = 0; y < lines; ++y) {
    const auto from = (y + lines / 2) % lines * columns, to = y * columns;
    add_turned(turns.data() + to, share, from_re.data() + from, from_im.data() + from, columns,
               re + to, im + to);
  }
}

bool acts(const Values& values) {
  return values.at("alias") != 0;
}

/// What folds in from outside the field of view has lost phase against what it falls on, since the
/// field is uneven: the two interfere in bands. What lies outside is not known; the image itself
/// stands for it.
Drawn draw(const Context& context, const Values& values) {
  HarmonicField turns(context, "phase", "moire");
  turns.scale(values.at("turns") / turns.measure().peak);
  Drawn drawn;
  drawn.values.set("turns", turns.record()).set("lines_moved", context.lines() / 2);
  drawn.apply = [turns, share = static_cast<float>(values.at("alias"))](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      add_alias(turns.slice(slice), share, block.lines(), block.readout(), re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact moire() {
  return {
      {"moire",
       "Gradient echo with a body coil: bands where folded and true signal interfere",
       "Zhuo and Gullapalli 2006, RadioGraphics 26:275 (zebra stripes of gradient echoes)",
       Stage::field,
       {{"alias", "1", "share of the signal that folds in", 0, 1, {0.05, 0.1, 0.2, 0.35, 0.5}, 0},
        {"turns",
         "1",
         "largest phase between the two in the foreground, in turns",
         0,
         100,
         {6, 6, 6, 6, 6},
         6}},
       0,
       false},
      acts,
      draw,
      false};
}

}  // namespace mr::artifact
