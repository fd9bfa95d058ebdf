#include <algorithm>
#include <cmath>

#include "artifact/engine.h"
#include "base/simd.h"
#include "base/threads.h"

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

/// A row with its readout mirrored; the first sample of an even number stays.
MR_SIMD void mirror_row(const float* from, std::int64_t n, float* to) {
  const std::int64_t alone = n % 2 == 0 ? 1 : 0;
  to[0] = from[0];
  for (std::int64_t i = alone; i < n; ++i) to[i] = from[n - 1 + alone - i];
}

/// += epsilon conj(other)
MR_SIMD void add_conjugate(float epsilon_re, float epsilon_im, const float* other_re,
                           const float* other_im, std::int64_t n, float* re, float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    re[i] += epsilon_re * other_re[i] + epsilon_im * other_im[i];
    im[i] += epsilon_im * other_re[i] - epsilon_re * other_im[i];
  }
}

/// The same of real numbers.
MR_SIMD void add_real(float epsilon_re, float epsilon_im, const float* other, std::int64_t n,
                      float* re, float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    re[i] += epsilon_re * other[i];
    im[i] = epsilon_im * other[i];
  }
}

/// I + epsilon conj(I(-r)), in the plane of a slice or, in 3-D, through the volume's centre: two
/// rows, or one that lies opposite itself, exchange.
void add_mirrored(Block& block, std::complex<float> epsilon, bool volumetric, int threads) {
  const bool real = block.is_real();
  block.make_complex();
  const auto depth = block.depth(), lines = block.lines(), n = block.readout();
  parallel_for(threads, depth, [&](std::int64_t slice) {
    const auto opposite = volumetric ? mirrored(slice, depth) : slice;
    Array<float> rows({2, 2, n});  // here and there; real and imaginary parts
    const auto keep = [&](std::int64_t at, float* row) {
      mirror_row(block.re.data() + at, n, row);
      if (!real) mirror_row(block.im.data() + at, n, row + n);
    };
    const auto add = [&](const float* row, std::int64_t at) {
      float *re = block.re.data() + at, *im = block.im.data() + at;
      if (real)
        add_real(epsilon.real(), epsilon.imag(), row, n, re, im);
      else
        add_conjugate(epsilon.real(), epsilon.imag(), row, row + n, n, re, im);
    };
    for (std::int64_t y = 0; y < lines && slice <= opposite; ++y) {
      const auto here = (slice * lines + y) * n;
      const auto there = (opposite * lines + mirrored(y, lines)) * n;
      if (here > there) continue;
      keep(here, rows.data());
      keep(there, rows.data() + 2 * n);
      add(rows.data() + 2 * n, here);
      if (here != there) add(rows.data(), there);
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
