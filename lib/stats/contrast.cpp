#include "stats/contrast.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "stats/bootstrap.h"
#include "stats/distribution.h"

namespace mr::stats {
namespace {

constexpr double rounding_variance = 1e-20;  // of influences that cancel

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::size_t resamples(const std::vector<Arm>& arms) {
  for (const auto& arm : arms)
    if (!arm.resampled.empty()) return arm.resampled[0].size();
  return 0;
}

void check(const std::vector<Arm>& arms) {
  if (arms.empty() || arms[0].influences.empty()) throw DataError("contrast: no runs");
  for (const auto& arm : arms) {
    if (arm.values.empty() || arm.values.size() != arm.influences.size())
      throw DataError("contrast: " + std::to_string(arm.values.size()) + " values and " +
                      std::to_string(arm.influences.size()) + " influence vectors in one arm");
    for (const auto& influence : arm.influences)
      if (influence.size() != arms[0].influences[0].size())
        throw DataError("contrast: influences of " + std::to_string(influence.size()) +
                        " subjects beside " + std::to_string(arms[0].influences[0].size()));
    if (!arm.resampled.empty() && arm.resampled.size() != arm.values.size())
      throw DataError("contrast: resamples of " + std::to_string(arm.resampled.size()) +
                      " runs beside " + std::to_string(arm.values.size()));
    for (const auto& run : arm.resampled)
      if (run.size() != resamples(arms))
        throw DataError("contrast: " + std::to_string(run.size()) + " resamples beside " +
                        std::to_string(resamples(arms)));
  }
}

/// Ubar_gp [P] of one arm.
std::vector<double> mean_influence(const Arm& arm) {
  std::vector<double> sum(arm.influences[0].size());
  for (const auto& influence : arm.influences)
    for (std::size_t p = 0; p < sum.size(); ++p) sum[p] += influence[p];
  for (double& value : sum) value /= static_cast<double>(arm.influences.size());
  return sum;
}

double variance_of(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  double sum = 0;
  const double centre = mean(values);
  for (const double value : values) sum += (value - centre) * (value - centre);
  return sum / static_cast<double>(values.size() - 1);
}

/// What resampled operating points make of a contrast.
struct Resampled {
  std::size_t drawn = 0;         // B; 0 where nothing was resampled
  std::vector<double> contrast;  // in each of those in which every run of every arm has a value
  double variance_by_runs = 0;   // V_TR
};

Resampled resampled_of(const std::vector<Arm>& arms) {
  Resampled all;
  all.drawn = resamples(arms);
  std::vector<std::size_t> whole;
  for (std::size_t b = 0; b < all.drawn; ++b) {
    bool every = true;
    for (const auto& arm : arms)
      for (const auto& run : arm.resampled) every = every && !std::isnan(run[b]);
    if (every) whole.push_back(b);
  }
  all.contrast.resize(whole.size());
  for (const auto& arm : arms) {
    const auto runs = static_cast<double>(arm.resampled.size());
    std::vector<double> bar(whole.size(), arm.resampled.empty() ? mean(arm.values) : 0);
    for (const auto& run : arm.resampled)
      for (std::size_t k = 0; k < whole.size(); ++k) bar[k] += run[whole[k]] / runs;
    for (std::size_t k = 0; k < whole.size(); ++k) all.contrast[k] += bar[k];
    if (arm.resampled.size() < 2) continue;
    for (const auto& run : arm.resampled) {
      std::vector<double> from_bar(whole.size());
      for (std::size_t k = 0; k < whole.size(); ++k) from_bar[k] = run[whole[k]] - bar[k];
      all.variance_by_runs += variance_of(from_bar) / (runs * (runs - 1));
    }
  }
  return all;
}

struct Interval {
  double low, high;
};

Interval logit_interval(double v, double half_width) {
  const double logit = std::log(v / (1 - v)), half = half_width / (v * (1 - v));
  return {1 / (1 + std::exp(half - logit)), 1 / (1 + std::exp(-half - logit))};
}

/// Of a level at operating points: the interval over test subjects and runs on the logit scale, and
/// the percentiles over resampled validation subjects, squared and added on either side (Zou and
/// Donner 2008, eq. 2, of a sum of two independent parts).
Interval combined_interval(double v, const Variance& variance, std::vector<double> resampled) {
  std::sort(resampled.begin(), resampled.end());
  const double given = variance.total - variance.validation;
  Interval of_test{v, v};  // where all that varies is the operating point
  if (given > rounding_variance)
    of_test = logit_interval(v, student_t_quantile(0.975, variance.df_given) * std::sqrt(given));
  const double low = std::min(v, quantile(resampled, 0.025));
  const double high = std::max(v, quantile(resampled, 0.975));
  return {std::max(0.0, v - std::hypot(v - of_test.low, v - low)),
          std::min(1.0, v + std::hypot(of_test.high - v, high - v))};
}

void set_interval(Estimate& e, Scale scale, const std::vector<double>& resampled) {
  const double v = *e.value;
  const double half = student_t_quantile(0.975, e.variance.df) * std::sqrt(e.variance.total);
  Interval interval{v - half, v + half};
  if (scale == Scale::logit)
    interval =
        resampled.empty() ? logit_interval(v, half) : combined_interval(v, e.variance, resampled);
  e.low = interval.low;
  e.high = interval.high;
}

Variance variance_with(const Resampled& resampled, const std::vector<Arm>& arms,
                       std::int64_t independent_subjects, std::int64_t validation_subjects) {
  if (independent_subjects < 2)
    throw DataError("contrast: want at least 2 subjects, got " +
                    std::to_string(independent_subjects));
  Variance v;
  std::vector<double> of_subject(arms[0].influences[0].size());
  double runs_over_df = 0;
  auto smallest_df = static_cast<double>(independent_subjects - 1);
  for (const auto& arm : arms) {
    const auto bar = mean_influence(arm);
    for (std::size_t p = 0; p < bar.size(); ++p) of_subject[p] += bar[p];
    const auto runs = static_cast<double>(arm.values.size());
    if (arm.values.size() < 2) continue;
    double spread = 0, interaction = 0;
    for (const double value : arm.values) spread += std::pow(value - mean(arm.values), 2);
    for (const auto& influence : arm.influences)
      for (std::size_t p = 0; p < bar.size(); ++p)
        interaction += std::pow(influence[p] - bar[p], 2);
    const double of_runs = spread / (runs - 1) / runs;
    v.runs += of_runs;
    v.interaction += interaction / (runs * (runs - 1));
    runs_over_df += of_runs * of_runs / (runs - 1);
    if (of_runs > 0) smallest_df = std::min(smallest_df, runs - 1);
  }
  for (const double u : of_subject) v.subjects += u * u;
  double over_df =
      v.subjects * v.subjects / static_cast<double>(independent_subjects - 1) + runs_over_df;
  v.validation = variance_of(resampled.contrast);
  v.interaction += resampled.variance_by_runs;
  const double given = v.subjects + std::max(0.0, v.runs - v.interaction);
  if (over_df > 0) v.df_given = std::max(smallest_df, given * given / over_df);
  if (v.validation > 0) {
    const auto df = static_cast<double>(std::max<std::int64_t>(1, validation_subjects - 1));
    over_df += v.validation * v.validation / df;
    smallest_df = std::min(smallest_df, df);
  }
  v.total = given + v.validation;
  // V is less than the sum of its parts by the interaction, which can push the ratio below what the
  // weakest part alone would have: that is the least that Satterthwaite's df can be.
  if (over_df > 0) v.df = std::max(smallest_df, v.total * v.total / over_df);
  return v;
}

}  // namespace

Variance contrast_variance(const std::vector<Arm>& arms, std::int64_t independent_subjects,
                           std::int64_t validation_subjects) {
  check(arms);
  return variance_with(resampled_of(arms), arms, independent_subjects, validation_subjects);
}

Estimate estimate(const std::vector<Arm>& arms, std::int64_t independent_subjects, Scale scale,
                  std::int64_t validation_subjects) {
  check(arms);
  Estimate e;
  e.subjects = independent_subjects;
  e.value = 0;
  e.runs = static_cast<std::int64_t>(arms[0].values.size());
  for (const auto& arm : arms) {
    *e.value += mean(arm.values);
    e.runs = std::min(e.runs, static_cast<std::int64_t>(arm.values.size()));
  }
  e.this_network_only = e.runs == 1;
  if (independent_subjects < 2) {
    e.reason = std::to_string(independent_subjects) + " independent subjects: no interval";
    return e;
  }
  const auto resampled = resampled_of(arms);
  const auto drawn = resampled.drawn, whole = resampled.contrast.size();
  if (static_cast<double>(drawn - whole) > 0.05 * static_cast<double>(drawn)) {
    e.reason = std::to_string(drawn - whole) + " of " + std::to_string(drawn) +
               " resamples of the validation subjects give no value: no interval";
    return e;
  }
  const auto variance = variance_with(resampled, arms, independent_subjects, validation_subjects);
  if (scale == Scale::logit && !(*e.value > 0 && *e.value < 1))
    e.reason = "the estimate is at its limit: no interval";
  else if (!(variance.total > rounding_variance))
    e.reason = "no variation between subjects: no interval";
  if (!e.reason.empty()) return e;
  e.variance = variance;
  set_interval(e, scale, resampled.contrast);
  if (scale != Scale::plain) return e;
  const double se = std::sqrt(variance.total);
  e.mde = se * (student_t_quantile(0.975, variance.df) + student_t_quantile(0.80, variance.df));
  if (independent_subjects < fewest_subjects_for_p)
    e.reason = "fewer than 10 subjects (" + std::to_string(independent_subjects) + "): no p value";
  else
    e.p = two_sided_p(*e.value / se, variance.df);
  return e;
}

}  // namespace mr::stats
