#include "stats/proportion.h"

#include <cmath>

#include "base/error.h"
#include "stats/distribution.h"

namespace mr::stats {

Bounds wilson(double share, double samples) {
  if (!(samples > 0) || !(share >= 0 && share <= 1))
    throw DataError("share: want 0 to 1 of at least one sample");
  const double z = normal_quantile(0.975), spread = z * z / samples;
  const double middle = (share + 0.5 * spread) / (1 + spread);
  const double half =
      z * std::sqrt(share * (1 - share) / samples + 0.25 * spread / samples) / (1 + spread);
  return {share == 0 ? 0 : middle - half, share == 1 ? 1 : middle + half};
}

}  // namespace mr::stats
