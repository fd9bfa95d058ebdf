// Voxels that appear where they are not, since the field was not what the encoding assumed.
#pragma once
#include "artifact/engine.h"

namespace mr::artifact {

/// What leaves one end of a line enters the other, as in k-space; or the receiver's filter takes it
/// away, as it does with frequencies far beyond the field of view.
enum class Ends { wrap, lose };

/// Moves what each voxel holds by its own distance along the line that it lies on, and adds it
/// where it arrives: signals pile up where the displacement shrinks the line and thin out where it
/// stretches it. Every voxel is a box whose edges move by the mean of the two neighbours'
/// distances, and is spread evenly over where its box comes to lie; so the sum along the line
/// stays, also where the order of voxels is turned round.
/// distance  [lines, readout] of a slice, voxels
/// im        may be null
void displace(const Array<float>& distance, Role along, Ends ends, float* re, float* im);

/// A displacement in voxels, slice by slice, whose largest value in the foreground is `peak`: from
/// the map of the field where values["proxy"] is 0, else drawn. Records the field or the bandwidth.
/// throws  DataError naming the artifact when the field is 0 in the whole foreground
std::function<Array<float>(std::int64_t slice)> displacement_by_field(const Context& context,
                                                                      const Values& values,
                                                                      const std::string& artifact,
                                                                      double peak, Record& record);

/// Moves all voxels along one axis by the field, as `drawn.apply`.
Drawn draw_distortion(const Context& context, const Values& values, const std::string& artifact,
                      Role along);

}  // namespace mr::artifact
