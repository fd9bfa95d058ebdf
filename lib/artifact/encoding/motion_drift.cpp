#include <algorithm>
#include <cmath>

#include "artifact/encoding/line_weights.h"
#include "artifact/encoding/rigid.h"

namespace mr::artifact {
namespace {

constexpr int octaves = 4;
constexpr std::size_t freedoms = 6;  // translation along, then rotation about i, j, k
constexpr int most_poses = 32;       // a pose costs a rotation of the image

/// Value noise on [0, 1]: octave q joins 2^q + 1 knots, uniform in -1..1, smoothly (3 u^2 - 2 u^3),
/// and has the weight 2^-q, so that the slowest dominates.
/// source  value noise of Perlin 1985, Computer Graphics 19(3):287, as in retroMoCoBox
class Trace {
 public:
  explicit Trace(RandomKey key) {
    for (int q = 0; q < octaves; ++q) {
      knots_.emplace_back();
      for (std::uint64_t k = 0; k <= (1u << q); ++k)
        knots_.back().push_back(uniform(sub_key(key, static_cast<std::uint64_t>(q)), k, -1, 1));
    }
  }
  double operator()(double at) const {
    double sum = 0;
    for (int q = 0; q < octaves; ++q) {
      const int intervals = 1 << q;
      const int interval = std::min(intervals - 1, static_cast<int>(at * intervals));
      const double u = at * intervals - interval, smooth = u * u * (3 - 2 * u);
      const auto& knots = knots_[static_cast<std::size_t>(q)];
      const auto first = static_cast<std::size_t>(interval);
      sum += (knots[first] + smooth * (knots[first + 1] - knots[first])) / intervals;
    }
    return sum;
  }
  const std::vector<std::vector<double>>& knots() const { return knots_; }

 private:
  std::vector<std::vector<double>> knots_;
};

/// `count` poses, at the middle of as many equal parts of the scan, whose components have the range
/// that the parameters say.
std::vector<Pose> poses_of(const std::vector<Trace>& traces, const Values& values, int count) {
  std::vector<Pose> poses(static_cast<std::size_t>(count));
  for (std::size_t f = 0; f < freedoms; ++f) {
    std::vector<double> samples;
    for (int p = 0; p < count; ++p) samples.push_back(traces[f]((p + 0.5) / count));
    const auto [least, most] = std::minmax_element(samples.begin(), samples.end());
    const double scale =
        values.at(f < 3 ? "translation_mm" : "rotation_deg") / std::max(*most - *least, 1e-9);
    for (std::size_t p = 0; p < poses.size(); ++p)
      (f < 3 ? poses[p].translation_mm : poses[p].rotation_deg)[f % 3] = scale * samples[p];
  }
  return poses;
}

bool acts(const Values& values) {
  return values.at("translation_mm") != 0 || values.at("rotation_deg") != 0;
}

/// Shots j of S are measured in pose [j P / S] of P = min(S, 32): the drift stands still within a
/// shot, and within the 32nd part of a scan of more shots, where it moves by a few per cent of its
/// range.
Drawn draw(const Context& context, const Values& values) {
  const auto& table = context.timing.table;
  Drawn drawn;
  drawn.values = times_record(context);
  drawn.apply = [](Block&, int) {};  // a single shot measures one pose
  if (table.shots < 2) return drawn;
  std::vector<Trace> traces;
  for (std::size_t f = 0; f < freedoms; ++f) {
    traces.emplace_back(sub_key(context.stream("trace"), f));
    drawn.values.append("knots", traces.back().knots());
  }
  const int count = std::min(table.shots, most_poses);
  drawn.values.set("poses", count);
  const auto poses = poses_of(traces, values, count);
  std::vector<Pose> pose_of_line;
  for (const auto& line : table.lines)
    pose_of_line.push_back(poses[static_cast<std::size_t>(line.shot * count / table.shots)]);
  drawn.apply = nullptr;
  measure_moving(context, std::move(pose_of_line), drawn);
  return drawn;
}

}  // namespace

Artifact motion_drift() {
  return {{"motion-drift",
           "A patient who slowly sinks or turns through the scan: blur and faint ghosts",
           "Batchelor et al. 2005, Magn Reson Med 54:1273; drift of muscles at rest: retroMoCoBox",
           Stage::encoding,
           {{"translation_mm",
             "mm",
             "range of the drift along each axis over the scan",
             0,
             20,
             {0.25, 0.5, 1, 2, 4},
             0},
            {"rotation_deg",
             "deg",
             "range of the drift about each axis over the scan",
             0,
             20,
             {0.25, 0.5, 1, 2, 4},
             0}},
           64,
           false},
          acts,
          draw,
          true};
}

}  // namespace mr::artifact
