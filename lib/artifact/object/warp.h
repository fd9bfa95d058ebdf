// Deformation of the object within its slices.
#pragma once
#include <functional>

#include "artifact/engine.h"

namespace mr::artifact {

/// Displacements of one line [readout], in voxels, along phase encoding and readout.
using Displacement = std::function<void(std::int64_t slice, std::int64_t line, double* along_lines,
                                        double* along_readout)>;

/// Each voxel takes the value that lies at its place plus the displacement. The block becomes
/// complex, since interpolation of a magnitude can overshoot below 0. Beyond the field of view,
/// where nothing is known, its outermost voxels go on: a limb stays a limb, and air stays air.
/// source  Keys 1981, IEEE Trans ASSP 29:1153 (cubic convolution, a = -1/2)
void warp(Block& block, int threads, const Displacement& displacement);

}  // namespace mr::artifact
