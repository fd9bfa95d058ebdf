// stats/: the two distributions that tests and intervals need.
#pragma once

namespace mr::stats {

double normal_cdf(double z);
double normal_quantile(double p);  // 0 < p < 1, else DataError

/// Student's t; df > 0 and not necessarily whole, else DataError.
double student_t_cdf(double t, double df);
double student_t_quantile(double p, double df);
double two_sided_p(double t, double df);  // P(|T| >= |t|)

}  // namespace mr::stats
