// Rigid motion of the patient while k-space is measured line by line; shared by the artifacts that
// differ in how the patient moves.
#pragma once
#include <functional>
#include <vector>

#include "artifact/engine.h"
#include "kspace/shift.h"

namespace mr::artifact {

/// Displacement of the head or knee along, and rotation about, the stored axes i, j, k through the
/// centre of the image (index n / 2 of each axis).
struct Pose {
  kspace::Vector3 translation_mm{}, rotation_deg{};
};
Pose operator+(Pose a, const Pose& b);
Pose operator-(Pose a, const Pose& b);
Pose operator*(double factor, Pose a);
bool operator==(const Pose& a, const Pose& b);
bool operator!=(const Pose& a, const Pose& b);

/// In 2-D the patient moves within the slice: other components become 0.
Pose within_encoding(const Context& context, Pose pose);

/// The passes that bring a block [slice, phase encode, readout] into a pose; none for no motion.
std::vector<kspace::Shear> shears_of(const Context& context, const Pose& pose);

/// What each line measures while the patient is in that line's pose: K = sum over poses of (lines
/// measured in it) F (moved image). Poses count from that of the central line, so that the image
/// does not wander as a whole. Lines of equal pose share their work; poses that only translate are
/// phases of k-space.
/// pose_of_line  [lines]
/// source        Batchelor et al. 2005, Magn Reson Med 54:1273
void measure_moving(const Context& context, std::vector<Pose> pose_of_line, Drawn& drawn);

/// Where line y of slice s was measured [mm along the stored axes]. In 3-D s is always 0:
/// partitions share a line's time.
using Translation = std::function<kspace::Vector3(std::int64_t slice, std::int64_t line)>;

/// The same for a patient who only translates, with a time of its own for every slice. Counts from
/// each slice's central line.
void measure_translating(const Context& context, const Translation& translation_mm, Drawn& drawn);

}  // namespace mr::artifact
