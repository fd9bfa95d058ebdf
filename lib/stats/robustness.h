// stats/: published summaries of a degradation curve. Ratios hang on the baseline; the absolute
// change comes first in every table. Performance P is AUROC or balanced accuracy, error E = 1 - P.
#pragma once
#include <vector>

#include "stats/roc.h"

namespace mr::stats {

/// Performance of one arm under one artifact (means over runs).
struct Curve {
  double clean = 0;
  std::vector<double> at_severity;  // severities 1 .. S, S >= 1
};

// All throw DataError on an empty curve or on two curves of different length. A ratio whose
// denominator is not above 1e-6 has no value, and says why.

/// sum_s E / sum_s E_baseline (Hendrycks and Dietterich 2019, eq. 1); a mean over artifacts is mCE.
Value corruption_error(const Curve& arm, const Curve& baseline);

/// sum_s (E - E_clean) / sum_s (E_baseline - E_baseline,clean) (same, section 4).
Value relative_corruption_error(const Curve& arm, const Curve& baseline);

/// Severity-weighted mean of P, w_s = (2/3)^s, clean with weight 1 (Boone et al. 2023, ROOD-MRI).
double rood_overall(const Curve& arm);

/// sum_s w_s (P_clean - P_s) / sum_s w_s (same).
double rood_degradation(const Curve& arm);

/// Area under P over severity 0 .. S by trapezoids, divided by S.
double area_under_curve(const Curve& arm);

/// Share of what was above chance that is kept: (mean_s P - 0.5) / (P_clean - 0.5).
Value retention(const Curve& arm);

/// Mean of the values that are defined; the reason states "n of m defined" where some are not.
Value mean_of_defined(const std::vector<Value>& values);

}  // namespace mr::stats
