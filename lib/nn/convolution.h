// Convolutions of this library's own in LibTorch's place.
#pragma once

namespace mr::nn {

/// From now on this process computes the 3x3 convolutions on a CPU that suits_winograd() as
/// winograd.h does, in networks of whatever origin; all others as before. To be called once or
/// more, by one thread.
void use_winograd();

}  // namespace mr::nn
