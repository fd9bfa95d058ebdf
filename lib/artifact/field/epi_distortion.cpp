#include "artifact/field/displacement.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("peak_px") != 0;
}

/// In echo-planar imaging the time between lines is long, so that voxels move along phase encoding:
/// by f (effective echo spacing) (number of lines).
Drawn draw(const Context& context, const Values& values) {
  return draw_distortion(context, values, "epi-distortion", Role::phase_encode);
}

}  // namespace

Artifact epi_distortion() {
  return {{"epi-distortion",
           "Uneven main field in echo-planar imaging: large distortion along phase encoding",
           "Jezzard and Balaban 1995, Magn Reson Med 34:65",
           Stage::field,
           {{"peak_px",
             "voxel",
             "largest displacement in the foreground; below 0: blips of the other polarity",
             -200,
             200,
             {2, 4, 8, 14, 22},
             0},
            {"proxy",
             "1",
             "1: without a map of the field, draws a smooth one (solid harmonics to order 3)",
             0,
             1,
             {0, 0, 0, 0, 0},
             0}},
           0,
           false},
          acts,
          draw,
          false,
          {Map::field}};
}

}  // namespace mr::artifact
