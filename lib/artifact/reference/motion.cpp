#include <algorithm>
#include <cmath>

#include "artifact/reference/ref.h"
#include "kspace/lines.h"

namespace mr::artifact {
namespace {

/// Linear interpolation at (row, column); outside the slice's voxels, the fill value. The first and
/// last half voxel repeat the edge, as ITK does.
float sample(const ref::Slice& slice, const std::vector<float>& voxels, double row, double column,
             float fill) {
  const auto inside = [](double x, std::int64_t n) {
    return x >= -0.5 && x < static_cast<double>(n) - 0.5;
  };
  if (!inside(row, slice.rows) || !inside(column, slice.columns)) return fill;
  const double r0 = std::floor(row), c0 = std::floor(column);
  const auto at = [&](double r, double c) {
    const auto y = std::clamp<std::int64_t>(static_cast<std::int64_t>(r), 0, slice.rows - 1);
    const auto x = std::clamp<std::int64_t>(static_cast<std::int64_t>(c), 0, slice.columns - 1);
    return static_cast<double>(voxels[static_cast<std::size_t>(y * slice.columns + x)]);
  };
  const double v = row - r0, u = column - c0;
  return static_cast<float>((1 - v) * ((1 - u) * at(r0, c0) + u * at(r0, c0 + 1)) +
                            v * ((1 - u) * at(r0 + 1, c0) + u * at(r0 + 1, c0 + 1)));
}

using Voxels = std::vector<float>;

/// Rotation about the voxel (row, column), then a shift [voxel].
struct Pose {
  double angle, shift_row, shift_column, centre_row, centre_column;
};

Pose draw_pose(RandomKey key, double percent) {
  return {uniform(key, 0, -5, 5) * percent * 3.14159265358979323846 / 180,
          uniform(key, 1, -2, 2) * percent, uniform(key, 2, -2, 2) * percent, 0, 0};
}

/// Outside of the slice stands its least value.
Voxels moved(const ref::Slice& slice, const Pose& pose) {
  const Voxels voxels(slice.voxels, slice.voxels + slice.size());
  const float fill = *std::min_element(voxels.begin(), voxels.end());
  const double c = std::cos(pose.angle), s = std::sin(pose.angle);
  Voxels out(voxels.size());
  for (std::int64_t y = 0; y < slice.rows; ++y)
    for (std::int64_t x = 0; x < slice.columns; ++x) {
      const double row = static_cast<double>(y) - pose.centre_row,
                   column = static_cast<double>(x) - pose.centre_column;
      out[static_cast<std::size_t>(y * slice.columns + x)] =
          sample(slice, voxels, c * row - s * column + pose.centre_row + pose.shift_row,
                 s * row + c * column + pose.centre_column + pose.shift_column, fill);
    }
  return out;
}

/// One pose for the whole slice: TorchIO splits k-space along the last stored axis, which has
/// length 1 here, so every line comes from the last pose and there is no motion artifact. It also
/// loses the centre of rotation, which is the first voxel, and a tensor without an affine has 1 mm
/// voxels.
void as_published(ref::Slice slice, RandomKey key, double percent) {
  const auto out = moved(slice, draw_pose(key, percent));
  std::copy(out.begin(), out.end(), slice.voxels);
}

/// What that transform is for: lines of k-space of the moved image, of the image, and of an image
/// moved otherwise, one third each but for a jitter, so that the centre is of the image as it was.
void as_intended(ref::Slice slice, RandomKey key, double percent) {
  const auto n = slice.rows;
  const kspace::PhaseEncode encode(n);
  Voxels re(static_cast<std::size_t>(slice.size())), im(re.size());
  std::int64_t first = 0;
  for (std::uint64_t part = 0; part < 3; ++part) {
    const double end =
        part == 2 ? 1 : (static_cast<double>(part + 1) + uniform(key, part, -0.3, 0.3)) / 3;
    const auto last = static_cast<std::int64_t>(end * static_cast<double>(n));
    std::vector<int> lines;
    for (; first < last; ++first) lines.push_back(static_cast<int>(first));
    auto pose = draw_pose(sub_key(key, part), part == 1 ? 0 : percent);
    pose.centre_row = static_cast<double>(slice.rows) / 2;
    pose.centre_column = static_cast<double>(slice.columns) / 2;
    const auto image =
        part == 1 ? Voxels(slice.voxels, slice.voxels + slice.size()) : moved(slice, pose);
    encode.forward(image.data(), nullptr, slice.columns, slice.columns, lines, re.data(),
                   im.data());
  }
  encode.inverse(re.data(), im.data(), slice.columns, slice.columns);
  std::copy(re.begin(), re.end(), slice.voxels);
}

Drawn draw(const Context& context, const Values& values) {
  return ref::per_slice(context, values, values.at("merged") != 0 ? as_intended : as_published);
}

}  // namespace

Artifact ref_motion() {
  auto row = ref::row("motion",
                      "As published: each slice moved as a whole, up to 5 N degrees and 2 N voxels",
                      "TorchIO 0.18 RandomMotion(degrees=5N, translation=2N)", Stage::encoding);
  row.parameters.push_back({"merged",
                            "1",
                            "1: k-space of the slice and of two poses merged, as was intended",
                            0,
                            1,
                            {0, 0, 0, 0, 0},
                            0});
  return {std::move(row), ref::acts, draw, false};
}

}  // namespace mr::artifact
