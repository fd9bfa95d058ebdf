// stats/: intervals of a share.
#pragma once

namespace mr::stats {

struct Bounds {
  double low = 0, high = 1;
};

/// 95 % interval of a share of independent samples (Wilson 1927).
/// share    0 to 1
/// samples  above 0; not a whole number where it is an effective one
/// throws   DataError otherwise
Bounds wilson(double share, double samples);

}  // namespace mr::stats
