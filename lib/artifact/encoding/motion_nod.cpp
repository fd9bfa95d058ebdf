#include <algorithm>
#include <cmath>

#include "artifact/encoding/line_weights.h"
#include "artifact/encoding/rigid.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr int most_steps = 8;  // of a nod; a pose costs a rotation of the image

/// The head leaves its place at shot `first`, is farthest in the middle of `shots`, and is back
/// after them.
struct Nod {
  int first = 0, shots = 1;
  Pose farthest;

  /// A raised cosine in equal steps, the middle of each of which counts, so that a nod of one shot
  /// is met in full.
  Pose at(int shot) const {
    if (shot < first || shot >= first + shots) return {};
    const int steps = std::min(shots, most_steps);
    const double s = std::sin(pi * ((shot - first) * steps / shots + 0.5) / steps);
    return s * s * farthest;
  }
};

/// Of at least half the wanted size, in either direction.
double size_of(RandomKey key, std::uint64_t index) {
  const double u = uniform(key, index, -1, 1);
  return u < 0 ? 0.5 * (u - 1) : 0.5 * (u + 1);
}

/// A nod turns the head about the axis that runs from left to right, below the image: so it also
/// moves what is seen backward or forward, and up or down. Nods of a lower severity are the first
/// ones of a higher severity, scaled, the last one in part.
std::vector<Nod> draw_nods(const Context& context, const Values& values, int shots) {
  const auto key = context.stream("nods");
  const auto axis = [&](int world) {
    return static_cast<std::size_t>(image::axis_along(context.volume.affine, world));
  };
  std::vector<Nod> nods;
  for (int n = 0; n < values.at("nods"); ++n) {
    const auto own = sub_key(key, static_cast<std::uint64_t>(n));
    Nod nod;
    nod.first = static_cast<int>(below(own, 0, static_cast<std::uint64_t>(shots)));
    nod.shots = std::max(1, static_cast<int>(shots * uniform(own, 1, 0.1, 0.3)));
    const double part = std::min(1.0, values.at("nods") - n);
    const double mm = part * values.at("translation_mm");
    nod.farthest.rotation_deg[axis(0)] = part * values.at("rotation_deg") * size_of(own, 2);
    nod.farthest.translation_mm[axis(1)] = mm * size_of(own, 3);
    nod.farthest.translation_mm[axis(2)] = mm * size_of(own, 4);
    nod.farthest = within_encoding(context, nod.farthest);
    nods.push_back(nod);
  }
  return nods;
}

bool acts(const Values& values) {
  return values.at("nods") != 0 &&
         (values.at("translation_mm") != 0 || values.at("rotation_deg") != 0);
}

Drawn draw(const Context& context, const Values& values) {
  const auto& table = context.timing.table;
  Drawn drawn;
  drawn.values = times_record(context);
  drawn.values.set("nods", Record::list());
  drawn.apply = [](Block&, int) {};  // a single shot measures one pose
  if (table.shots < 2) return drawn;
  const auto nods = draw_nods(context, values, table.shots);
  for (const auto& nod : nods)
    drawn.values.append("nods", Record()
                                    .set("shot", nod.first)
                                    .set("shots", nod.shots)
                                    .set("translation_mm", nod.farthest.translation_mm)
                                    .set("rotation_deg", nod.farthest.rotation_deg));
  std::vector<Pose> pose_of_line(table.lines.size());
  for (std::size_t line = 0; line < table.lines.size(); ++line)
    for (const auto& nod : nods)
      pose_of_line[line] = pose_of_line[line] + nod.at(table.lines[line].shot);
  drawn.apply = nullptr;
  measure_moving(context, std::move(pose_of_line), drawn);
  return drawn;
}

}  // namespace

Artifact motion_nod() {
  return {{"motion-nod",
           "A patient who nods and comes back: some shots measured elsewhere, ghosts",
           "Batchelor et al. 2005, Magn Reson Med 54:1273 (k-space lines of moved images)",
           Stage::encoding,
           {{"translation_mm",
             "mm",
             "each nod moves the patient by half to all of this forward or back, up or down",
             0,
             20,
             {0.25, 0.5, 1, 2, 4},
             0},
            {"rotation_deg",
             "deg",
             "each nod turns the patient by half to all of this about the left-right axis",
             0,
             20,
             {0.25, 0.5, 1, 2, 4},
             0},
            {"nods", "1", "number of nods in the scan", 0, 8, {1, 1, 2, 2, 3}, 0}},
           12,
           false},
          acts,
          draw,
          true};
}

}  // namespace mr::artifact
