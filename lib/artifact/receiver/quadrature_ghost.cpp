#include <cmath>

#include "artifact/engine.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

bool acts(const Values& values) {
  return values.at("amplitude") != 0;
}

/// Index of -r where zero stands at n / 2.
std::int64_t mirrored(std::int64_t i, std::int64_t n) {
  return (2 * (n / 2) - i + n) % n;
}

/// I + epsilon conj(I(-r)), in the plane of a slice or, in 3-D, through the volume's centre.
void add_mirrored(Block& block, std::complex<float> epsilon, bool volumetric, int threads) {
  block.make_complex();
  const auto source = block;
  const auto lines = block.lines(), readout = block.readout();
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    const auto from = volumetric ? mirrored(slice, block.depth()) : slice - block.first_slice;
    for (std::int64_t y = 0; y < lines; ++y)
      for (std::int64_t x = 0; x < readout; ++x) {
        const auto other = (from * lines + mirrored(y, lines)) * readout + mirrored(x, readout);
        const float a = source.re[other], b = -source.im[other];
        re[y * readout + x] += epsilon.real() * a - epsilon.imag() * b;
        im[y * readout + x] += epsilon.real() * b + epsilon.imag() * a;
      }
  });
}

/// The two channels of a quadrature receiver differ by a factor 1 + gain and by an angle: each
/// sample gets a share of its own conjugate, K(k) + epsilon conj(K(k)), epsilon = (gain + i angle)
/// / 2. The conjugate of all samples is the image mirrored through its centre. What of it is gain,
/// and what angle, is drawn.
Drawn draw(const Context& context, const Values& values) {
  const double angle = 2 * pi * uniform(context.frame_stream("imbalance"), 0);
  const auto epsilon = std::polar(values.at("amplitude"), angle);
  Drawn drawn;
  drawn.values.set("gain", 2 * epsilon.real()).set("angle_rad", 2 * epsilon.imag());
  drawn.apply = [epsilon = std::complex<float>(epsilon), volumetric = context.is_3d()](
                    Block& block, int threads) {
    add_mirrored(block, epsilon, volumetric, threads);
  };
  return drawn;
}

}  // namespace

Artifact quadrature_ghost() {
  return {{"quadrature-ghost",
           "Unequal channels of a quadrature receiver: a faint copy mirrored through the centre",
           "Henkelman and Bronskill 1987, Rev Magn Reson Med 2:1 (quadrature imbalance)",
           Stage::receiver,
           {{"amplitude",
             "1",
             "modulus of the mirrored copy / image",
             0,
             1,
             {0.01, 0.02, 0.04, 0.08, 0.15},
             0}},
           0,
           false},
          acts,
          draw,
          true};
}

}  // namespace mr::artifact
