// What happens at thresholds that were chosen on clean validation images and then frozen.
#include <algorithm>

#include "base/text.h"
#include "report/curves.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

const std::vector<ShownMetric> metrics = {{Metric::sensitivity, "sensitivity"},
                                          {Metric::specificity, "specificity"},
                                          {Metric::alarm_rate, "alarm rate"},
                                          {Metric::positive_predictive_value, "PPV"},
                                          {Metric::negative_predictive_value, "NPV"}};
const std::vector<ShownMetric> deferral = {{Metric::augrc, "AUGRC"}, {Metric::aurc, "AURC"}};

bool has_thresholds(const Study& study) {
  const auto& models = study.models();
  return std::any_of(models.begin(), models.end(), [](const results::Model& m) {
    return std::any_of(m.thresholds.begin(), m.thresholds.end(),
                       [](const auto& threshold) { return threshold.has_value(); });
  });
}

std::string prevalence_text(const Scope& scope) {
  const auto stated = scope.study.prevalence();
  return "PPV and NPV, the shares of those called positive and negative that are so, are at " +
         (stated ? "the stated prevalence of " + shortest(*stated) +
                       " for every label, by Bayes from sensitivity and specificity."
                 : "the prevalence of these samples; --prevalence states another.");
}

Table deferral_table(const Scope& scope) {
  return metric_table(
      scope, deferral, "Deferral to a reader, by label",
      "Where the decisions nearest to the threshold are handed over first. AUGRC: errors that "
      "remain among the samples kept, as a share of all samples, averaged over how many are kept "
      "(Traub et al. 2024); AURC: as a share of the samples kept. Lower is better; half the square "
      "of the error rate is the least possible AUGRC. With 95 % interval, pointwise, thresholds "
      "taken as given.");
}

Table threshold_table(const Scope& scope) {
  return metric_table(scope, metrics, "At the frozen threshold, by label",
                      "With 95 % interval, pointwise, " + of_thresholds(scope.study) + ".");
}

FigureGroup threshold_figures(const Scope& scope) {
  FigureGroup group;
  group.title = "At the frozen threshold, over severity";
  group.caption =
      "Mean over labels and artifacts at the frozen thresholds. Ribbons: pointwise 95 % intervals; "
      "thin lines: single runs.";
  group.figures = metric_figures(scope, metrics, "operating-");
  share_range(group);
  group.numbers = threshold_table(scope);
  return group;
}

}  // namespace

Section operating_point(const Scope& scope) {
  Section section{"operating-point", "Frozen operating point", {}};
  if (!has_thresholds(scope.study)) {
    section.blocks.emplace_back(Paragraph{
        "No model carries an operating point from clean validation images, so there is no "
        "sensitivity, specificity or alarm rate here: a threshold chosen on the test images would "
        "hide its own drift."});
    return section;
  }
  section.blocks.emplace_back(Paragraph{
      "Each model's threshold was chosen per label on clean validation images and is never chosen "
      "again. A shift common to all scores leaves the AUROC as it is, and shows here. The alarm "
      "rate is the share of samples called positive. " +
      prevalence_text(scope)});
  if (scope.graded())
    section.blocks.emplace_back(threshold_figures(scope));
  else
    section.blocks.emplace_back(threshold_table(scope));
  section.blocks.emplace_back(deferral_table(scope));
  return section;
}

}  // namespace mr::report
