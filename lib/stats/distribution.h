// stats/: the distributions that tests and intervals need.
#pragma once

namespace mr::stats {

double normal_cdf(double z);
double normal_quantile(double p);  // 0 < p < 1, else DataError

/// Student's t; df > 0 and not necessarily whole, else DataError.
double student_t_cdf(double t, double df);
double student_t_quantile(double p, double df);
double two_sided_p(double t, double df);  // P(|T| >= |t|)

/// P(X >= x) of chi squared and of Fisher's F, x >= 0; degrees of freedom above 0, else DataError.
double chi2_upper(double x, double df);
double f_upper(double x, double df1, double df2);

}  // namespace mr::stats
