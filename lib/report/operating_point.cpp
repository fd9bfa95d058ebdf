// What happens at thresholds that were chosen on clean validation images and then frozen.
#include <algorithm>

#include "report/curves.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

const std::vector<std::pair<Metric, std::string>> metrics = {{Metric::sensitivity, "sensitivity"},
                                                             {Metric::specificity, "specificity"},
                                                             {Metric::alarm_rate, "alarm rate"}};

bool has_thresholds(const Study& study) {
  const auto& models = study.models();
  return std::any_of(models.begin(), models.end(), [](const results::Model& m) {
    return std::any_of(m.thresholds.begin(), m.thresholds.end(),
                       [](const auto& threshold) { return threshold.has_value(); });
  });
}

std::vector<std::pair<double, Contrast>> over_severity(const Scope& scope, const std::string& arm) {
  std::vector<std::pair<double, Contrast>> all;
  if (scope.study.has_clean()) all.emplace_back(0, scope.study.clean(arm));
  for (const double s : scope.severities)
    if (s > 0 || all.empty()) all.emplace_back(s, scope.study.at_severity(arm, s));
  return all;
}

Table threshold_table(const Scope& scope) {
  Table table;
  table.title = "At the frozen threshold, by label";
  table.caption = std::string("With 95 % interval, pointwise and conditional on the threshold.") +
                  (scope.graded() ? " Numbered columns: severity, mean over artifacts." : "");
  table.heads = 3;
  table.columns = {"Label", "Metric", "Arm"};
  if (scope.study.has_clean()) table.columns.push_back("clean");
  for (const auto& severity : severity_names(scope)) table.columns.push_back(severity);
  for (const auto& condition : scope.others) table.columns.push_back(condition_name(condition));
  for (std::size_t l = 0; l < scope.study.labels().size(); ++l)
    for (const auto& [metric, name] : metrics)
      for (const auto& arm : scope.arms()) {
        std::vector<Cell> row = {{scope.study.labels()[l]}, {name}, {arm_name(arm)}};
        for (const auto& step : over_severity(scope, arm))
          row.push_back(level_cell(scope.study.estimate(step.second, l, metric)));
        for (const auto& condition : scope.others)
          row.push_back(
              level_cell(scope.study.estimate(scope.study.at(arm, condition), l, metric)));
        table.rows.push_back(row);
      }
  return table;
}

FigureGroup threshold_figures(const Scope& scope) {
  FigureGroup group;
  group.title = "Sensitivity, specificity and alarm rate over severity";
  group.caption =
      "Mean over labels and artifacts at the frozen thresholds. Ribbons: pointwise 95 % intervals; "
      "thin lines: single runs.";
  for (const auto& [metric, name] : metrics) {
    Curves curves;
    curves.x_title = "severity";
    curves.y_title = scope.study.labels().size() > 1 ? "mean over labels" : name;
    for (const auto& arm : scope.arms())
      curves.series.push_back(
          series_of(scope, arm, over_severity(scope, arm), results::macro, metric));
    const auto alt = curve_alt("Mean " + name, curves);
    group.figures.push_back({"operating-" + slug(name), name, alt, curves});
  }
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
      "rate is the share of samples called positive."});
  if (scope.graded())
    section.blocks.emplace_back(threshold_figures(scope));
  else
    section.blocks.emplace_back(threshold_table(scope));
  return section;
}

}  // namespace mr::report
