// stats/: intervals and tests of contrasts between trained networks, with subjects and training
// runs both as random factors.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mr::stats {

/// The contrast's share in one arm: theta_gj and its influences for each training run j. A
/// combination within the arm (over conditions, labels) is formed per run first; the arm's
/// coefficient c_g is in them already.
struct Arm {
  std::vector<double> values;                   // [J]
  std::vector<std::vector<double>> influences;  // [J][P]
  /// theta_gj at the operating points of resample b of the validation subjects, the same subjects
  /// for all arms and runs; NaN where there is none. Empty: no operating point is in it, or it is
  /// taken as given.
  std::vector<std::vector<double>> resampled = {};  // [J][B]
};

struct Variance {
  double subjects = 0;     // V_S
  double runs = 0;         // V_R
  double validation = 0;   // V_T, of the operating points, over the validation subjects
  double interaction = 0;  // V_SR + V_TR: with runs; V_R contains them, and V_S and V_T theirs
  double total = 0;        // V = V_S + V_T + max(0, V_R - V_SR - V_TR)
  double df = 0;           // Satterthwaite
  double df_given = 0;     // of V - V_T
};

/// Variance of sum_g mean_j theta_gj over subjects, runs and, where operating points were
/// resampled, the subjects that these were chosen on: V_T is the variance over b of sum_g mean_j
/// theta_gjb, V_TR = sum_g sum_j var_b(theta_gjb - mean_j theta_gjb) / (J (J - 1)). An arm with one
/// run adds nothing to V_R and the interaction: the result is then about that trained network only.
/// independent_subjects  I = min(I10, I01), at least 2
/// validation_subjects   likewise of the validation samples; 0 where nothing was resampled
/// throws                DataError on an arm without runs or lengths that differ
/// source                two-way random effects; df after Satterthwaite 1946
Variance contrast_variance(const std::vector<Arm>& arms, std::int64_t independent_subjects,
                           std::int64_t validation_subjects = 0);

enum class Scale {
  logit,      // for one level in [0, 1]
  unbounded,  // for one level of any size
  plain,      // for a difference, with a test of 0
};

/// A level or a difference with all that a table says of it. What is absent has its reason.
struct Estimate {
  std::optional<double> value;
  std::optional<double> low, high;  // 95 % interval
  std::optional<double> p;          // two-sided, of a difference against 0, Student t
  std::optional<double> mde;        // of a difference: minimal detectable at 80 % power, 5 % level
  Variance variance;                // zero where there is no interval
  std::int64_t subjects = 0;        // I; below 10 there is no p value
  std::int64_t runs = 0;            // smallest number of runs per arm
  bool this_network_only = false;   // an arm has one run: says nothing of a training anew
  std::string reason;               // why value, interval or p is absent; "" when all are there
};

inline constexpr std::int64_t fewest_subjects_for_p = 10;

/// Interval, p value and minimal detectable effect of sum_g mean_j theta_gj. The interval of a
/// level between 0 and 1 is on the logit scale; where operating points were resampled, that of V -
/// V_T is, and the percentiles of the resamples are squared and added to it on either side (Zou and
/// Donner 2008), since thresholds of few subjects spread a sensitivity far below it and hardly
/// above. No interval where a level is 0 or 1, all influences are 0, or there are fewer than 2
/// subjects; no p value with fewer than 10 subjects. No interval, too, where more than 5 % of the
/// resamples of the validation subjects give no value.
Estimate estimate(const std::vector<Arm>& arms, std::int64_t independent_subjects, Scale scale,
                  std::int64_t validation_subjects = 0);

}  // namespace mr::stats
