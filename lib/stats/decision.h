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

/// How large a study would be large enough.
struct MoreData {
  std::optional<std::int64_t> subjects;  // at the same runs; none: no number of them is enough
  std::optional<std::int64_t> runs;      // per arm, at the same subjects; likewise
};

/// The fewest subjects, or runs, at which (t_1-alpha + t_.80) sqrt(V) is at most `margin`: a
/// one-sided test at level alpha then finds a difference of the margin (or shows one of 0 to be
/// within it) with 80 % power. Of P' = a P subjects and J' = b J runs, V = (V_S - V_SR)+ / a +
/// (V_R - V_SR)+ / b + V_SR / (a b), with degrees of freedom that follow. Never asks how large the
/// observed difference is. Not fewer than now.
/// subjects  P, as they are counted
/// throws    DataError where the difference has no variance
/// source    variance components: Brennan 2001, chapter 4 (the D study)
MoreData more_data(const Estimate& difference, std::int64_t subjects, double margin, double alpha);

}  // namespace mr::stats
