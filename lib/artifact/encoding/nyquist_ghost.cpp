#include <cmath>

#include "artifact/engine.h"
#include "base/error.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

bool acts(const Values& values) {
  return values.at("ghost") != 0 || values.at("echo_shift") != 0;
}

/// I cos(phi(x) / 2) + i sin(phi(x) / 2) I(y - N / 2), N even, at once for a row and the one half a
/// field of view away.
MR_SIMD void mix_rows(const float* cosine, const float* sine, std::int64_t n, float* re, float* im,
                      float* far_re, float* far_im) {
  for (std::int64_t x = 0; x < n; ++x) {
    const float a = re[x], b = im[x], a2 = far_re[x], b2 = far_im[x];
    re[x] = cosine[x] * a - sine[x] * b2;
    im[x] = cosine[x] * b + sine[x] * a2;
    far_re[x] = cosine[x] * a2 - sine[x] * b;
    far_im[x] = cosine[x] * b2 + sine[x] * a;
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
  std::vector<float> cosine, sine;
  for (std::int64_t x = 0; x < readout; ++x) {
    const double half_phi = phi / 2 + pi * values.at("echo_shift") *
                                          static_cast<double>(x - readout / 2) /
                                          static_cast<double>(readout);
    cosine.push_back(static_cast<float>(std::cos(half_phi)));
    sine.push_back(static_cast<float>(std::sin(half_phi)));
  }
  Drawn drawn;
  drawn.values.set("phase_rad", phi);
  drawn.apply = [cosine, sine](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t) {
      const auto n = block.readout(), half = block.plane_size() / 2;
      for (std::int64_t row = 0; row < half; row += n)
        mix_rows(cosine.data(), sine.data(), n, re + row, im + row, re + half + row,
                 im + half + row);
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
