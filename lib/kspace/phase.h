// Magnitude and phase images as one complex image.
#pragma once
#include <string>

#include "image/volume.h"

namespace mr::kspace {

/// Radians of a phase image's numbers, by the range they fill, as noise does: [-pi, pi] and [0, 2
/// pi] are radians, [-3142, 3142] milliradians (Philips); 12 bits, [0, 4095], are 2 pi, and signed,
/// [-4096, 4095] (Siemens, rescaled), too. throws DataError "NAME: ..." on other ranges, and where
/// less than 9 parts in 10 of one is reached
double radians_per_unit(const image::Volume& phase, const std::string& name);

/// magnitude * exp(i phase). throws DataError where the two differ in shape or the first is complex
image::Volume with_phase(const image::Volume& magnitude, const image::Volume& phase,
                         const std::string& name);

}  // namespace mr::kspace
