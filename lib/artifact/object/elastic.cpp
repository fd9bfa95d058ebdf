#include <cmath>

#include "artifact/object/smooth_field.h"
#include "artifact/object/warp.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

/// Root mean square length of the displacement over the frame's foreground [voxel].
double rms(const Context& context, const SmoothField& along_lines,
           const SmoothField& along_readout) {
  const auto& roles = context.roles;
  const auto& volume = context.volume;
  const auto n = context.readout();
  const auto first = context.frame * context.slices() * context.lines() * n;
  std::vector<double> dy(static_cast<std::size_t>(n)), dx(dy.size());
  double sum = 0, inside = 0;
  for (std::int64_t s = 0; s < context.slices(); ++s)
    for (std::int64_t y = 0; y < context.lines(); ++y) {
      along_lines.line(s, y, dy.data());
      along_readout.line(s, y, dx.data());
      for (std::int64_t x = 0; x < n; ++x) {
        const auto at = first + s * stride(volume, roles.slice) +
                        y * stride(volume, roles.phase_encode) + x * stride(volume, roles.readout);
        const auto i = static_cast<std::size_t>(x);
        if (context.facts.foreground[at] == 0) continue;
        sum += dy[i] * dy[i] + dx[i] * dx[i];
        inside += 1;
      }
    }
  return inside > 0 ? std::sqrt(sum / inside) : 0;
}

bool acts(const Values& values) {
  return values.at("rms_voxels") != 0;
}

/// Soft tissue lies otherwise than it did: a smooth displacement within the slices, of stated root
/// mean square over the foreground. Maps and segmentations of the image do not follow.
Drawn draw(const Context& context, const Values& values) {
  const SmoothField along_lines(context, context.stream("phase encode"), 3);
  const SmoothField along_readout(context, context.stream("readout"), 3);
  const double unscaled = rms(context, along_lines, along_readout);
  if (!(unscaled > 1e-6))
    throw DataError("elastic: the foreground is too small for a displacement that varies");
  const double scale = values.at("rms_voxels") / unscaled;
  Drawn drawn;
  drawn.values.set("phase_encode_cosines", along_lines.record())
      .set("readout_cosines", along_readout.record())
      .set("scale", scale);
  drawn.apply = [along_lines, along_readout, scale, n = context.readout()](Block& block,
                                                                           int threads) {
    warp(block, threads, [&](std::int64_t slice, std::int64_t line, double* dy, double* dx) {
      along_lines.line(slice, line, dy);
      along_readout.line(slice, line, dx);
      for (std::int64_t x = 0; x < n; ++x) {
        dy[x] *= scale;
        dx[x] *= scale;
      }
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
             0}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
