#include "artifact/field/displacement.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("peak_px") != 0;
}

/// A spin that is f Hz off appears f / (bandwidth of a voxel) voxels further along the readout.
Drawn draw(const Context& context, const Values& values) {
  return draw_distortion(context, values, "off-resonance", Role::readout);
}

}  // namespace

Artifact off_resonance() {
  return {{"off-resonance",
           "Uneven main field: distortion and pile-up of signal along the readout",
           "Chang and Fitzpatrick 1992, IEEE Trans Med Imaging 11:319",
           Stage::field,
           {{"peak_px",
             "voxel",
             "largest displacement in the foreground; below 0: the other readout polarity",
             -100,
             100,
             {1, 2, 4, 7, 12},
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
