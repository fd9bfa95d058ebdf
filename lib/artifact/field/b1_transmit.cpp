#include <algorithm>
#include <cmath>
#include <optional>

#include "artifact/elementary.h"
#include "artifact/object/contrast.h"
#include "artifact/object/signal.h"
#include "artifact/object_extent.h"
#include "artifact/rows.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// Where the transmit field is strongest, and how far from there it has its nominal value; along
/// the stored axes, in voxels. 1 at the centre, 0 on the ellipsoid of the radii, towards -1 far
/// away: 2 exp2(-distance^2) - 1, a product over the axes.
struct StandingWave {
  std::array<double, 3> centre{}, radius{};

  double factor(std::size_t axis, std::int64_t voxel) const {
    const double d = (static_cast<double>(voxel) - centre[axis]) / radius[axis];
    return std::exp2(-d * d);
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

/// The flip angle along a row is nominal (1 + deviation (2 row column[x] - 1)).
struct FlipAngle {
  float nominal_rad, deviation, row;

  float at(float column) const { return nominal_rad * (1 + deviation * (2 * row * column - 1)); }
};

/// Spin echo of nominal 90 and 180 degrees: sin(kappa 90) sin^2(kappa 90).
MR_SIMD void spin_echo_row(FlipAngle flip, const float* column, std::int64_t n, float* signal) {
  for (std::int64_t x = 0; x < n; ++x) {
    const float sine = fast_sine_cosine(flip.at(column[x])).sine;
    signal[x] = sine * sine * sine;
  }
}

/// sin(kappa a) (1 - E1) / (1 - E1 cos(kappa a)) over what it is at kappa = 1; `scale` is
/// (1 - E1) / that.
MR_SIMD void gradient_echo_row(FlipAngle flip, const float* column, const float* e1,
                               const float* scale, std::int64_t n, float* signal) {
  for (std::int64_t x = 0; x < n; ++x) {
    const auto angle = fast_sine_cosine(flip.at(column[x]));
    signal[x] = angle.sine * scale[x] / (1 - e1[x] * angle.cosine);
  }
}

/// What a spoiled gradient echo needs to know of each tissue.
struct Saturation {
  double flip_rad = 0;  // 0: a spin echo
  PerTissue e1{}, scale{};
  std::optional<MapSlices> tissues;  // without: all is of the first

  Saturation(double flip, double tr, const PerTissue& t1) : flip_rad(flip) {
    for (std::size_t t = 0; t < t1.size(); ++t) {
      const double left = std::exp(-tr / t1[t]);
      e1[t] = left;
      scale[t] = (1 - left) / spoiled_gradient_echo(flip, tr, t1[t]);
    }
  }
  Saturation() = default;
};

/// A gradient echo where a flip angle is given, or where the sequence is one whose flip angle is
/// known. T1 is that of the tissue map, else t1_ms everywhere.
Saturation saturation_of(const Context& context, const Values& values, Record& record) {
  const auto& a = context.volume.acquisition;
  const double known = context.timing.preset == "gre" ? a.flip_deg.value_or(0) : 0;
  const double flip = values.at("flip_deg") > 0 ? values.at("flip_deg") : known;
  record.set("signal", flip > 0 ? "spoiled gradient echo" : "spin echo");
  if (!(flip > 0)) return {};
  const double tr = time_of("b1-transmit", "tr_ms", values, a.tr_ms);
  PerTissue t1{};
  t1.fill(values.at("t1_ms"));
  const bool mapped = context.maps.count(Map::tissue) != 0;
  if (mapped) {
    const auto relaxation = relaxation_of("b1-transmit", context, values);
    for (std::size_t t = 0; t < t1.size(); ++t) t1[t] = relaxation[t].t1_ms;
  }
  record.set("flip_deg", flip).set("tr_ms", tr).set("t1", mapped ? "tissue map" : "t1_ms");
  Saturation saturation(flip * pi / 180, tr, t1);
  if (mapped) saturation.tissues = tissue_slices("b1-transmit", context);
  return saturation;
}

bool acts(const Values& values) {
  return values.at("deviation") != 0;
}

void shade(const StandingWave& wave, const Roles& roles, double deviation,
           const Saturation& saturation, const Block& shape, std::int64_t slice, float* re,
           float* im) {
  const auto n = shape.readout();
  std::vector<float> column, copy, factor(static_cast<std::size_t>(n)), e1(factor), scale(factor);
  for (std::int64_t x = 0; x < n; ++x)
    column.push_back(static_cast<float>(wave.factor(static_cast<std::size_t>(roles.readout), x)));
  std::fill(e1.begin(), e1.end(), static_cast<float>(saturation.e1[0]));
  std::fill(scale.begin(), scale.end(), static_cast<float>(saturation.scale[0]));
  const double of_slice = wave.factor(static_cast<std::size_t>(roles.slice), slice);
  for (std::int64_t line = 0; line < shape.lines(); ++line) {
    const double of_line = wave.factor(static_cast<std::size_t>(roles.phase_encode), line);
    const bool is_spin_echo = saturation.flip_rad == 0;
    const FlipAngle flip{static_cast<float>(is_spin_echo ? pi / 2 : saturation.flip_rad),
                         static_cast<float>(deviation), static_cast<float>(of_slice * of_line)};
    if (is_spin_echo) {
      spin_echo_row(flip, column.data(), n, factor.data());
    } else {
      if (saturation.tissues) {
        const float* tissue = saturation.tissues->line(slice, line, copy);
        look_up(tissue, saturation.e1, n, e1.data());
        look_up(tissue, saturation.scale, n, scale.data());
      }
      gradient_echo_row(flip, column.data(), e1.data(), scale.data(), n, factor.data());
    }
    multiply_row(factor.data(), n, re + line * n);
    if (im) multiply_row(factor.data(), n, im + line * n);
  }
}

/// kappa = flip angle / nominal flip angle = 1 + deviation (1 at the centre of the wave .. -1 far
/// away). A spin echo has less signal where kappa is too large as where it is too small; a gradient
/// echo's contrast changes, since it depends on T1.
Drawn draw(const Context& context, const Values& values) {
  const auto wave = draw_wave(context);
  Drawn drawn;
  drawn.values.set("centre_voxel", wave.centre).set("radius_voxel", wave.radius);
  const auto saturation = saturation_of(context, values, drawn.values);
  drawn.apply = [wave, saturation, roles = context.roles, deviation = values.at("deviation")](
                    Block& block, int threads) {
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      shade(wave, roles, deviation, saturation, block, slice, re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact b1_transmit() {
  return {
      {"b1-transmit",
       "Uneven transmit field at high field: shading and another contrast by wrong flip angles",
       "Hoult 2000, J Magn Reson Imaging 12:46 (standing wave); Bernstein, King and Zhou 2004, "
       "ch. 14.3 (sin a sin^2 b/2), 14.1 (spoiled gradient echo)",
       Stage::field,
       {{"deviation",
         "1",
         "largest deviation of the flip angle, as a share of the nominal one",
         0,
         0.95,
         {0.05, 0.1, 0.2, 0.3, 0.41},
         0},
        stated("flip_deg", "deg",
               "nominal flip angle of a spoiled gradient echo; 0: a spin echo, or as the header "
               "says of a gradient echo",
               179),
        stated("tr_ms", "ms",
               "repetition time of a gradient echo; 0: as its header or manifest says", 1e5),
        {"t1_ms",
         "ms",
         "T1 where no tissue map is given",
         1,
         1e5,
         {1000, 1000, 1000, 1000, 1000},
         1000},
        stated("field_t", "T", "field, for T1 of tissues; 0: as its header or manifest says", 10)},
       0,
       false},
      acts,
      draw,
      false,
      {},
      false,
      {Map::tissue}};
}

}  // namespace mr::artifact
