#include <algorithm>
#include <cmath>

#include "artifact/object_extent.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// Where the transmit field is strongest, and how far from there it has its nominal value; along
/// the stored axes, in voxels.
struct StandingWave {
  std::array<double, 3> centre{}, radius{};

  /// 1 at the centre, 0 on the ellipsoid of the radii, towards -1 far away.
  double at(const std::array<double, 3>& voxel) const {
    double distance = 0;
    for (std::size_t a = 0; a < 3; ++a) {
      const double d = (voxel[a] - centre[a]) / radius[a];
      distance += d * d;
    }
    return 2 * std::exp2(-distance) - 1;
  }
};

/// Near the middle of the object, and as wide as most of it.
StandingWave draw_wave(const Context& context) {
  StandingWave wave;
  const auto centre = context.stream("centre"), radius = context.stream("radius");
  for (const auto role : {Role::slice, Role::phase_encode, Role::readout}) {
    const auto axis = static_cast<std::size_t>(context.roles.axis(role));
    const auto object = object_extent(context, role);
    const double half = std::max(1.0, static_cast<double>(object.count()) / 2);
    wave.centre[axis] = object.centre() + half * uniform(centre, axis, -0.2, 0.2);
    wave.radius[axis] = half * uniform(radius, axis, 0.6, 0.8);
  }
  return wave;
}

bool acts(const Values& values) {
  return values.at("deviation") != 0;
}

/// kappa = flip angle / nominal flip angle = 1 + deviation (1 at the centre of the wave .. -1 far
/// away). A spin echo of nominal 90 and 180 degrees gives sin(kappa 90) sin^2(kappa 90), less where
/// kappa is too large as where it is too small.
Drawn draw(const Context& context, const Values& values) {
  const auto wave = draw_wave(context);
  Drawn drawn;
  drawn.values.set("centre_voxel", wave.centre).set("radius_voxel", wave.radius);
  drawn.apply = [wave, roles = context.roles, deviation = values.at("deviation")](Block& block,
                                                                                  int threads) {
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      std::array<double, 3> voxel{};
      voxel[static_cast<std::size_t>(roles.slice)] = static_cast<double>(slice);
      for (std::int64_t i = 0; i < block.plane_size(); ++i) {
        voxel[static_cast<std::size_t>(roles.phase_encode)] =
            static_cast<double>(i / block.readout());
        voxel[static_cast<std::size_t>(roles.readout)] = static_cast<double>(i % block.readout());
        const double sine = std::sin((1 + deviation * wave.at(voxel)) * pi / 2);
        const auto factor = static_cast<float>(sine * sine * sine);
        re[i] *= factor;
        if (im) im[i] *= factor;
      }
    });
  };
  return drawn;
}

}  // namespace

Artifact b1_transmit() {
  return {{"b1-transmit",
           "Uneven transmit field of a spin echo at high field: shading by wrong flip angles",
           "Hoult 2000, J Magn Reson Imaging 12:46 (standing wave); Bernstein, King and Zhou 2004, "
           "ch. 14.3 (sin a sin^2 b/2)",
           Stage::field,
           {{"deviation",
             "1",
             "largest deviation of the flip angle, as a share of the nominal one",
             0,
             0.95,
             {0.05, 0.1, 0.2, 0.3, 0.41},
             0}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
