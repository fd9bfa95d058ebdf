// White Gaussian noise of a receiver, which several artifacts add.
#pragma once
#include <cstdint>

#include "base/random.h"

namespace mr::artifact {

/// Adds independent noise of standard deviation sigma to both parts of a slice of n voxels, numbers
/// that belong to (key, slice). im null: to the real part alone.
void add_white_noise(RandomKey key, std::int64_t slice, double sigma, std::int64_t n, float* re,
                     float* im);

}  // namespace mr::artifact
