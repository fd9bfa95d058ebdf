// Convolutions of this library's own in LibTorch's place.
#pragma once

namespace mr::nn {

/// From now on this process computes the convolutions on a CPU that suits_winograd() as winograd.h
/// does, in networks of whatever origin, and their gradients; all others as before. May be called
/// again.
void use_winograd();

}  // namespace mr::nn
