#include <cmath>

#include "artifact/field/displacement.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

/// Displacement [voxel] per half field of view along each role, and everywhere.
struct Gradients {
  double readout, lines, slice, constant;
};

Gradients draw_gradients(const Context& context, double edge_px) {
  const auto key = context.stream("gradients");
  std::array<double, 4> g{};
  double sum = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    // A direction that has one voxel only has no part in the largest displacement.
    const bool there = i == 3 || context.volume.length(context.roles.axis(std::array{
                                     Role::readout, Role::phase_encode, Role::slice}[i % 3])) > 1;
    g[i] = there ? uniform(key, i, -1, 1) : 0;
    sum += std::fabs(g[i]);
  }
  for (auto& x : g) x *= edge_px / sum;
  return {g[0], g[1], g[2], g[3]};
}

/// -1 at the first voxel of an even number, 0 at voxel n / 2.
double half_widths(std::int64_t i, std::int64_t n) {
  return n > 1 ? static_cast<double>(i - n / 2) / static_cast<double>(n / 2) : 0;
}

MR_SIMD void add_to_all(double constant, const double* values, std::int64_t n, float* sums) {
  for (std::int64_t i = 0; i < n; ++i) sums[i] = static_cast<float>(constant + values[i]);
}

bool acts(const Values& values) {
  return values.at("edge_px") != 0;
}

/// Gradients and a shift of the field that outlast the diffusion pulses: shear, scaling and shift
/// of the image along phase encoding. Every volume of a series has its own.
Drawn draw(const Context& context, const Values& values) {
  const auto g = draw_gradients(context, values.at("edge_px"));
  Drawn drawn;
  drawn.values.set("readout", g.readout)
      .set("lines", g.lines)
      .set("slice", g.slice)
      .set("constant", g.constant);
  drawn.apply = [g, slices = context.slices()](Block& block, int threads) {
    const auto n = block.readout();
    std::vector<double> along_line;
    for (std::int64_t x = 0; x < n; ++x) along_line.push_back(g.readout * half_widths(x, n));
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      Array<float> distance({block.lines(), n});
      const double of_slice = g.constant + g.slice * half_widths(slice, slices);
      for (std::int64_t line = 0; line < block.lines(); ++line)
        add_to_all(of_slice + g.lines * half_widths(line, block.lines()), along_line.data(), n,
                   distance.data() + line * n);
      displace(distance, Role::phase_encode, Ends::wrap, re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact eddy_currents() {
  return {{"eddy-currents",
           "Eddy currents of diffusion gradients: shear, scaling and shift along phase encoding",
           "Jezzard, Barnett and Pierpaoli 1998, Magn Reson Med 39:801",
           Stage::field,
           {{"edge_px",
             "voxel",
             "largest displacement, at a corner of the image",
             0,
             100,
             {0.5, 1, 2, 4, 7},
             0}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
