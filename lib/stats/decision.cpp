#include "stats/decision.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "stats/distribution.h"

namespace mr::stats {

std::optional<double> p_above(const Estimate& difference, double bound) {
  const bool same = difference.value && !difference.low && std::abs(*difference.value) < 1e-12 &&
                    difference.subjects >= fewest_subjects_for_p;
  if (same) return bound < 0 ? 0.0 : 1.0;
  if (!difference.p) return {};
  const auto& v = difference.variance;
  return 1 - student_t_cdf((*difference.value - bound) / std::sqrt(v.total), v.df);
}

std::optional<double> p_within(const Estimate& difference, double margin) {
  const auto above = p_above(difference, -margin), from_margin = p_above(difference, margin);
  if (!above) return {};
  return std::max(*above, 1 - *from_margin);
}

double power(double distance, double standard_error, double alpha) {
  if (!(standard_error > 0) || !(alpha > 0 && alpha < 1))
    throw DataError("power: want a standard error above 0 and a level between 0 and 1");
  return normal_cdf(distance / standard_error + normal_quantile(alpha));
}

}  // namespace mr::stats
