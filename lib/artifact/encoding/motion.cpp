#include "artifact/encoding/sudden.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("events") != 0 &&
         (values.at("translation_mm") != 0 || values.at("rotation_deg") != 0);
}

Drawn draw(const Context& context, const Values& values) {
  const auto& table = context.timing.table;
  Drawn drawn;
  drawn.values = record_of(context.timing);
  drawn.values.set("events", Record::list());
  drawn.apply = [](Block&, int) {};  // a single shot measures one pose
  if (table.shots < 2) return drawn;
  const auto events = draw_sudden_moves(context, values, table.shots);
  for (const auto& event : events) drawn.values.append("events", record_of(event));
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
