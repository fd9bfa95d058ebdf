// Slices of a 2-D scan that come out brighter or darker than they should, each as a whole.
#pragma once
#include <string>
#include <vector>

#include "artifact/engine.h"

namespace mr::artifact {

/// throws DataError "NAME: ..." in 3-D encoding, which excites no single slices
void require_slices(const Context& context, const std::string& artifact);

/// Multiplies slice s by factors[s], recorded as "factors"; a factor of 1 leaves its bits.
Drawn scale_slices(std::vector<double> factors);

}  // namespace mr::artifact
