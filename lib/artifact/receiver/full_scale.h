// The receiver's full scale: what its gain is set to before a scan.
#pragma once
#include <vector>

#include "artifact/engine.h"

namespace mr::artifact {

/// Largest |Re| or |Im| of a sample of the clean frame's k-space: of each slice in 2-D, one number
/// in 3-D. A fact of the image as it was given: where no voxel is negative or complex it is the
/// sample at zero frequency, sum / sqrt(N), and needs no transform.
std::vector<double> kspace_maxima(const Context& context);

/// One gain for the whole scan, which the pre-scan sets by the strongest signal that will come: in
/// 2-D too, all slices of a scan share it, so that those at the ends of a stack use less of the
/// range than its middle.
/// source  McRobbie et al. 2017, MRI from Picture to Proton, 3rd ed. (pre-scan: receiver gain)
double full_scale(const std::vector<double>& maxima);

}  // namespace mr::artifact
