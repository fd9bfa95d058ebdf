#include <algorithm>
#include <cmath>

#include "artifact/encoding/rigid.h"

namespace mr::artifact {
namespace {

/// Between two shots the patient moves, once, by `step`.
struct Event {
  int shot = 0;  // the first one after it
  Pose step;
};

/// Events of a lower severity are the first ones of a higher severity, scaled: a whole number of
/// events and a last one in part.
std::vector<Event> draw_events(const Context& context, const Values& values, int shots) {
  const auto key = context.stream("events");
  const double number = values.at("events");
  std::vector<Event> events;
  for (int e = 0; e < number; ++e) {
    const auto event_key = sub_key(key, static_cast<std::uint64_t>(e));
    const double part = std::min(1.0, number - e);
    Event event;
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

Pose pose_at(const std::vector<Event>& events, int shot) {
  Pose pose;
  for (const auto& event : events)
    if (event.shot <= shot) pose = pose + event.step;
  return pose;
}

Json to_json(const Event& event) {
  return {{"shot", event.shot},
          {"translation_mm", event.step.translation_mm},
          {"rotation_deg", event.step.rotation_deg}};
}

bool acts(const Values& values) {
  return values.at("events") != 0 &&
         (values.at("translation_mm") != 0 || values.at("rotation_deg") != 0);
}

Drawn draw(const Context& context, const Values& values) {
  const auto& table = context.timing.table;
  Drawn drawn;
  drawn.values = to_json(context.timing);
  drawn.values["events"] = Json::array();
  drawn.apply = [](Block&, int) {};  // a single shot measures one pose
  if (table.shots < 2) return drawn;
  const auto events = draw_events(context, values, table.shots);
  for (const auto& event : events) drawn.values["events"].push_back(to_json(event));
  std::vector<Pose> pose_of_line;
  for (const auto& line : table.lines) pose_of_line.push_back(pose_at(events, line.shot));
  drawn.apply = nullptr;
  measure_moving(context, std::move(pose_of_line), drawn);
  return drawn;
}

}  // namespace

Artifact motion() {
  return {{"motion",
           "Sudden rigid motion of the patient between shots: ghosts and blur along phase encoding",
           "Batchelor et al. 2005, Magn Reson Med 54:1273 (k-space lines of moved images)",
           Stage::encoding,
           {{"translation_mm",
             "mm",
             "each event moves the patient by up to this along each axis",
             0,
             20,
             {0.25, 0.5, 1, 2, 4},
             0},
            {"rotation_deg",
             "deg",
             "each event turns the patient by up to this about each axis",
             0,
             20,
             {0.25, 0.5, 1, 2, 4},
             0},
            {"events", "1", "number of sudden events in the scan", 0, 8, {1, 2, 2, 3, 4}, 0}},
           12,
           true},
          acts,
          draw,
          true};
}

}  // namespace mr::artifact
