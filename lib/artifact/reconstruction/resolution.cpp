#include <cmath>

#include "artifact/encoded_axes.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

bool acts(const Values& values) {
  return values.at("factor") != 1;
}

/// K-space cut to n / factor samples along each encoded axis, under a Hann window against ringing,
/// and filled up with zeros: the grid of voxels stays.
Drawn draw(const Context& context, const Values& values) {
  Drawn drawn;
  drawn.weights = along_encoded_axes(context, [factor = values.at("factor")](double k, double n) {
    const double edge = n / (2 * factor);
    return std::fabs(k) < edge ? 0.5 * (1 + std::cos(pi * k / edge)) : 0.0;
  });
  return drawn;
}

}  // namespace

Artifact resolution() {
  return {{"resolution",
           "Larger voxels: k-space cut under a Hann window, the image interpolated back",
           "Harris 1978, Proc IEEE 66:51 (Hann window); Bernstein, King and Zhou 2004, ch. 13.1",
           Stage::reconstruction,
           {{"factor",
             "1",
             "size of the measured voxel / size of the image's voxel",
             1,
             64,
             {1.25, 1.6, 2.2, 3, 4.5},
             1}},
           2,
           false},
          acts,
          draw,
          true};
}

}  // namespace mr::artifact
