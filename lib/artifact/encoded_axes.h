// Weights of k-space that are the same function along every axis that the scan encodes: readout
// and phase encoding, in 3-D also the second phase encoding.
#pragma once
#include "artifact/engine.h"

namespace mr::artifact {

/// weight(k, n), k from -floor(n / 2), for each encoded axis; an axis of one voxel stays as it is.
AxisWeights along_encoded_axes(const Context& context,
                               const std::function<double(double k, double n)>& weight);

}  // namespace mr::artifact
