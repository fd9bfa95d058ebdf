#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "artifact/field/displacement.h"
#include "artifact/field/foreground.h"
#include "artifact/field/main_field.h"
#include "artifact/field/sphere.h"
#include "base/error.h"
#include "base/threads.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// What a voxel of one slice does: its displacement [voxel, slice], and what is left of its signal.
struct SliceEffect {
  Array<float> along_readout, through, share;
  float farthest = 0;  // slice that any of it reaches
};

class Scan {
 public:
  Scan(const Context& context, const Values& values, const Sphere& sphere)
      : sphere_(sphere),
        roles_(context.roles),
        spacing_(context.volume.spacing_mm),
        hz_per_voxel_(values.at("readout_hz")),
        hz_per_slice_(context.is_3d() ? 0 : values.at("slice_hz")),
        te_s_(values.at("te_ms") / 1000) {}

  SliceEffect effect(std::int64_t slice, std::int64_t lines, std::int64_t readout) const {
    const auto s = static_cast<std::size_t>(roles_.slice);
    const auto p = static_cast<std::size_t>(roles_.phase_encode);
    const auto r = static_cast<std::size_t>(roles_.readout);
    const Shape shape{lines, readout};
    SliceEffect effect{Array<float>(shape), Array<float>(shape), Array<float>(shape)};
    Point_mm at{};
    at[s] = static_cast<double>(slice) * spacing_[s];
    for (std::int64_t i = 0; i < lines * readout; ++i) {
      at[p] = static_cast<double>(i / readout) * spacing_[p];
      at[r] = static_cast<double>(i % readout) * spacing_[r];
      const double hz = sphere_.field_hz(at);
      effect.along_readout[i] = static_cast<float>(hz / hz_per_voxel_);
      effect.through[i] = hz_per_slice_ > 0 ? static_cast<float>(hz / hz_per_slice_) : 0;
      effect.farthest = std::max(effect.farthest, std::fabs(effect.through[i]));
      effect.share[i] = sphere_.holds(at) ? 0 : static_cast<float>(dephased(at, s));
    }
    return effect;
  }

 private:
  /// Signal left when the phase runs evenly through the slice up to the echo.
  double dephased(const Point_mm& at, std::size_t slice_axis) const {
    if (te_s_ == 0) return 1;
    auto above = at, below = at;
    above[slice_axis] += spacing_[slice_axis] / 2;
    below[slice_axis] -= spacing_[slice_axis] / 2;
    const double turns = te_s_ * (sphere_.field_hz(above) - sphere_.field_hz(below));
    return std::fabs(turns) < 1e-9 ? 1 : std::sin(pi * turns) / (pi * turns);
  }

  Sphere sphere_;
  Roles roles_;
  std::array<double, 3> spacing_;
  double hz_per_voxel_, hz_per_slice_, te_s_;
};

/// The part of slice `from` that is excited with slice `to` appears there, moved along the readout.
/// A voxel that comes to lie between two slices is shared by them.
void add_excited(const SliceEffect& effect, const Block& source, std::int64_t from, std::int64_t to,
                 Block& result) {
  if (static_cast<float>(std::abs(from - to)) >= 1 + effect.farthest) return;
  const auto n = source.plane_size();
  Array<float> re({n}), im({n});
  bool any = false;
  for (std::int64_t i = 0; i < n; ++i) {
    const float apart = std::fabs(static_cast<float>(from - to) + effect.through[i]);
    const float share = std::max(0.0f, 1 - apart) * effect.share[i];
    re[i] = share * source.re[from * n + i];
    im[i] = share * source.im[from * n + i];
    any |= re[i] != 0 || im[i] != 0;
  }
  if (!any) return;
  displace(effect.along_readout, Role::readout, Ends::lose, re.data(), im.data());
  for (std::int64_t i = 0; i < n; ++i) {
    result.re[to * n + i] += re[i];
    result.im[to * n + i] += im[i];
  }
}

bool acts(const Values& values) {
  return values.at("radius_mm") != 0;
}

Sphere draw_sphere(const Context& context, const Values& values) {
  const auto places = foreground_voxels(context);
  const auto voxel =
      places[static_cast<std::size_t>(below(context.stream("place"), 0, places.size()))];
  Sphere sphere;
  for (std::size_t a = 0; a < 3; ++a)
    sphere.centre[a] = static_cast<double>(voxel[a]) * context.volume.spacing_mm[a];
  sphere.field_direction = main_field_direction(context.volume);
  sphere.radius = values.at("radius_mm");
  sphere.hz = hydrogen_mhz_per_tesla * main_field_tesla(context.volume) *
              values.at("susceptibility_ppm") / 3;
  return sphere;
}

/// Void where the metal is; around it displacement along the readout, out of the image too, and,
/// where slices are excited one by one, through them, with the pile-up of both; with an echo time,
/// a gradient echo's loss.
Drawn draw(const Context& context, const Values& values) {
  const auto sphere = draw_sphere(context, values);
  Drawn drawn;
  drawn.values.set("centre_mm", sphere.centre)
      .set("field_direction", sphere.field_direction)
      .set("field_t", main_field_tesla(context.volume));
  if (!context.volume.acquisition.field_t) drawn.values.append("assumed", std::string("field_t"));
  drawn.apply = [scan = Scan(context, values, sphere)](Block& block, int threads) {
    block.make_complex();
    Block result = block;
    std::fill(result.re.begin(), result.re.end(), 0.0f);
    std::fill(result.im.begin(), result.im.end(), 0.0f);
    std::vector<SliceEffect> effects(static_cast<std::size_t>(block.depth()));
    parallel_for(threads, block.depth(), [&](std::int64_t s) {
      effects[static_cast<std::size_t>(s)] = scan.effect(s, block.lines(), block.readout());
    });
    parallel_for(threads, block.depth(), [&](std::int64_t to) {
      for (std::int64_t from = 0; from < block.depth(); ++from)
        add_excited(effects[static_cast<std::size_t>(from)], block, from, to, result);
    });
    block = std::move(result);
  };
  return drawn;
}

}  // namespace

Artifact metal() {
  return {
      {"metal",
       "Metal sphere in the tissue: void, distortion and pile-up, along readout and slices",
       "Ludeke, Roschmann and Tischler 1985, Magn Reson Imaging 3:329 (sphere); Hargreaves et "
       "al. 2011, AJR 197:547",
       Stage::field,
       {{"radius_mm", "mm", "radius of the sphere", 0, 100, {2, 3, 5, 8, 10}, 0},
        {"susceptibility_ppm",
         "ppm",
         "difference to tissue; titanium 182, cobalt-chromium 920",
         -10000,
         10000,
         {20, 60, 180, 180, 900},
         0},
        {"readout_hz", "Hz", "bandwidth of a voxel", 1, 1e6, {500, 500, 500, 500, 500}, 500},
        {"slice_hz",
         "Hz",
         "2-D: bandwidth of a slice's excitation",
         1,
         1e6,
         {2000, 2000, 2000, 2000, 2000},
         2000},
        {"te_ms", "ms", "echo time of a gradient echo; 0: spin echo", 0, 1000, {0, 0, 0, 0, 0}, 0}},
       0,
       false},
      acts,
      draw,
      true,
      {},
      true};
}

}  // namespace mr::artifact
