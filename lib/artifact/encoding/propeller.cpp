#include <algorithm>
#include <cmath>
#include <limits>

#include "artifact/encoding/sudden.h"
#include "kspace/axes.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// What blades measure in one pose: a share of each sample of a slice's k-space.
struct Measured {
  Pose pose;
  std::vector<kspace::Shear> shears;
  Array<float> share;  // [lines, readout]
};

/// Blades of parallel lines, as far apart as the scan's, through the centre of k-space; b of B is
/// turned by b pi / B. They meet each other at the largest frequency.
class Blades {
 public:
  Blades(const Context& context, double blade_lines) {
    const auto step = [&](int axis, std::int64_t n) {
      return 1 /
             (context.volume.spacing_mm[static_cast<std::size_t>(axis)] * static_cast<double>(n));
    };
    step_y_ = step(context.roles.phase_encode, context.lines());
    step_x_ = step(context.roles.readout, context.readout());
    const double diameter = std::max(step_y_ * static_cast<double>(context.lines()),
                                     step_x_ * static_cast<double>(context.readout()));
    half_width_ = blade_lines * step_y_ / 2;
    count_ = std::max(1, static_cast<int>(std::ceil(pi / 2 * diameter / (2 * half_width_))));
  }

  int count() const { return count_; }

  /// The blades that measure a sample; the nearest one where none does, between the ends of blades.
  std::vector<int> of(std::int64_t ky, std::int64_t kx) const {
    const double y = step_y_ * static_cast<double>(ky), x = step_x_ * static_cast<double>(kx);
    std::vector<int> blades;
    int nearest = 0;
    double least = std::numeric_limits<double>::infinity();
    for (int b = 0; b < count_; ++b) {
      const double angle = pi * b / count_;
      const double off = std::fabs(y * std::cos(angle) - x * std::sin(angle));
      if (off <= half_width_ * (1 + 1e-9)) blades.push_back(b);
      if (off < least * (1 - 1e-9)) nearest = b;
      least = std::min(least, off);
    }
    return blades.empty() ? std::vector<int>{nearest} : blades;
  }

 private:
  double step_y_, step_x_, half_width_;  // [1/mm]
  int count_;
};

/// Blades turn within slices, in 3-D too (a stack of blades), and so does the patient.
Pose within_slice(const Context& context, Pose pose) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const bool through_plane = static_cast<int>(axis) == context.roles.slice;
    (through_plane ? pose.translation_mm : pose.rotation_deg)[axis] = 0;
  }
  return pose;
}

/// Poses count from their mean, since all blades measure the centre.
std::vector<Pose> poses_of(const Context& context, const std::vector<SuddenMove>& events,
                           int count) {
  std::vector<Pose> poses;
  Pose mean;
  for (int b = 0; b < count; ++b) {
    poses.push_back(within_slice(context, pose_at(events, b)));
    mean = mean + (1.0 / count) * poses.back();
  }
  for (auto& pose : poses) pose = pose - mean;
  return poses;
}

/// Blades of one pose share their work. What several blades measure is averaged.
std::vector<Measured> measurements(const Context& context, const Blades& blades,
                                   const std::vector<Pose>& poses) {
  const auto lines = context.lines(), readout = context.readout();
  std::vector<Measured> all;
  std::vector<std::size_t> which;  // of each blade
  for (const auto& pose : poses) {
    const auto known =
        std::find_if(all.begin(), all.end(), [&](const Measured& m) { return m.pose == pose; });
    which.push_back(static_cast<std::size_t>(known - all.begin()));
    if (known == all.end())
      all.push_back({pose, shears_of(context, pose), Array<float>({lines, readout})});
  }
  for (std::int64_t i = 0; i < lines * readout; ++i) {
    const auto of = blades.of(i / readout - lines / 2, i % readout - readout / 2);
    for (const int blade : of)
      all[which[static_cast<std::size_t>(blade)]].share[i] += 1 / static_cast<float>(of.size());
  }
  return all;
}

void transform(Block& block, kspace::Direction direction, int threads) {
  for (const int axis : {1, 2})
    kspace::transform_axis(block.re, block.im, axis, direction, threads);
}

/// K = sum over poses of (share measured in it) F (moved image).
void measure(Block& block, const std::vector<Measured>& all, int threads) {
  Block spectrum;
  spectrum.first_slice = block.first_slice;
  spectrum.re = Array<float>(block.re.shape());
  spectrum.im = Array<float>(block.re.shape());
  for (const auto& measured : all) {
    auto moved = block;
    for (const auto& shear : measured.shears)
      kspace::shift_lines(moved.re, moved.im, shear, threads);
    transform(moved, kspace::Direction::to_kspace, threads);
    for_slices(spectrum, threads, [&](float* re, float* im, std::int64_t slice) {
      const auto first = (slice - block.first_slice) * block.plane_size();
      for (std::int64_t i = 0; i < block.plane_size(); ++i) {
        re[i] += measured.share[i] * moved.re[first + i];
        im[i] += measured.share[i] * moved.im[first + i];
      }
    });
  }
  transform(spectrum, kspace::Direction::to_image, threads);
  block = std::move(spectrum);
}

bool acts(const Values& values) {
  return values.at("events") != 0 &&
         (values.at("translation_mm") != 0 || values.at("rotation_deg") != 0);
}

/// Each blade is measured at once, the patient moves between blades, and nothing corrects for it.
/// On the grid of k-space, without gridding: a still patient gives the image itself, corners
/// included, which real blades do not reach.
Drawn draw(const Context& context, const Values& values) {
  const Blades blades(context, values.at("blade_lines"));
  Drawn drawn;
  drawn.values.set("blades", blades.count()).set("events", Record::list());
  drawn.apply = [](Block&, int) {};  // a single blade measures one pose
  if (blades.count() < 2) return drawn;
  const auto events = draw_sudden_moves(context, values, blades.count());
  for (const auto& event : events) drawn.values.append("events", record_of(event));
  const auto all = measurements(context, blades, poses_of(context, events, blades.count()));
  drawn.apply = [all](Block& block, int threads) { measure(block, all, threads); };
  return drawn;
}

}  // namespace

Artifact propeller() {
  return {{"propeller",
           "Motion between the turning blades of a PROPELLER scan: blur and streaks, no ghosts",
           "Pipe 1999, Magn Reson Med 42:963 (blades; B = pi / 2 N / L)",
           Stage::encoding,
           {{"translation_mm",
             "mm",
             "each event moves the patient by up to this along each axis of a slice",
             0,
             20,
             {0.25, 0.5, 1, 2, 4},
             0},
            {"rotation_deg",
             "deg",
             "each event turns the patient by up to this within the slice",
             0,
             20,
             {0.25, 0.5, 1, 2, 4},
             0},
            {"events", "1", "number of sudden events in the scan", 0, 8, {1, 2, 2, 3, 4}, 0},
            {"blade_lines", "1", "lines of a blade", 2, 256, {16, 16, 16, 16, 16}, 16}},
           12,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
