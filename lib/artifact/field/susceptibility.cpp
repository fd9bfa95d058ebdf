#include <algorithm>
#include <cmath>

#include "artifact/elementary.h"
#include "artifact/field/foreground.h"
#include "base/error.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

/// A Gaussian field of width sigma about a source that lies sigma off the slice in which it does
/// most harm: there its gradient through the slice is largest.
struct Source {
  std::array<double, 3> worst_mm{};  // where, along the stored axes from voxel 0
  double side = 1;                   // of the slice on which the source lies
  double sigma_mm = 1;
};

/// Turns of the phase through the slice, 1 at source.worst_mm: a product over the axes.
struct Turns {
  Source source;
  std::size_t slice_axis;

  double distance(std::size_t axis, double at_mm) const {  // from the source, in sigma
    const double d = (at_mm - source.worst_mm[axis]) / source.sigma_mm;
    return axis == slice_axis ? d - source.side : d;
  }
  double within(std::size_t axis, double at_mm) const {
    const double d = distance(axis, at_mm);
    return std::exp(-d * d / 2);
  }
  double through(double at_mm) const {
    const double d = distance(slice_axis, at_mm);
    return -source.side * d * std::exp((1 - d * d) / 2);
  }
};

/// Multiplies by sin(pi x) / (pi x), x = peak turns[i]: the signal of a slice over which the phase
/// runs evenly through x turns.
MR_SIMD void dephase(float peak, const float* turns, std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float angle = 3.14159265f * peak * turns[i];
    const float not_0 = angle * angle > 1e-12f ? angle : 1e-6f;  // where the factor is 1
    values[i] *= fast_sine_cosine(not_0).sine / not_0;
  }
}

Source draw_source(const Context& context, double width) {
  const auto key = context.stream("source");
  const auto voxel = draw_rim_voxel(context, key);
  if (!voxel) throw DataError("susceptibility: found no border between object and air");
  Source source;
  double fov_mm = 0;
  for (std::size_t a = 0; a < 3; ++a) {
    const double spacing = context.volume.spacing_mm[a];
    source.worst_mm[a] = static_cast<double>((*voxel)[a]) * spacing;
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
  drawn.apply = [turns = Turns{source, static_cast<std::size_t>(context.roles.slice)},
                 roles = context.roles, spacing = context.volume.spacing_mm,
                 peak = values.at("peak_turns")](Block& block, int threads) {
    const auto factors = [&](int axis, std::int64_t n) {
      const auto a = static_cast<std::size_t>(axis);
      std::vector<float> along;
      for (std::int64_t i = 0; i < n; ++i)
        along.push_back(static_cast<float>(turns.within(a, static_cast<double>(i) * spacing[a])));
      return along;
    };
    const auto n = block.readout();
    const auto lines = factors(roles.phase_encode, block.lines()), row = factors(roles.readout, n);
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      const double of_slice =
          peak * turns.through(static_cast<double>(slice) * spacing[turns.slice_axis]);
      for (std::size_t y = 0; y < lines.size(); ++y) {
        const auto most = static_cast<float>(of_slice) * lines[y];
        if (std::fabs(most) < 1e-4f) continue;  // the factor is 1 - 2e-8 at least
        const auto first = static_cast<std::int64_t>(y) * n;
        dephase(most, row.data(), n, re + first);
        if (im) dephase(most, row.data(), n, im + first);
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
