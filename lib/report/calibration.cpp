// Do the stated probabilities hold, on clean and on corrupted images?
#include "base/json.h"
#include "report/curves.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

const std::vector<ShownMetric> metrics = {
    {Metric::brier, "Brier score", {}},
    {Metric::log_loss, "log loss", {}},
    {Metric::calibration_in_the_large, "calibration in the large", 0.0},
    {Metric::calibration_slope, "calibration slope", 1.0}};

Table calibration_table(const Scope& scope) {
  return metric_table(scope, metrics, "Calibration, by label", "With 95 % interval, pointwise.");
}

FigureGroup calibration_figures(const Scope& scope) {
  FigureGroup group;
  group.title = "Calibration over severity";
  group.caption =
      "Mean over labels and artifacts. Ribbons: pointwise 95 % intervals; thin lines: single runs; "
      "dotted: a calibrated model.";
  group.figures = metric_figures(scope, metrics, "");
  group.numbers = calibration_table(scope);
  group.numbers_shown = false;
  return group;
}

Cell level_or_none(const std::optional<double>& value, const std::string& reason) {
  return value ? Cell{level(*value)} : Cell{no_number, reason};
}

Table binned_table(const Scope& scope) {
  Table table;
  table.title = "Calibration in bins, by label";
  table.caption =
      "Means over runs, and of the highest severity over artifacts. ECE: mean distance between the "
      "stated probability and the share of positives, over 15 bins of equal width (with 95 % "
      "percentile interval of " +
      std::to_string(results::calibration_replicates) +
      " resamples of the subjects) and over 15 bins of equal numbers; chance alone lifts it above "
      "0, the more so in small studies, and its interval with it. The Brier score is reliability "
      "− resolution + uncertainty + within bins (Murphy 1973; Stephenson et al. 2008). The bins "
      "are in report.json.";
  table.columns = {"Label",       "Images",     "Arm",         "ECE",        "ECE, equal numbers",
                   "Reliability", "Resolution", "Uncertainty", "Within bins"};
  table.heads = 3;
  for (const auto& c : scope.calibrations)
    table.rows.push_back({{scope.study.labels()[c.label]},
                          {c.images},
                          {arm_name(c.arm)},
                          level_cell(c.error),
                          level_or_none(c.equal_mass_error, c.error.reason),
                          level_or_none(c.reliability, c.error.reason),
                          level_or_none(c.resolution, c.error.reason),
                          level_or_none(c.uncertainty, c.error.reason),
                          level_or_none(c.within_bins, c.error.reason)});
  return table;
}

Curves::Series reliability_series(const Scope& scope, const results::BinnedCalibration& c) {
  Curves::Series series{arm_name(c.arm), scope.style(c.arm), {}, {}};
  for (const auto& bin : c.bins) {
    auto& point = series.points.emplace_back();
    point.x = bin.probability;
    point.value = bin.positives;
    point.low = bin.low;
    point.high = bin.high;
  }
  if (!c.bins.empty())
    series.alt = series.name + ": " + level(c.bins.front().positives) + " at " +
                 level(c.bins.front().probability) + ", " + level(c.bins.back().positives) +
                 " at " + level(c.bins.back().probability) + ".";
  return series;
}

FigureGroup reliability_figures(const Scope& scope) {
  FigureGroup group;
  group.title = "Reliability diagrams";
  group.caption =
      "Observed share of positives over the mean stated probability, in 15 bins of equal width; "
      "the samples of all runs. Ribbons: pointwise 95 % intervals (Wilson 1927, with the number of "
      "samples that subjects with several of them are worth). Dotted: a calibrated model.";
  const auto& all = scope.calibrations;
  for (std::size_t i = 0; i < all.size();) {
    const auto& first = all[i];
    Curves curves;
    curves.diagonal = true;
    curves.x_title = "stated probability";
    curves.y_title = "share of positives";
    for (; i < all.size() && all[i].label == first.label && all[i].images == first.images; ++i)
      curves.series.push_back(reliability_series(scope, all[i]));
    const auto title = scope.study.labels()[first.label] + ", " + first.images;
    group.figures.push_back({"reliability-" + slug(title), title,
                             title + ". Share of positives over the stated probability.", curves});
  }
  group.numbers = binned_table(scope);
  return group;
}

}  // namespace

Section calibration(const Scope& scope) {
  Section section{"calibration", "Calibration", {}};
  const bool recalibrated = scope.study.recalibrated() != results::Recalibrate::no;
  section.blocks.emplace_back(Paragraph{
      "The probability that a model states is 1 / (1 + exp(−score)). Brier score and log "
      "loss are its mean squared error and its mean −log of the truth's: lower is better. "
      "Calibration in the large is the intercept a of logit P = a + score: below 0, fewer "
      "positives than stated. The slope b is that of logit P = a + b score: below 1, too "
      "sure (Cox 1958). " +
      std::string(
          recalibrated
              ? "Scores were recalibrated on clean validation samples: what is left is what "
                "that does not mend."
              : "A sampler that balances classes in training shifts a, and no scores were "
                "recalibrated: compare arms and severities.")});
  if (scope.graded())
    section.blocks.emplace_back(calibration_figures(scope));
  else
    section.blocks.emplace_back(calibration_table(scope));
  section.blocks.emplace_back(reliability_figures(scope));
  return section;
}

Json calibrations_json(const Scope& scope) {
  Json all = Json::array();
  for (const auto& c : scope.calibrations) {
    Json bins = Json::array();
    for (const auto& bin : c.bins)
      bins.push_back({{"samples", bin.samples},
                      {"probability", bin.probability},
                      {"positives", bin.positives},
                      {"low", bin.low},
                      {"high", bin.high}});
    all.push_back({{"label", scope.study.labels()[c.label]},
                   {"images", c.images},
                   {"arm", c.arm},
                   {"ece", results::interval_json(c.error)},
                   {"ece_equal_mass", or_null(c.equal_mass_error)},
                   {"reliability", or_null(c.reliability)},
                   {"resolution", or_null(c.resolution)},
                   {"uncertainty", or_null(c.uncertainty)},
                   {"within_bins", or_null(c.within_bins)},
                   {"bins", bins}});
  }
  return all;
}

}  // namespace mr::report
