// Series that vary from slice to slice, with a memory.
#pragma once
#include <vector>

#include "base/random.h"

namespace mr::artifact {

/// x_0 ~ N(0, std^2), x_z = rho x_(z-1) + sqrt(1 - rho^2) std e_z: of variance std^2 everywhere.
std::vector<double> autoregressive(RandomKey key, std::int64_t n, double rho, double std);

}  // namespace mr::artifact
