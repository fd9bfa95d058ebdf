#include "artifact/encoding/rigid.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "kspace/lines.h"
#include "kspace/phase_ramp.h"

namespace mr::artifact {

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

Pose operator*(double factor, Pose a) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    a.translation_mm[axis] *= factor;
    a.rotation_deg[axis] *= factor;
  }
  return a;
}

bool operator==(const Pose& a, const Pose& b) {
  return a.translation_mm == b.translation_mm && a.rotation_deg == b.rotation_deg;
}

bool operator!=(const Pose& a, const Pose& b) {
  return !(a == b);
}

Pose within_encoding(const Context& context, Pose pose) {
  if (context.is_3d()) return pose;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const bool through_plane = static_cast<int>(axis) == context.roles.slice;
    (through_plane ? pose.translation_mm : pose.rotation_deg)[axis] = 0;
  }
  return pose;
}

namespace {

using kspace::Matrix3;
using kspace::Vector3;

constexpr double pi = 3.14159265358979323846;

/// Lines measured in one pose. What is left along phase encoding after the shears is a phase of the
/// lines: a displacement [voxel] at the middle of the block, and its slopes.
struct State {
  std::vector<int> lines;
  std::vector<kspace::Shear> shears;
  double along_lines = 0, by_slice = 0, by_readout = 0;
};

/// Phase of sample i of n for a displacement of one voxel [rad].
double phase_per_voxel(std::int64_t i, std::int64_t n) {
  return -2 * pi * static_cast<double>(i - n / 2) / static_cast<double>(n);
}

/// Axes of a block in terms of stored axes.
std::array<std::size_t, 3> block_axes(const Roles& roles) {
  return {static_cast<std::size_t>(roles.slice), static_cast<std::size_t>(roles.phase_encode),
          static_cast<std::size_t>(roles.readout)};
}

State make_state(const Context& context, Pose pose, std::vector<int> lines) {
  const auto phase_encode = static_cast<std::size_t>(context.roles.phase_encode);
  State state;
  state.lines = std::move(lines);
  state.along_lines = pose.translation_mm[phase_encode] / context.volume.spacing_mm[phase_encode];
  pose.translation_mm[phase_encode] = 0;
  state.shears = shears_of(context, pose);
  // A last pass along phase encoding needs no transform of its own.
  if (!state.shears.empty() && state.shears.back().axis == 1) {
    const auto& last = state.shears.back();
    state.along_lines += last.offset;
    state.by_slice = last.slope[0];
    state.by_readout = last.slope[2];
    state.shears.pop_back();
  }
  return state;
}

/// The phases of the lines of one slice; n lines in all.
void shift_along_lines(const State& state, std::int64_t n, double from_middle, std::int64_t columns,
                       float* re, float* im) {
  if (state.along_lines == 0 && state.by_slice == 0 && state.by_readout == 0) return;
  const double first = state.along_lines + state.by_slice * from_middle -
                       state.by_readout * static_cast<double>(columns / 2);
  for (const int line : state.lines) {
    const double turn = phase_per_voxel(line, n);
    kspace::multiply_phase_ramp(turn * first, turn * state.by_readout, columns, re + line * columns,
                                im + line * columns);
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
                     block.readout(), block.readout(), state.lines, re, im);
      shift_along_lines(state, block.lines(),
                        static_cast<double>(slice - block.first_slice - block.depth() / 2),
                        block.readout(), re, im);
    });
  }
  for_slices(spectrum, threads, [&](float* re, float* im, std::int64_t) {
    encode.inverse(re, im, block.readout(), block.readout());
  });
  block = std::move(spectrum);
}

bool rotates(const Pose& pose) {
  return pose.rotation_deg != Vector3{};
}

}  // namespace

std::vector<kspace::Shear> shears_of(const Context& context, const Pose& pose) {
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
  return kspace::rigid_shears(in_voxels, shift);
}

void measure_translating(const Context& context, const Translation& translation_mm, Drawn& drawn) {
  const auto axes = block_axes(context.roles);
  const auto& spacing = context.volume.spacing_mm;
  const auto slices = context.slices(), lines = context.lines();
  std::vector<std::vector<Vector3>> shifts(context.is_3d() ? 1 : static_cast<std::size_t>(slices));
  for (std::size_t s = 0; s < shifts.size(); ++s) {
    const auto slice = static_cast<std::int64_t>(s);
    const auto centre = translation_mm(slice, lines / 2);
    for (std::int64_t line = 0; line < lines; ++line) {
      const auto mm = translation_mm(slice, line);
      Vector3 shift{};  // [voxel], by role
      for (std::size_t r = context.is_3d() ? 0 : 1; r < 3; ++r)
        shift[r] = (mm[axes[r]] - centre[axes[r]]) / spacing[axes[r]];
      shifts[s].push_back(shift);
    }
  }
  drawn.in_kspace = [shifts, slices, lines](Block& block, int threads) {
    const auto readout = block.readout();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      const auto s = static_cast<std::size_t>(slice);
      const auto& of_slice = shifts[shifts.size() == 1 ? 0 : s];
      for (std::size_t y = 0; y < of_slice.size(); ++y) {
        const auto& d = of_slice[y];
        if (d == Vector3{}) continue;
        const auto line = static_cast<std::int64_t>(y);
        const double start = d[0] * phase_per_voxel(slice, slices) +
                             d[1] * phase_per_voxel(line, lines) +
                             d[2] * phase_per_voxel(0, readout);
        kspace::multiply_phase_ramp(start, -2 * pi * d[2] / static_cast<double>(readout), readout,
                                    re + line * readout, im + line * readout);
      }
    });
  };
}

void measure_moving(const Context& context, std::vector<Pose> pose_of_line, Drawn& drawn) {
  const Pose centre = pose_of_line[pose_of_line.size() / 2];
  for (auto& pose : pose_of_line) pose = within_encoding(context, pose - centre);
  if (std::none_of(pose_of_line.begin(), pose_of_line.end(), rotates))
    return measure_translating(
        context,
        [&](std::int64_t, std::int64_t line) {
          return pose_of_line[static_cast<std::size_t>(line)].translation_mm;
        },
        drawn);
  std::vector<Pose> poses;
  std::vector<std::vector<int>> lines;
  for (std::size_t line = 0; line < pose_of_line.size(); ++line) {
    const auto known = std::find(poses.begin(), poses.end(), pose_of_line[line]);
    const auto which = static_cast<std::size_t>(known - poses.begin());
    if (known == poses.end()) {
      poses.push_back(pose_of_line[line]);
      lines.emplace_back();
    }
    lines[which].push_back(static_cast<int>(line));
  }
  std::vector<State> states;
  for (std::size_t p = 0; p < poses.size(); ++p)
    states.push_back(make_state(context, poses[p], std::move(lines[p])));
  const auto encode = std::make_shared<const kspace::PhaseEncode>(context.lines());
  drawn.apply = [states, encode](Block& block, int threads) {
    measure(block, states, *encode, threads);
  };
}

}  // namespace mr::artifact
