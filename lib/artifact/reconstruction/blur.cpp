#include <cmath>

#include "artifact/encoded_axes.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

bool acts(const Values& values) {
  return values.at("sigma_px") != 0;
}

/// The transform of a Gaussian of standard deviation sigma is exp(-2 pi^2 sigma^2 k^2 / n^2).
Drawn draw(const Context& context, const Values& values) {
  Drawn drawn;
  drawn.weights = along_encoded_axes(context, [sigma = values.at("sigma_px")](double k, double n) {
    const double turns = pi * sigma * k / n;
    return std::exp(-2 * turns * turns);
  });
  return drawn;
}

}  // namespace

Artifact blur() {
  return {{"blur",
           "Gaussian blur, without edges of its own",
           "Bracewell 2000, The Fourier Transform and Its Applications, 3rd ed. (Gaussian pair)",
           Stage::reconstruction,
           {{"sigma_px",
             "voxel",
             "standard deviation along each encoded axis",
             0,
             100,
             {0.5, 1, 1.5, 2.5, 4},
             0}},
           2,
           false},
          acts,
          draw,
          true};
}

}  // namespace mr::artifact
