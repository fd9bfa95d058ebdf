#include <cmath>

#include "artifact/export/intensity.h"
#include "artifact/object/smooth_field.h"
#include "artifact/object/warp.h"
#include "artifact/rows.h"
#include "base/error.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

/// mask (dy^2 + dx^2)
MR_SIMD void take_squares(const std::uint8_t* mask, const double* dy, const double* dx,
                          std::int64_t n, float* squares) {
  for (std::int64_t i = 0; i < n; ++i)
    squares[i] = static_cast<float>(dy[i] * dy[i] + dx[i] * dx[i]) * static_cast<float>(mask[i]);
}

/// Root mean square length of the displacement over the frame's foreground, in the fields' unit.
double rms(const Context& context, const SmoothField& along_lines,
           const SmoothField& along_readout) {
  const auto n = context.readout(), lines = context.lines(), slices = context.slices();
  const auto foreground = foreground_slices(context);
  std::vector<double> dy(static_cast<std::size_t>(n)), dx(dy.size());
  std::vector<float> squares(dy.size());
  std::vector<std::uint8_t> copy;
  double sum = 0, inside = 0;
  for (std::int64_t s = 0; s < slices; ++s)
    for (std::int64_t y = 0; y < lines; ++y) {
      const auto* mask = foreground.line(s, y, copy);
      const auto count = count_ones(mask, n);
      if (count == 0) continue;
      along_lines.line(s, y, dy.data());
      along_readout.line(s, y, dx.data());
      take_squares(mask, dy.data(), dx.data(), n, squares.data());
      sum += sum_of(squares.data(), n);
      inside += static_cast<double>(count);
    }
  return inside > 0 ? std::sqrt(sum / inside) : 0;
}

bool acts(const Values& values) {
  return values.at("rms_voxels") != 0 || values.at("rms_mm") != 0;
}

/// Soft tissue lies otherwise than it did: a smooth displacement within the slices, of stated root
/// mean square over the foreground. Maps and segmentations of the image do not follow.
Drawn draw(const Context& context, const Values& values) {
  const SmoothField along_lines(context, context.stream("phase encode"), 3);
  const SmoothField along_readout(context, context.stream("readout"), 3);
  const double unscaled = rms(context, along_lines, along_readout);
  if (!(unscaled > 1e-6))
    throw DataError("elastic: the foreground is too small for a displacement that varies");
  // Both fields are in voxels, or both in mm.
  const bool in_mm = values.at("rms_mm") != 0;
  const double scale = values.at(in_mm ? "rms_mm" : "rms_voxels") / unscaled;
  const auto voxels = [&](int axis) {
    return in_mm ? scale / context.volume.spacing_mm[static_cast<std::size_t>(axis)] : scale;
  };
  Drawn drawn;
  drawn.values.set("phase_encode_cosines", along_lines.record())
      .set("readout_cosines", along_readout.record())
      .set("scale", scale);
  drawn.apply = [dy_field = along_lines.scaled(voxels(context.roles.phase_encode)),
                 dx_field = along_readout.scaled(voxels(context.roles.readout))](Block& block,
                                                                                 int threads) {
    warp(block, threads, [&](std::int64_t slice, std::int64_t line, double* dy, double* dx) {
      dy_field.line(slice, line, dy);
      dx_field.line(slice, line, dx);
    });
  };
  return drawn;
}

}  // namespace

Artifact elastic() {
  return {{"elastic",
           "Soft tissue displaced smoothly within the slices; misregistration, not poor quality",
           "Ashburner and Friston 1999, Hum Brain Mapp 7:254 (cosine series of displacements)",
           Stage::object,
           {{"rms_voxels",
             "voxel",
             "root mean square displacement over the foreground",
             0,
             100,
             {1, 2, 3, 5, 8},
             0},
            {"rms_mm",
             "mm",
             "the same in mm, in place of rms_voxels where it is not 0",
             0,
             100,
             {0, 0, 0, 0, 0},
             0}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
