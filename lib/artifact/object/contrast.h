// Changes of contrast through tissue maps: what the spin-echo signal of each tissue would have
// been.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "artifact/engine.h"
#include "artifact/object/smooth_field.h"
#include "artifact/tissue.h"

namespace mr::artifact {

/// One number a tissue.
using PerTissue = std::array<double, tissue_count>;

/// A time [ms] or angle [deg] of the acquisition: the parameter `name` where it is not 0, else what
/// the header or manifest says. throws DataError "ARTIFACT: ... unknown: give ..."
double time_of(const char* artifact, const char* name, const Values& values,
               const std::optional<double>& stated);

/// The table at the image's field, the parameter field_t or what the header or manifest says.
/// throws DataError unless it is 1.5 or 3 T to 10 %
std::array<Relaxation, tissue_count> relaxation_of(const char* artifact, const Context& context,
                                                   const Values& values);

/// throws DataError where a voxel of the map is not the index of a tissue
MapSlices tissue_slices(const char* artifact, const Context& context);

/// out = the number of each of n voxels' tissues.
void look_up(const float* tissue, const PerTissue& numbers, std::int64_t n, float* out);

/// Multiplies each voxel by its tissue's factor.
void scale_by_tissue(const MapSlices& tissues, const PerTissue& factors, Block& block, int threads);

/// A parameter that is 0 where the header or manifest says it.
Parameter stated(const char* name, const char* unit, const std::string& description, double high);

/// {name: number} for all tissues, as recorded.
Record by_name(const PerTissue& numbers);

}  // namespace mr::artifact
