#include "artifact/encoding/sudden.h"

#include <algorithm>

namespace mr::artifact {

std::vector<SuddenMove> draw_sudden_moves(const Context& context, const Values& values, int shots) {
  const auto key = context.stream("events");
  const double number = values.at("events");
  std::vector<SuddenMove> events;
  for (int e = 0; e < number; ++e) {
    const auto event_key = sub_key(key, static_cast<std::uint64_t>(e));
    const double part = std::min(1.0, number - e);
    SuddenMove event;
    event.shot = 1 + static_cast<int>(below(event_key, 0, static_cast<std::uint64_t>(shots - 1)));
    for (std::size_t axis = 0; axis < 3; ++axis) {
      event.step.translation_mm[axis] =
          values.at("translation_mm") * part * uniform(event_key, 1 + axis, -1, 1);
      event.step.rotation_deg[axis] =
          values.at("rotation_deg") * part * uniform(event_key, 4 + axis, -1, 1);
    }
    event.step = within_encoding(context, event.step);
    events.push_back(event);
  }
  return events;
}

Pose pose_at(const std::vector<SuddenMove>& events, int shot) {
  Pose pose;
  for (const auto& event : events)
    if (event.shot <= shot) pose = pose + event.step;
  return pose;
}

Record record_of(const SuddenMove& event) {
  return Record()
      .set("shot", event.shot)
      .set("translation_mm", event.step.translation_mm)
      .set("rotation_deg", event.step.rotation_deg);
}

}  // namespace mr::artifact
