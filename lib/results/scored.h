// results/: what is asked of scores: whether two single networks may be exchanged, calibration in
// bins, and decision curves. On clean images, under each artifact's highest severity together, and
// under conditions that are no artifact at a severity.
#pragma once
#include "results/contrasts.h"
#include "stats/permutation.h"
#include "stats/reliability.h"

namespace mr::results {

/// Conditions of which a mean is taken.
struct Images {
  std::string name;  // "clean", "highest severity", that of a recipe (no control) or given images
  std::vector<Condition> conditions;
};
std::vector<Images> scored_images(const Study& study);

inline constexpr std::int64_t calibration_replicates = 1000;

/// Of one arm and label. Numbers are means over runs and conditions; the bins hold the samples of
/// all of them.
struct BinnedCalibration {
  std::string arm, images;
  std::size_t label = 0;
  stats::Estimate
      error;  // ECE, equal width; interval by resampled subjects. A reason holds for all
  std::optional<double> equal_mass_error;
  std::optional<double> reliability, resolution, uncertainty,
      within_bins;               // parts of the Brier score
  std::vector<stats::Bin> bins;  // equal width
};
std::vector<BinnedCalibration> binned_calibrations(const Study& study);

struct DecisionCurve {
  struct Point {
    double probability;
    stats::Estimate net_benefit;  // over subjects and runs
    double of_all;                // of calling every sample positive
  };
  std::string arm, images;
  std::size_t label = 0;
  std::vector<Point> points;  // at decision_probabilities; none where there is a reason
  std::string reason;
};
inline constexpr double decision_probabilities[] = {.01, .02, .05, .1, .15, .2,
                                                    .25, .3,  .35, .4, .45, .5};
std::vector<DecisionCurve> decision_curves(const Study& study);

/// Of an arm and the baseline, which both have one run: macro over labels and conditions.
struct Exchange {
  std::string arm, images;
  stats::Permutation test;
};
inline constexpr std::int64_t most_exchanges = 2000;

/// Empty where the baseline has several runs, as for arms that have.
std::vector<Exchange> exchanges(const Study& study, const std::string& baseline);

/// What is taken for a sign of an artifact. doubt: mean over labels of the entropy of the stated
/// probability (Hendrycks and Gimpel 2017). distance: that of the statistics in batch norms from
/// those of training (Study::distances).
enum class Sign { doubt, distance };
const char* name(Sign sign);  // "doubt", "distance"

/// How well one arm's sign tells an artifact's samples, at its highest severity, from clean ones.
struct Detection {
  std::string arm, artifact;
  Sign sign = Sign::doubt;
  stats::Estimate auroc;                      // over subjects and runs; a reason holds for both
  std::optional<double> false_positive_rate;  // share of clean samples flagged where 95 % of the
                                              // artifact's are; mean over runs
};
inline constexpr double detected_share = 0.95;
/// By distance where it was measured.
std::vector<Detection> detections(const Study& study);

}  // namespace mr::results
