#include <cmath>

#include "artifact/engine.h"
#include "base/simd.h"
#include "base/threads.h"
#include "kspace/axes.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

using Plane = Array<float>;  // [1 or slices, lines or 1, readout or 1]

struct Wave {
  Plane re, im;
};

/// The image of what k-space has along one or two axes, by unitary transforms of those.
void to_image(Wave& wave, int threads) {
  for (int axis = 0; axis < 3; ++axis)
    if (wave.re.shape(axis) > 1)
      kspace::transform_axis(wave.re, wave.im, axis, kspace::Direction::to_image, threads);
}

/// exp(2 pi i f t) along the readout, f t = column k / N: a point at -column, or a sinc around it.
Wave tone(double column, std::int64_t n) {
  Wave wave{Plane({1, 1, n}), Plane({1, 1, n})};
  for (std::int64_t x = 0; x < n; ++x) {
    const double angle = 2 * pi * column * static_cast<double>(x - n / 2) / static_cast<double>(n);
    wave.re[x] = static_cast<float>(std::cos(angle));
    wave.im[x] = static_cast<float>(std::sin(angle));
  }
  to_image(wave, 1);
  return wave;
}

/// exp(i phase) of each line, which is that of the first one plus a share of a random turn.
Wave lines_of(RandomKey key, double phase_spread, std::int64_t slices, std::int64_t lines,
              int threads) {
  Wave wave{Plane({slices, lines, 1}), Plane({slices, lines, 1})};
  parallel_for(threads, slices, [&](std::int64_t slice) {
    for (auto i = slice * lines; i < (slice + 1) * lines; ++i) {
      const double turns =
          uniform(key, 0) + phase_spread * uniform(key, static_cast<std::uint64_t>(i) + 1);
      wave.re[i] = static_cast<float>(std::cos(2 * pi * turns));
      wave.im[i] = static_cast<float>(std::sin(2 * pi * turns));
    }
  });
  to_image(wave, threads);
  return wave;
}

MR_SIMD void add_row(float a, float b, const float* wave_re, const float* wave_im, std::int64_t n,
                     float* re, float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    re[i] += a * wave_re[i] - b * wave_im[i];
    im[i] += a * wave_im[i] + b * wave_re[i];
  }
}

/// Adds the product of a factor for each line and a wave along the readout.
void add_product(float amplitude, const float* line_re, const float* line_im, const Wave& along,
                 std::int64_t lines, float* re, float* im) {
  const auto n = along.re.size();
  for (std::int64_t y = 0; y < lines; ++y)
    add_row(amplitude * line_re[y], amplitude * line_im[y], along.re.data(), along.im.data(), n,
            re + y * n, im + y * n);
}

bool acts(const Values& values) {
  return values.at("amplitude") != 0;
}

/// K += A exp(i (2 pi f t + phase of the line)) with A = a S / sqrt(N): a product of a function of
/// the readout and one of the lines, in k-space and so in the image, where it is added. In 3-D the
/// lines are those of both phase-encode axes. The frequency is that of the source: one for all.
Drawn draw(const Context& context, const Values& values) {
  const auto readout = context.readout(), lines = context.lines(), slices = context.slices();
  const auto n = static_cast<double>(readout);
  const double column = (uniform(context.stream("frequency"), 0) - 0.5) * n;
  const double amplitude = values.at("amplitude") * context.facts.signal / std::sqrt(n);
  const double spread = values.at("phase_spread");
  const auto key = context.stream("phase");  // of the source: coils share it
  Drawn drawn;
  drawn.values.set("amplitude", amplitude).set("column", column);
  const auto along = tone(column, readout);
  if (context.is_3d()) {
    const auto all = lines_of(key, spread, slices, lines, context.threads);
    drawn.apply = [amplitude, along, all, lines](Block& block, int threads) {
      block.make_complex();
      for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
        add_product(static_cast<float>(amplitude), all.re.data() + slice * lines,
                    all.im.data() + slice * lines, along, lines, re, im);
      });
    };
  } else {
    drawn.apply = [amplitude, along, key, spread, lines](Block& block, int threads) {
      block.make_complex();
      for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
        const auto own =
            lines_of(sub_key(key, static_cast<std::uint64_t>(slice)), spread, 1, lines, 1);
        add_product(static_cast<float>(amplitude), own.re.data(), own.im.data(), along, lines, re,
                    im);
      });
    };
  }
  return drawn;
}

}  // namespace

Artifact zipper() {
  return {{"zipper",
           "Narrow-band radio signal from outside: a dotted line across the readout",
           "Graves and Mitchell 2013, J Magn Reson Imaging 38:269 (RF interference)",
           Stage::receiver,
           {{"amplitude",
             "1",
             "rms of the line / mean of the foreground, where the frequency meets a column",
             0,
             1000,
             {0.25, 0.5, 1, 2, 4},
             0},
            {"phase_spread",
             "turn",
             "range of the phase between lines; 1: independent, 0: the same, a point",
             0,
             1,
             {1, 1, 1, 1, 1},
             1}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
