// Which way the main field points, and how strong it is.
#pragma once
#include <array>

#include "artifact/engine.h"

namespace mr::artifact {

/// Unit vector along the stored axes i, j, k: head to foot of the patient, who lies along the bore
/// (row z of the affine; its columns taken as orthogonal). Along k where the affine says nothing.
std::array<double, 3> main_field_direction(const image::Volume& volume);

/// [T], 1.5 where unknown.
double main_field_tesla(const image::Volume& volume);

constexpr double hydrogen_mhz_per_tesla = 42.577478518;  // CODATA 2018

}  // namespace mr::artifact
