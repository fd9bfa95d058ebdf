// Lossy files: an image that went through 8 bits and a codec and came back.
#pragma once
#include <functional>

#include "artifact/engine.h"
#include "image/jpeg.h"

namespace mr::artifact {

/// Slice by slice, as stored, rows along the axis that is stored first: 0 to the clean image's
/// maximum becomes 0 to 255, rounded half to even and cut, then `codec`, then back.
Drawn through_codec(const Context& context,
                    std::function<image::GreyPixels(const image::GreyPixels&)> codec);

}  // namespace mr::artifact
