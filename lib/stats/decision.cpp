#include "stats/decision.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "stats/distribution.h"

namespace mr::stats {
namespace {

constexpr double most_times = 1e6;  // as many: beyond any study

/// What a study a times as large in subjects and b times in runs would find with 80 % power.
double detectable(const Estimate& now, double a, double b, double alpha) {
  const auto& v = now.variance;
  const auto i = static_cast<double>(now.subjects), j = static_cast<double>(now.runs);
  const double both = v.interaction / (a * b);
  const double subjects = std::max(0.0, v.subjects - v.interaction) / a + both;
  const double runs = std::max(0.0, v.runs - v.interaction) / b + both;
  const double total = subjects + runs - both;
  // Satterthwaite's sum: the subjects' part, and what is left of it now for the runs.
  double over_df = subjects * subjects / (a * i - 1);
  if (v.runs > 0) {
    const double left = v.total * v.total / v.df - v.subjects * v.subjects / (i - 1);
    // With one run in an arm the others' runs are all there is: their freedom is not known to grow.
    const double scarcer = j > 1 ? (j - 1) / (b * j - 1) : 1;
    over_df += std::max(0.0, left) * std::pow(runs / v.runs, 2) * scarcer;
  }
  const double df = total * total / over_df;
  return (student_t_quantile(1 - alpha, df) + student_t_quantile(0.80, df)) * std::sqrt(total);
}

/// The fewest, from `now` on, of which this holds; it holds for all larger ones.
template <typename Holds>
std::optional<std::int64_t> fewest(std::int64_t now, const Holds& holds) {
  if (holds(now)) return now;
  std::int64_t low = now, high = now;
  do {
    low = high;
    high *= 2;
    if (static_cast<double>(high) > most_times * static_cast<double>(now)) return {};
  } while (!holds(high));
  while (high - low > 1) {
    const auto middle = low + (high - low) / 2;
    (holds(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace

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

MoreData more_data(const Estimate& difference, std::int64_t subjects, double margin, double alpha) {
  if (!(difference.variance.total > 0))
    throw DataError("more data: want a difference with a variance");
  const auto times = [](std::int64_t then, std::int64_t now) {
    return static_cast<double>(then) / static_cast<double>(now);
  };
  MoreData more;
  more.subjects = fewest(subjects, [&](std::int64_t p) {
    return detectable(difference, times(p, subjects), 1, alpha) <= margin;
  });
  more.runs = fewest(difference.runs, [&](std::int64_t j) {
    return detectable(difference, 1, times(j, difference.runs), alpha) <= margin;
  });
  return more;
}

}  // namespace mr::stats
