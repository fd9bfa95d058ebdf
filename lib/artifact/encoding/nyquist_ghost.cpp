#include <cmath>

#include "artifact/engine.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

bool acts(const Values& values) {
  return values.at("ghost") != 0 || values.at("echo_shift") != 0;
}

/// I cos(phi(x) / 2) + i sin(phi(x) / 2) I(y - N / 2), N even, at once for both halves of a slice.
void mix_halves(const std::vector<double>& half_phi, std::int64_t lines, float* re, float* im) {
  const auto columns = static_cast<std::int64_t>(half_phi.size()), apart = lines / 2 * columns;
  for (std::int64_t x = 0; x < columns; ++x) {
    const double angle = half_phi[static_cast<std::size_t>(x)];
    const auto c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
    for (auto at = x; at < apart; at += columns) {
      const float a = re[at], b = im[at], a2 = re[at + apart], b2 = im[at + apart];
      re[at] = c * a - s * b2;
      im[at] = c * b + s * a2;
      re[at + apart] = c * a2 - s * b;
      im[at + apart] = c * b2 + s * a;
    }
  }
}

/// Lines with an even number from the centre are multiplied by exp(i phi / 2), odd ones by its
/// conjugate; phi(x) = phi_0 + 2 pi shift x / N, x from the centre of the readout: echoes that are
/// read forward and backward differ by a phase and are `shift` samples apart. In the image that is
/// a copy half a field of view away, exactly, where the number of lines is even.
Drawn draw(const Context& context, const Values& values) {
  const auto lines = context.lines(), readout = context.readout();
  if (lines % 2 != 0)
    throw DataError("nyquist-ghost: want an even number of lines, got " + std::to_string(lines));
  const double phi = 2 * std::asin(values.at("ghost"));
  std::vector<double> half_phi;
  for (std::int64_t x = 0; x < readout; ++x)
    half_phi.push_back(phi / 2 + pi * values.at("echo_shift") *
                                     static_cast<double>(x - readout / 2) /
                                     static_cast<double>(readout));
  Drawn drawn;
  drawn.values.set("phase_rad", phi);
  drawn.apply = [half_phi](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t) {
      mix_halves(half_phi, block.lines(), re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact nyquist_ghost() {
  return {{"nyquist-ghost",
           "Odd and even lines of an echo-planar scan disagree: a copy half a field of view away",
           "Buonocore and Gao 1997, Magn Reson Med 38:89 (phases of odd and even echoes)",
           Stage::encoding,
           {{"ghost",
             "1",
             "modulus of the copy / image where the echoes do not shift",
             0,
             1,
             {0.025, 0.05, 0.1, 0.2, 0.3},
             0},
            {"echo_shift",
             "1",
             "samples between echoes read forward and backward: the copy varies along the readout",
             -2,
             2,
             {0, 0, 0, 0, 0},
             0}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
