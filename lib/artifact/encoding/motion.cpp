#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "artifact/engine.h"
#include "kspace/lines.h"
#include "kspace/shift.h"
#include "kspace/shots.h"

namespace mr::artifact {
namespace {

using kspace::Matrix3;
using kspace::Vector3;

constexpr double pi = 3.14159265358979323846;
constexpr int assumed_echo_train = 8;

/// Displacement of the head or knee along, and rotation about, the stored axes i, j, k through the
/// centre of the image (index n / 2 of each axis).
struct Pose {
  Vector3 translation_mm{}, rotation_deg{};
};

/// Between two shots the patient moves, once, by `step`.
struct Event {
  int shot = 0;  // the first one after it
  Pose step;
};

Pose operator+(Pose a, const Pose& b) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    a.translation_mm[axis] += b.translation_mm[axis];
    a.rotation_deg[axis] += b.rotation_deg[axis];
  }
  return a;
}

Pose operator-(Pose a, const Pose& b) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    a.translation_mm[axis] -= b.translation_mm[axis];
    a.rotation_deg[axis] -= b.rotation_deg[axis];
  }
  return a;
}

/// Events of a lower severity are the first ones of a higher severity, scaled: a whole number of
/// events and a last one in part. In 2-D the patient moves within the slice.
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
      const bool through_plane = static_cast<int>(axis) == context.roles.slice;
      const bool in_plane_only = context.roles.mode == image::Mode::two_d;
      const double translation = values.at("translation_mm") * part,
                   rotation = values.at("rotation_deg") * part;
      if (!(in_plane_only && through_plane))
        event.step.translation_mm[axis] = translation * uniform(event_key, 1 + axis, -1, 1);
      if (!in_plane_only || through_plane)
        event.step.rotation_deg[axis] = rotation * uniform(event_key, 4 + axis, -1, 1);
    }
    events.push_back(event);
  }
  return events;
}

/// The pose in which a shot was measured, from that in which the centre of k-space was: so the
/// image does not wander as a whole.
Pose pose_of(const std::vector<Event>& events, int shot, int centre_shot) {
  const auto at = [&](int s) {
    Pose pose;
    for (const auto& event : events)
      if (event.shot <= s) pose = pose + event.step;
    return pose;
  };
  return at(shot) - at(centre_shot);
}

/// Lines measured in one pose. Shears move along slices and readout and rotate; what is left along
/// phase encoding is a phase of the lines.
struct State {
  std::vector<int> lines;
  std::vector<kspace::Shear> shears;
  std::vector<std::complex<float>> line_phases;  // empty: none
};

/// Axes of a block in terms of stored axes.
std::array<std::size_t, 3> block_axes(const Roles& roles) {
  return {static_cast<std::size_t>(roles.slice), static_cast<std::size_t>(roles.phase_encode),
          static_cast<std::size_t>(roles.readout)};
}

State make_state(const Context& context, const Pose& pose, std::vector<int> lines) {
  const auto axes = block_axes(context.roles);
  const auto& spacing = context.volume.spacing_mm;
  Vector3 angles{}, shift{};
  for (std::size_t axis = 0; axis < 3; ++axis) angles[axis] = pose.rotation_deg[axis] * pi / 180;
  const auto rotation = kspace::rotation(angles);
  Matrix3 in_voxels{};
  for (std::size_t r = 0; r < 3; ++r) {
    shift[r] = pose.translation_mm[axes[r]] / spacing[axes[r]];
    for (std::size_t c = 0; c < 3; ++c)
      in_voxels[r][c] = rotation[axes[r]][axes[c]] * spacing[axes[c]] / spacing[axes[r]];
  }
  State state;
  state.lines = std::move(lines);
  const double along_lines = shift[1];
  shift[1] = 0;
  state.shears = kspace::rigid_shears(in_voxels, shift);
  if (along_lines == 0) return state;
  const auto n = context.volume.length(context.roles.phase_encode);
  for (const int line : state.lines) {
    const double angle =
        -2 * pi * static_cast<double>(line - n / 2) * along_lines / static_cast<double>(n);
    state.line_phases.emplace_back(static_cast<float>(std::cos(angle)),
                                   static_cast<float>(std::sin(angle)));
  }
  return state;
}

void multiply_lines(const State& state, std::int64_t columns, float* re, float* im) {
  for (std::size_t i = 0; i < state.line_phases.size(); ++i) {
    const float c = state.line_phases[i].real(), s = state.line_phases[i].imag();
    const auto first = state.lines[i] * columns;
    for (auto at = first; at < first + columns; ++at) {
      const float x = re[at], y = im[at];
      re[at] = c * x - s * y;
      im[at] = c * y + s * x;
    }
  }
}

/// K = sum over poses of (lines measured in it) F (moved image). Only phase encoding tells lines
/// apart, so the transform F is one-dimensional, along it.
void measure(Block& block, const std::vector<State>& states, const kspace::PhaseEncode& encode,
             int threads) {
  Block spectrum;
  spectrum.first_slice = block.first_slice;
  spectrum.re = Array<float>(block.re.shape());
  spectrum.im = Array<float>(block.re.shape());
  Block moved;
  for (const auto& state : states) {
    if (!state.shears.empty()) moved = block;
    for (const auto& shear : state.shears) kspace::shift_lines(moved.re, moved.im, shear, threads);
    const auto& source = state.shears.empty() ? block : moved;
    for_slices(spectrum, threads, [&](float* re, float* im, std::int64_t slice) {
      const auto at = (slice - block.first_slice) * block.plane_size();
      encode.forward(source.re.data() + at, source.is_real() ? nullptr : source.im.data() + at,
                     block.readout(), state.lines, re, im);
      multiply_lines(state, block.readout(), re, im);
    });
  }
  for_slices(spectrum, threads,
             [&](float* re, float* im, std::int64_t) { encode.inverse(re, im, block.readout()); });
  block = std::move(spectrum);
}

/// Interleaved turbo spin echo where the acquisition says nothing, with at least four shots where
/// the image has as many lines.
kspace::ShotTable shots_of(const Context& context) {
  const auto lines = context.volume.length(context.roles.phase_encode);
  const auto quarter = static_cast<int>(std::max<std::int64_t>(1, lines / 4));
  const int echo_train =
      context.volume.acquisition.echo_train.value_or(std::min(assumed_echo_train, quarter));
  return kspace::shot_table(lines, kspace::LineOrder::interleaved, echo_train);
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
  const auto table = shots_of(context);
  Drawn drawn;
  drawn.values = {{"line_order", "interleaved"},
                  {"echo_train", table.echo_train},
                  {"shots", table.shots},
                  {"events", Json::array()}};
  if (!context.volume.acquisition.echo_train) drawn.values["echo_train_assumed"] = true;
  drawn.apply = [](Block&, int) {};  // a single shot measures one pose
  if (table.shots < 2) return drawn;

  const auto events = draw_events(context, values, table.shots);
  for (const auto& event : events) drawn.values["events"].push_back(to_json(event));
  // Shots between the same two events share a pose.
  std::map<std::vector<bool>, std::vector<int>> lines_by_pose;
  for (std::size_t line = 0; line < table.shot_of_line.size(); ++line) {
    std::vector<bool> happened;
    for (const auto& event : events) happened.push_back(event.shot <= table.shot_of_line[line]);
    lines_by_pose[happened].push_back(static_cast<int>(line));
  }
  std::vector<State> states;
  for (const auto& [happened, lines] : lines_by_pose) {
    const int shot = table.shot_of_line[static_cast<std::size_t>(lines.front())];
    states.push_back(make_state(context, pose_of(events, shot, table.shot_of_centre()), lines));
  }
  const auto encode = std::make_shared<const kspace::PhaseEncode>(
      context.volume.length(context.roles.phase_encode));
  drawn.apply = [states, encode](Block& block, int threads) {
    measure(block, states, *encode, threads);
  };
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
