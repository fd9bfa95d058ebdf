#include <cmath>

#include "artifact/encoded_axes.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// 1 up to a part 1 - taper of the half width, then half a cosine down to 0 at n / 2.
double tukey(double k, double n, double taper) {
  const double beyond = std::fabs(k) / (n / 2) - (1 - taper);
  return beyond <= 0 ? 1 : 0.5 * (1 + std::cos(pi * beyond / taper));
}

bool acts(const Values& values) {
  return values.at("taper") != 0;
}

Drawn draw(const Context& context, const Values& values) {
  Drawn drawn;
  drawn.weights = along_encoded_axes(
      context, [taper = values.at("taper")](double k, double n) { return tukey(k, n, taper); });
  return drawn;
}

}  // namespace

Artifact kspace_filter() {
  return {{"kspace-filter",
           "Window over k-space as scanners apply against ringing: a smoother image (1: Hann)",
           "Harris 1978, Proc IEEE 66:51 (Tukey window)",
           Stage::reconstruction,
           {{"taper",
             "1",
             "share of the half width of k-space over which the Tukey window falls to 0",
             0,
             1,
             {0.2, 0.4, 0.6, 0.8, 1},
             0}},
           2,
           false},
          acts,
          draw,
          true};
}

}  // namespace mr::artifact
