#include <algorithm>
#include <cmath>

#include "artifact/field/foreground.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// A Gaussian field of width sigma about a source that lies sigma off the slice in which it does
/// most harm: there its gradient through the slice is largest.
struct Source {
  std::array<double, 3> worst_mm{};  // where, along the stored axes from voxel 0
  double side = 1;                   // of the slice on which the source lies
  double sigma_mm = 1;
};

/// sin(pi x) / (pi x): signal of a slice over which the phase runs evenly through x turns.
double sinc(double x) {
  return std::fabs(x) < 1e-9 ? 1 : std::sin(pi * x) / (pi * x);
}

/// Turns of the phase through the slice, 1 at source.worst_mm.
double relative_turns(const Source& source, const std::array<double, 3>& at_mm,
                      std::size_t slice_axis) {
  double square = 0, depth = 0;  // from the source, in sigma
  for (std::size_t a = 0; a < 3; ++a) {
    double d = (at_mm[a] - source.worst_mm[a]) / source.sigma_mm;
    if (a == slice_axis) depth = d -= source.side;
    square += d * d;
  }
  return -source.side * depth * std::exp((1 - square) / 2);
}

Source draw_source(const Context& context, double width) {
  const auto rim = foreground_rim(context);
  if (rim.empty()) throw DataError("susceptibility: found no border between object and air");
  const auto key = context.stream("source");
  const auto voxel = rim[static_cast<std::size_t>(below(key, 0, rim.size()))];
  Source source;
  double fov_mm = 0;
  for (std::size_t a = 0; a < 3; ++a) {
    const double spacing = context.volume.spacing_mm[a];
    source.worst_mm[a] = static_cast<double>(voxel[a]) * spacing;
    if (static_cast<int>(a) != context.roles.slice)
      fov_mm = std::max(fov_mm,
                        static_cast<double>(context.volume.length(static_cast<int>(a))) * spacing);
  }
  source.side = uniform(key, 1) < 0.5 ? -1 : 1;
  source.sigma_mm = width * fov_mm;
  return source;
}

bool acts(const Values& values) {
  return values.at("peak_turns") != 0;
}

/// S sinc(g dz TE), g the field's gradient through the slice. No further decay: it would count the
/// same dephasing twice.
Drawn draw(const Context& context, const Values& values) {
  const auto source = draw_source(context, values.at("width"));
  Drawn drawn;
  drawn.values.set("worst_mm", source.worst_mm)
      .set("side", source.side)
      .set("sigma_mm", source.sigma_mm);
  drawn.apply = [source, roles = context.roles, spacing = context.volume.spacing_mm,
                 peak = values.at("peak_turns")](Block& block, int threads) {
    const auto s = static_cast<std::size_t>(roles.slice);
    const auto p = static_cast<std::size_t>(roles.phase_encode);
    const auto r = static_cast<std::size_t>(roles.readout);
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      std::array<double, 3> at_mm{};
      at_mm[s] = static_cast<double>(slice) * spacing[s];
      for (std::int64_t i = 0; i < block.plane_size(); ++i) {
        at_mm[p] = static_cast<double>(i / block.readout()) * spacing[p];
        at_mm[r] = static_cast<double>(i % block.readout()) * spacing[r];
        const auto factor = static_cast<float>(sinc(peak * relative_turns(source, at_mm, s)));
        re[i] *= factor;
        if (im) im[i] *= factor;
      }
    });
    block.make_complex();  // beyond the first null the signal is negative
  };
  return drawn;
}

}  // namespace

Artifact susceptibility() {
  return {
      {"susceptibility",
       "Air next to tissue in a gradient echo: signal lost where the field runs through a slice",
       "Reichenbach et al. 1997, J Magn Reson Imaging 7:266 (sinc of the slice's dephasing)",
       Stage::field,
       {{"peak_turns",
         "1",
         "largest dephasing through a slice, field gradient x thickness x echo time; 1: null",
         0,
         20,
         {0.2, 0.4, 0.7, 1, 1.5},
         0},
        {"width",
         "1",
         "standard deviation of the Gaussian source / longer side of the slice",
         0.01,
         1,
         {0.1, 0.1, 0.1, 0.1, 0.1},
         0.1}},
       0,
       false},
      acts,
      draw,
      false};
}

}  // namespace mr::artifact
