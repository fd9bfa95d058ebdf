#include <algorithm>
#include <cmath>

#include "artifact/engine.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// One corrupted sample: its place in k-space [samples from zero frequency] and its phase.
struct Spike {
  std::int64_t slice = 0, phase_encode = 0, readout = 0;
  double phase_rad = 0;
};

std::int64_t frequency(RandomKey key, std::uint64_t index, std::int64_t n) {
  return static_cast<std::int64_t>(below(key, index, static_cast<std::uint64_t>(n))) - n / 2;
}

/// Uniform over k-space outside the central 10 samples, or outside a quarter of the longest axis
/// where that is less: near the centre a spike is shading, not stripes.
Spike draw_spike(RandomKey key, std::int64_t slices, std::int64_t lines, std::int64_t readout) {
  const auto longest = std::max({slices, lines, readout});
  const auto nearest = static_cast<double>(std::min<std::int64_t>(10, longest / 4));
  Spike spike;
  spike.phase_rad = 2 * pi * uniform(key, 0);
  for (std::uint64_t attempt = 0;; ++attempt) {
    spike.slice = frequency(key, 3 * attempt + 1, slices);
    spike.phase_encode = frequency(key, 3 * attempt + 2, lines);
    spike.readout = frequency(key, 3 * attempt + 3, readout);
    if (std::hypot(static_cast<double>(spike.slice), static_cast<double>(spike.phase_encode),
                   static_cast<double>(spike.readout)) >= nearest)
      return spike;
  }
}

double turn(std::int64_t k, std::int64_t index, std::int64_t n) {
  return 2 * pi * static_cast<double>(k * (index - n / 2) % n) / static_cast<double>(n);
}

MR_SIMD void add_row(float cosine, float sine, const float* wave_re, const float* wave_im,
                     std::int64_t n, float* re, float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    re[i] += cosine * wave_re[i] - sine * wave_im[i];
    im[i] += cosine * wave_im[i] + sine * wave_re[i];
  }
}

/// Adds amplitude exp(i (2 pi k r / N + phase)) to one slice.
void add_wave(const Spike& spike, double amplitude, std::int64_t slice, std::int64_t slices,
              const Block& block, float* re, float* im) {
  const auto lines = block.lines(), readout = block.readout();
  Array<float> wave_re({readout}), wave_im({readout});
  for (std::int64_t x = 0; x < readout; ++x) {
    wave_re[x] = static_cast<float>(std::cos(turn(spike.readout, x, readout)));
    wave_im[x] = static_cast<float>(std::sin(turn(spike.readout, x, readout)));
  }
  const double start = spike.phase_rad + turn(spike.slice, slice, slices);
  for (std::int64_t y = 0; y < lines; ++y) {
    const double angle = start + turn(spike.phase_encode, y, lines);
    add_row(static_cast<float>(amplitude * std::cos(angle)),
            static_cast<float>(amplitude * std::sin(angle)), wave_re.data(), wave_im.data(),
            readout, re + y * readout, im + y * readout);
  }
}

bool acts(const Values& values) {
  return values.at("amplitude") != 0;
}

/// K(k0) += a S sqrt(N) exp(i phase) is a plane wave of modulus a S in the image. In 2-D one spike
/// for each slice, since a discharge hits the slice that is being measured; in 3-D one for the
/// volume.
Drawn draw(const Context& context, const Values& values) {
  const auto& roles = context.roles;
  const auto slices = context.volume.length(roles.slice);
  const auto lines = context.volume.length(roles.phase_encode);
  const auto readout = context.volume.length(roles.readout);
  const auto key = context.stream("spike");
  std::vector<Spike> spikes;  // one for the volume, or one a slice
  if (roles.mode == image::Mode::three_d)
    spikes.push_back(draw_spike(key, slices, lines, readout));
  else
    for (std::int64_t s = 0; s < slices; ++s)
      spikes.push_back(draw_spike(sub_key(key, static_cast<std::uint64_t>(s)), 1, lines, readout));

  const double amplitude = values.at("amplitude") * context.facts.signal;
  Drawn drawn;
  drawn.values.set("amplitude", amplitude);
  for (const auto& spike : spikes) {
    drawn.values.append("k_slice", spike.slice);
    drawn.values.append("k_phase_encode", spike.phase_encode);
    drawn.values.append("k_readout", spike.readout);
    drawn.values.append("phase_rad", spike.phase_rad);
  }
  drawn.apply = [spikes, amplitude, slices](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      const auto which = spikes.size() == 1 ? 0 : static_cast<std::size_t>(slice);
      add_wave(spikes[which], amplitude, slice, slices, block, re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact spike() {
  return {{"spike",
           "Electric discharge in one sample of k-space: stripes over the image",
           "Graves and Mitchell 2013, J Magn Reson Imaging 38:269 (spike noise)",
           Stage::receiver,
           {{"amplitude",
             "1",
             "modulus of the plane wave / mean of the foreground",
             0,
             100,
             {0.05, 0.1, 0.15, 0.25, 0.4},
             0}},
           0,
           true},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
