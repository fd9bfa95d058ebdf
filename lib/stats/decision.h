// stats/: one-sided tests against a margin, and the power that a plan has. Student t on the
// standard error and degrees of freedom of a contrast; none of them where the contrast has no p
// value.
#pragma once
#include "stats/contrast.h"

namespace mr::stats {

/// P value of the hypothesis that the difference is at most `bound`. Bound −margin:
/// non-inferiority; 0: superiority.
std::optional<double> p_above(const Estimate& difference, double bound);

/// P value of the hypothesis that |difference| is at least `margin`: two one-sided tests
/// (Schuirmann 1987).
std::optional<double> p_within(const Estimate& difference, double margin);

/// Probability that a one-sided test at level alpha rejects, when the truth lies `distance` beyond
/// its bound and the estimate has this standard error (normal).
/// throws  DataError unless standard_error > 0 and 0 < alpha < 1
double power(double distance, double standard_error, double alpha);

}  // namespace mr::stats
