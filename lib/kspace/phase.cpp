#include "kspace/phase.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace mr::kspace {

double radians_per_unit(const image::Volume& phase, const std::string& name) {
  const auto [low, high] = std::minmax_element(phase.voxels.begin(), phase.voxels.end());
  const auto least = static_cast<double>(*low), most = static_cast<double>(*high);
  const auto within = [&](double a, double b) { return least >= a && most <= b; };
  constexpr double pi = M_PI, room = 1e-3;
  if (within(-pi - room, pi + room) || within(-room, 2 * pi + room)) return 1;
  const double largest = std::max(-least, most);
  const auto fills = [&](double a, double b) { return within(a, b) && largest >= 0.9 * b; };
  if (least < 0 && fills(-3142, 3142)) return 1e-3;
  if (fills(0, 4096)) return 2 * pi / 4096;
  if (fills(-4096, 4096)) return pi / 4096;
  throw DataError(name + ": a phase image of " + shortest(least) + " to " + shortest(most) +
                  "; want radians, milliradians, or 12 bits");
}

image::Volume with_phase(const image::Volume& magnitude, const image::Volume& phase,
                         const std::string& name) {
  if (magnitude.is_complex() || phase.is_complex())
    throw DataError(name +
                    ": a phase image belongs to a magnitude image; one of the two is complex");
  if (phase.shape() != magnitude.shape())
    throw DataError(name + ": the phase image has another shape than its magnitude");
  const double unit = radians_per_unit(phase, name);
  image::Volume image = magnitude;
  image.voxels = {};
  image.complex_voxels = Array<image::Complex>(magnitude.shape());
  for (std::int64_t i = 0; i < magnitude.voxels.size(); ++i) {
    const double angle = unit * static_cast<double>(phase.voxels[i]);
    image.complex_voxels[i] = {static_cast<float>(magnitude.voxels[i] * std::cos(angle)),
                               static_cast<float>(magnitude.voxels[i] * std::sin(angle))};
  }
  return image;
}

}  // namespace mr::kspace
