#include "stats/distribution.h"

#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/fisher_f.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace mr::stats {
namespace {

// A report asks a hundred thousand times; double has all the digits that are printed.
using Double = boost::math::policies::policy<boost::math::policies::promote_double<false>>;
using Normal = boost::math::normal_distribution<double, Double>;
using StudentT = boost::math::students_t_distribution<double, Double>;

void check_probability(double p) {
  if (!(p > 0 && p < 1)) throw DataError("quantile: want 0 < p < 1, got " + shortest(p));
}

double checked(double df) {
  if (!(df > 0)) throw DataError("distribution: want df > 0, got " + shortest(df));
  return df;
}

StudentT student_t(double df) {
  return StudentT(checked(df));
}

}  // namespace

double normal_cdf(double z) {
  return boost::math::cdf(Normal(), z);
}

double normal_quantile(double p) {
  check_probability(p);
  return boost::math::quantile(Normal(), p);
}

double student_t_cdf(double t, double df) {
  return boost::math::cdf(student_t(df), t);
}

double student_t_quantile(double p, double df) {
  check_probability(p);
  return boost::math::quantile(student_t(df), p);
}

double two_sided_p(double t, double df) {
  return 2 * boost::math::cdf(student_t(df), -std::fabs(t));  // the lower tail keeps its digits
}

double chi2_upper(double x, double df) {
  const boost::math::chi_squared_distribution<double, Double> chi2(checked(df));
  return boost::math::cdf(boost::math::complement(chi2, x));
}

double f_upper(double x, double df1, double df2) {
  const boost::math::fisher_f_distribution<double, Double> f(checked(df1), checked(df2));
  return boost::math::cdf(boost::math::complement(f, x));
}

}  // namespace mr::stats
