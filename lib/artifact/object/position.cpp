#include <algorithm>
#include <cmath>

#include "artifact/object/warp.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// out[i] = offset + slope (i - n / 2).
MR_SIMD void fill_ramp(double offset, double slope, std::int32_t n, double* out) {
  for (std::int32_t i = 0; i < n; ++i) out[i] = offset + slope * static_cast<double>(i - n / 2);
}

bool acts(const Values& values) {
  return values.at("shift_percent") != 0 || values.at("shift_mm") != 0 ||
         values.at("rotation_deg") != 0;
}

/// The patient lies elsewhere and turned, within the slices, in all of them alike: a rigid motion
/// in mm about the voxel n / 2. A voxel shows what lay at R^-1 (r - shift).
Drawn draw(const Context& context, const Values& values) {
  const auto key = context.stream("pose");
  const double dy_mm =
      context.volume.spacing_mm[static_cast<std::size_t>(context.roles.phase_encode)];
  const double dx_mm = context.volume.spacing_mm[static_cast<std::size_t>(context.roles.readout)];
  const auto lines = context.lines(), readout = context.readout();
  const double side_mm =
      std::min(dy_mm * static_cast<double>(lines), dx_mm * static_cast<double>(readout));
  const double shift_mm = values.at("shift_mm") != 0 ? values.at("shift_mm")
                                                     : values.at("shift_percent") / 100 * side_mm;
  const double direction = 2 * pi * uniform(key, 0);
  const double shift_y = shift_mm * std::sin(direction), shift_x = shift_mm * std::cos(direction);
  const double rotation_deg = values.at("rotation_deg") * (uniform(key, 1) < 0.5 ? -1 : 1);
  const double cosine = std::cos(rotation_deg * pi / 180);
  const double sine = std::sin(rotation_deg * pi / 180);
  Drawn drawn;
  drawn.values.set("shift_phase_encode_mm", shift_y)
      .set("shift_readout_mm", shift_x)
      .set("rotation_deg", rotation_deg);  // from readout to phase encoding
  // R^-1 (r - shift) - r along a line, where y is constant.
  drawn.apply = [=](Block& block, int threads) {
    warp(block, threads, [&](std::int64_t, std::int64_t line, double* dy, double* dx) {
      const auto n = static_cast<std::int32_t>(readout);
      const double y = static_cast<double>(line - lines / 2) * dy_mm;
      fill_ramp((sine * (y - shift_y) - cosine * shift_x) / dx_mm, cosine - 1, n, dx);
      fill_ramp((cosine * (y - shift_y) + sine * shift_x - y) / dy_mm, -sine * dx_mm / dy_mm, n,
                dy);
    });
  };
  return drawn;
}

}  // namespace

Artifact position() {
  return {{"position",
           "The patient lies off the centre and turned within the slices, all scan long",
           "Boone et al. 2023, Neuroimage 278:120289 (ROOD-MRI: affine poses)",
           Stage::object,
           {{"shift_percent",
             "%",
             "length of the shift, of the shorter side of the field of view",
             0,
             50,
             {2, 4, 6, 9, 12},
             0},
            {"shift_mm",
             "mm",
             "length of the shift, in place of shift_percent where it is not 0",
             0,
             1000,
             {0, 0, 0, 0, 0},
             0},
            {"rotation_deg",
             "deg",
             "rotation within the slices, to either side",
             0,
             90,
             {2, 4, 7, 11, 16},
             0}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
