// Which axis is which: slices, phase encoding, readout.
#include <algorithm>

#include "artifact/engine.h"
#include "artifact/recipe.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

bool isotropic(const image::Volume& volume) {
  const auto [least, most] =
      std::minmax_element(volume.spacing_mm.begin(), volume.spacing_mm.end());
  return *most <= 1.1 * *least;
}

/// The axis of length 1, else that of the largest spacing, else the slowest stored one, leaving out
/// the phase-encode axis where that is known.
int likely_slice_axis(const image::Volume& volume, int phase_encode) {
  int best = -1;
  const auto spacing = [&](int axis) { return volume.spacing_mm[static_cast<std::size_t>(axis)]; };
  for (const int axis : {2, 1, 0}) {
    if (axis == phase_encode) continue;
    if (volume.length(axis) == 1) return axis;
    if (best < 0 || (!isotropic(volume) && spacing(axis) > spacing(best) * 1.001)) best = axis;
  }
  return best;
}

}  // namespace

Roles roles_of(const image::Volume& volume) {
  const auto& a = volume.acquisition;
  Roles roles;
  const bool has_slice = a.slice_axis.has_value(), has_phase = a.phase_encode_axis.has_value();
  if (has_slice && has_phase && *a.slice_axis == *a.phase_encode_axis)
    throw DataError(std::string("acquisition: slices and phase encoding share the axis ") +
                    "ijk"[*a.slice_axis]);
  roles.slice =
      has_slice ? *a.slice_axis : likely_slice_axis(volume, a.phase_encode_axis.value_or(-1));
  const int slower = roles.slice == 2 ? 1 : 2, faster = roles.slice == 0 ? 1 : 0;
  roles.phase_encode = a.phase_encode_axis.value_or(slower);
  roles.readout = slower + faster - roles.phase_encode;
  if (a.mode)
    roles.mode = *a.mode;
  else
    roles.mode = isotropic(volume) && volume.length(roles.slice) > 1 ? image::Mode::three_d
                                                                     : image::Mode::two_d;
  if (!a.mode) roles.assumed.emplace_back("mode");
  if (!has_slice) roles.assumed.emplace_back("slice_axis");
  if (!has_phase) roles.assumed.emplace_back("phase_encode_axis");
  return roles;
}

std::int64_t stride(const image::Volume& volume, int axis) {
  const auto& shape = volume.shape();
  return axis == 0 ? 1 : axis == 1 ? shape[3] : shape[2] * shape[3];
}

}  // namespace mr::artifact
