// Do the stated probabilities hold, on clean and on corrupted images?
#include "report/curves.h"
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

}  // namespace

Section calibration(const Scope& scope) {
  Section section{"calibration", "Calibration", {}};
  section.blocks.emplace_back(Paragraph{
      "The probability that a model states is 1 / (1 + exp(−score)). Brier score and log "
      "loss are its mean squared error and its mean −log of the truth's: lower is better. "
      "Calibration in the large is the intercept a of logit P = a + score: below 0, fewer "
      "positives than stated. The slope b is that of logit P = a + b score: below 1, too "
      "sure (Cox 1958). A sampler that balances classes in training shifts a, and no model "
      "was recalibrated: compare arms and severities."});
  if (scope.graded())
    section.blocks.emplace_back(calibration_figures(scope));
  else
    section.blocks.emplace_back(calibration_table(scope));
  return section;
}

}  // namespace mr::report
