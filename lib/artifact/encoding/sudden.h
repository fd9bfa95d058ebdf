// A patient who moves suddenly a few times during a scan; shared by ways to fill k-space.
#pragma once
#include <vector>

#include "artifact/encoding/rigid.h"

namespace mr::artifact {

/// Between two shots the patient moves, once, by `step`.
struct SuddenMove {
  int shot = 0;  // the first one after it
  Pose step;
};

/// From the parameters translation_mm, rotation_deg and events; shots of at least 2. Events of a
/// lower severity are the first ones of a higher severity, scaled: a whole number of events and a
/// last one in part.
std::vector<SuddenMove> draw_sudden_moves(const Context& context, const Values& values, int shots);

/// Sum of the moves until a shot.
Pose pose_at(const std::vector<SuddenMove>& events, int shot);

Record record_of(const SuddenMove& event);

}  // namespace mr::artifact
