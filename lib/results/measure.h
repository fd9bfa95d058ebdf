// results/: from the scores of one model under one condition to its metrics and influences.
#pragma once
#include "results/evaluation.h"
#include "stats/contrast.h"
#include "stats/influence.h"

namespace mr::results {

/// Of one label, over all samples.
stats::Counts count(const Samples& samples, std::size_t label);

/// One label of scores [L x N], with its truth or another one (that of a subgroup).
stats::Cases cases_of(const Samples& samples, const std::vector<float>& scores, std::size_t label,
                      const std::vector<std::int8_t>& truth);

/// Every metric with its influences, from the scores, the truth and the model's operating points.
/// prevalence  for the predictive values; none: that of the samples
/// returns  [L], each with one Linearized per stats::all_metrics, in that order
/// throws   DataError on a NaN score, or lengths that disagree with the header
std::vector<std::vector<stats::Linearized>> linearize(const Header& header, const Result& result,
                                                      std::optional<double> prevalence = {});

/// One metric of one label with its influences, with another truth (that of a subgroup) or at
/// another threshold.
/// truth  [N]
stats::Linearized linearize(stats::Metric metric, const Header& header, const Result& result,
                            std::size_t label, const std::vector<std::int8_t>& truth,
                            const stats::OperatingPoint& at = {});

/// Mean of the labels' AUROC, of those that have one, with its influences.
stats::Linearized macro_auroc(const Header& header, const Result& result);

/// Operating points by the rule of the model's training (info.operating_points), which its scores
/// [L x V] on validation samples give.
/// throws  DataError where the model does not say its rule
std::vector<std::optional<double>> choose_thresholds(const Model& model, const Samples& validation,
                                                     const std::vector<float>& scores);

inline constexpr std::size_t validation_resamples = 1000;

/// The same on resamples of the validation subjects, drawn with replacement; the same subjects for
/// all models of one validation set. [L][validation_resamples], NaN where a class is absent.
/// throws  as choose_thresholds
std::vector<std::vector<double>> resample_thresholds(const Model& model, const Samples& validation,
                                                     const std::vector<float>& scores);

/// Of one model under one condition: its interval by subjects, or why there is none.
stats::Estimate estimate(const stats::Linearized& metric, stats::Scale scale);

/// {"value", "low", "high"}, null where undefined; "reason" only where something is.
Json interval_json(const stats::Estimate& estimate);

/// Fills result.influence (that of the AUROC) and result.metrics from result.scores:
/// metrics[label] = {"positives", "negatives", "positive_subjects", "negative_subjects",
/// "threshold", and each metric by name: {"value", "low", "high", "reason"}}; null where undefined,
/// "reason" only where something is.
void measure(const Header& header, Result& result);

}  // namespace mr::results
