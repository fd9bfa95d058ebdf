// Performance clean and corrupted, by arm and by label; other conditions; published summaries.
#include <optional>

#include "base/text.h"
#include "report/curves.h"
#include "report/format.h"
#include "report/sections.h"
#include "stats/influence.h"
#include "stats/robustness.h"

namespace mr::report {
namespace {

std::string run_count(const Scope& scope, const std::string& arm) {
  return std::to_string(scope.study.runs(arm).size());
}

std::string label_caveat(const Scope& scope) {
  return scope.study.labels().size() > 1 ? "Macro: unweighted mean over labels. " : "";
}

std::string run_caveat(const Scope& scope) {
  return single_run(scope.study)
             ? " An arm with one run is one trained network: its interval speaks of that network "
               "on new subjects, not of the normalization trained anew."
             : "";
}

/// Labels that the macro mean lacks, since the test set lacks one of their classes.
std::optional<Notice> undefined_labels(const Study& study) {
  std::vector<std::string> names;
  for (std::size_t l = 0; l < study.labels().size(); ++l) {
    const auto& n = study.counts(l);
    if (n.positives == 0 || n.negatives == 0) names.push_back(study.labels()[l]);
  }
  if (names.empty()) return {};
  return Notice{"The test set lacks positive or negative samples of " + listed(names) +
                ": no AUROC there, and every macro mean is over " +
                std::to_string(study.labels().size() - names.size()) + " of " +
                plural(study.labels().size(), "label") + "."};
}

Table arms_table(const Scope& scope) {
  Table table;
  table.title = "Clean and corrupted performance";
  table.caption =
      label_caveat(scope) + "AUROC with 95 % interval. Corrupted: mean over " +
      severity_range(scope) +
      ", then over artifacts. Change: corrupted minus clean, paired by subject and run." +
      run_caveat(scope);
  table.columns = {"Arm", "Runs", "Clean", "Corrupted", "Change"};
  table.ranked = {2, 3, 4};
  for (const auto& arm : scope.arms()) {
    const auto ask = [&](const Contrast& c) { return scope.study.estimate(c); };
    table.rows.push_back({{arm_name(arm)},
                          {run_count(scope, arm)},
                          level_cell(ask(scope.study.clean(arm))),
                          level_cell(ask(scope.study.endpoint(arm))),
                          difference_cell(ask(change(scope, arm)))});
  }
  return table;
}

/// The mean over severities of each artifact.
Table artifact_table(const Scope& scope) {
  Table table;
  table.title = "By artifact";
  table.caption = label_caveat(scope) + "AUROC with 95 % interval, mean over " +
                  severity_range(scope) +
                  " as they are set here, so that artifacts are not to be ranked by it.";
  table.columns = {"Arm"};
  table.columns.insert(table.columns.end(), scope.artifacts.begin(), scope.artifacts.end());
  for (std::size_t a = 1; a < table.columns.size(); ++a) table.ranked.push_back(a);
  for (const auto& arm : scope.arms()) {
    std::vector<Cell> row = {{arm_name(arm)}};
    for (const auto& artifact : scope.artifacts)
      row.push_back(level_cell(scope.study.estimate(scope.study.over_severities(arm, artifact))));
    table.rows.push_back(row);
  }
  return table;
}

std::vector<Cell> comparison_row(const std::string& arm, const std::string& where,
                                 const Estimate& e, const Cell& adjusted) {
  return {{arm_name(arm)},       {where},  difference_cell(e),
          p_cell(e.p, e.reason), adjusted, e.mde ? Cell{level(*e.mde)} : Cell{no_number, e.reason}};
}

Table baseline_table(const Scope& scope) {
  const auto& study = scope.study;
  Table table;
  table.heads = 2;
  table.title = "Difference from " + arm_name(scope.baseline);
  table.caption =
      "Arm minus " + arm_name(scope.baseline) +
      ", macro AUROC with 95 % interval, paired by subject. Positive: better than " +
      arm_name(scope.baseline) +
      ". Change: difference of the changes from clean to corrupted; positive: loses less. Holm: p "
      "adjusted for the " +
      plural(scope.candidates.size(), "candidate") +
      ", on the corrupted endpoint alone. Detectable: the true difference that a study of this "
      "size would find with 80 % power.";
  table.columns = {"Arm", "Images", "Difference", "p", "Holm", "Detectable"};
  const Cell not_adjusted{""};
  for (const auto& comparison : study.compare(scope.baseline)) {
    const auto& arm = comparison.arm;
    table.rows.push_back(
        comparison_row(arm, "clean", study.estimate(study.clean(arm) - study.clean(scope.baseline)),
                       not_adjusted));
    table.rows.push_back(
        comparison_row(arm, "corrupted", comparison.difference,
                       p_cell(comparison.p_adjusted, comparison.difference.reason)));
    table.rows.push_back(comparison_row(
        arm, "change", study.estimate(change(scope, arm) - change(scope, scope.baseline)),
        not_adjusted));
  }
  return table;
}

std::string counts_text(const Study& study, std::size_t label) {
  const auto& n = study.counts(label);
  return std::to_string(n.positives) + " / " + std::to_string(n.negatives) + " (" +
         std::to_string(n.positive_subjects) + " / " + std::to_string(n.negative_subjects) + ")";
}

Table label_table(const Scope& scope) {
  const auto& study = scope.study;
  Table table;
  table.title = "By label";
  table.caption =
      "AUROC with 95 % interval. Samples: positive / negative, and in brackets the subjects that "
      "have such.";
  table.columns = {"Label", "Samples", "Arm", "Clean", "Corrupted", "Change"};
  table.heads = 3;
  if (!scope.candidates.empty())
    table.columns.push_back("Corrupted, against " + arm_name(scope.baseline));
  for (std::size_t l = 0; l < study.labels().size(); ++l)
    for (const auto& arm : scope.arms()) {
      std::vector<Cell> row = {{study.labels()[l]},
                               {counts_text(study, l)},
                               {arm_name(arm)},
                               level_cell(study.estimate(study.clean(arm), l)),
                               level_cell(study.estimate(study.endpoint(arm), l)),
                               difference_cell(study.estimate(change(scope, arm), l))};
      if (!scope.candidates.empty())
        row.push_back(arm == scope.baseline
                          ? Cell{"reference"}
                          : difference_cell(study.estimate(
                                study.endpoint(arm) - study.endpoint(scope.baseline), l)));
      table.rows.push_back(row);
    }
  return table;
}

const std::string partial_text =
    "Partial AUROC: specificity 0.8 to 1, where few are called positive, standardised to 0.5 at "
    "chance and 1 at best (McClish 1989).";

Table few_alarms_table(const Scope& scope) {
  return metric_table(
      scope,
      {{Metric::partial_auroc, "partial AUROC"}, {Metric::average_precision, "average precision"}},
      "Where few samples are called positive, by label",
      partial_text +
          " Average precision is at chance the prevalence. With 95 % interval, "
          "pointwise.");
}

/// Arms under one condition, label by label; used where there is no ladder of severities.
Table condition_table(const Scope& scope, const Condition& condition) {
  const auto& study = scope.study;
  Table table;
  table.heads = 3;
  table.title = "Performance: " + condition_name(condition);
  table.caption = "With 95 % interval by subjects" +
                  std::string(single_run(study) ? "." : " and runs.") +
                  " Samples: positive / negative, and in brackets the subjects that have such. " +
                  partial_text + run_caveat(scope);
  table.columns = {"Label", "Samples", "Arm", "AUROC", "Partial AUROC", "Average precision"};
  if (!scope.candidates.empty()) {
    table.columns.push_back("AUROC, against " + arm_name(scope.baseline));
    table.columns.push_back("p");
  }
  for (const auto& [name, label] : all_labels(study))
    for (const auto& arm : scope.arms()) {
      const auto at = study.at(arm, condition);
      std::vector<Cell> row = {{name},
                               {label ? counts_text(study, *label) : no_number},
                               {arm_name(arm)},
                               level_cell(study.estimate(at, label)),
                               level_cell(study.estimate(at, label, Metric::partial_auroc)),
                               level_cell(study.estimate(at, label, Metric::average_precision))};
      if (!scope.candidates.empty()) {
        const bool reference = arm == scope.baseline;
        const auto e = study.estimate(at - study.at(scope.baseline, condition), label);
        row.push_back(reference ? Cell{"reference"} : difference_cell(e));
        row.push_back(reference ? Cell{} : p_cell(e.p, e.reason));
      }
      table.rows.push_back(row);
    }
  return table;
}

Cell value_cell(const stats::Value& value) {
  return value.value ? Cell{level(*value.value), value.reason} : Cell{no_number, value.reason};
}

/// Means over artifacts of the published summaries of a degradation curve.
std::vector<Cell> published_row(const Scope& scope, const std::string& arm) {
  std::vector<stats::Value> errors, relative, area, rood, kept;
  for (const auto& artifact : scope.artifacts) {
    const auto curve = scope.study.curve(arm, artifact);
    const auto baseline = scope.study.curve(scope.baseline, artifact);
    if (!curve || !baseline) {
      const stats::Value none{{}, "a value is missing for " + artifact};
      for (auto* list : {&errors, &relative, &area, &rood, &kept}) list->push_back(none);
      continue;
    }
    errors.push_back(stats::corruption_error(*curve, *baseline));
    const auto loss = scope.study.estimate(scope.study.clean(scope.baseline) -
                                           scope.study.over_severities(scope.baseline, artifact));
    relative.push_back(loss.low && *loss.low > 0
                           ? stats::relative_corruption_error(*curve, *baseline)
                           : stats::Value{{}, "the baseline's loss may be 0"});
    area.push_back({stats::area_under_curve(*curve), ""});
    rood.push_back({stats::rood_degradation(*curve), ""});
    kept.push_back(stats::retention(*curve));
  }
  std::vector<Cell> row = {{arm_name(arm)}};
  for (const auto* list : {&errors, &relative, &area, &rood, &kept})
    row.push_back(value_cell(stats::mean_of_defined(*list)));
  return row;
}

Table published_table(const Scope& scope) {
  Table table;
  table.title = "Summary measures in use elsewhere";
  table.caption =
      "From the mean macro AUROC over runs, averaged over artifacts; error is 1 − AUROC. mCE: sum "
      "of errors over severities divided by that of " +
      arm_name(scope.baseline) +
      "; relative mCE: the same of the rise above the clean error (Hendrycks and Dietterich 2019), "
      "over the artifacts under which the interval of the baseline's loss lies above 0. "
      "Area: under the curve over severity, divided by its range. Degradation: loss weighted by "
      "(2/3) to the power of severity (Boone et al. 2023). Retention: share kept of what is above "
      "chance. Ratios depend on the baseline: read the differences above first.";
  table.columns = {"Arm", "mCE", "Relative mCE", "Area", "Degradation", "Retention"};
  for (const auto& arm : scope.arms()) table.rows.push_back(published_row(scope, arm));
  return table;
}

constexpr double breaking_loss = 0.05;

/// The smallest severity at which a loss of more than breaking_loss is not excluded; "> S" where it
/// is excluded up to the last.
Cell breaking_point(const Scope& scope, const std::string& arm, const std::string& artifact) {
  const auto& study = scope.study;
  const auto severities = study.severities(artifact);
  for (const double severity : severities) {
    const auto e = study.estimate(study.at(arm, {results::Kind::artifact, artifact, severity}) -
                                  study.clean(arm));
    if (!e.low) return {no_number, e.reason};
    if (*e.low < -breaking_loss) return {shortest(severity)};
  }
  return {"> " + shortest(severities.back())};
}

std::string worst_artifact(const Scope& scope, const std::string& arm) {
  std::optional<double> lowest;
  std::string worst = no_number;
  for (const auto& artifact : scope.artifacts) {
    const auto value = scope.study.estimate(scope.study.over_severities(arm, artifact)).value;
    if (!value || (lowest && *lowest <= *value)) continue;
    lowest = value;
    worst = artifact + " (" + level(*value) + ")";
  }
  return worst;
}

Table breaking_table(const Scope& scope) {
  Table table;
  table.title = "Where arms break";
  table.caption =
      "Worst: the artifact of lowest macro AUROC, mean over severities. By artifact: the smallest "
      "severity at which a loss of more than " +
      level(breaking_loss) +
      " from clean is not excluded, by the 95 % interval of the paired change; a small "
      "study breaks early.";
  table.columns = {"Arm", "Worst"};
  table.columns.insert(table.columns.end(), scope.artifacts.begin(), scope.artifacts.end());
  table.heads = 2;
  for (const auto& arm : scope.arms()) {
    std::vector<Cell> row = {{arm_name(arm)}, {worst_artifact(scope, arm)}};
    for (const auto& artifact : scope.artifacts)
      row.push_back(breaking_point(scope, arm, artifact));
    table.rows.push_back(row);
  }
  return table;
}

}  // namespace

Section performance(const Scope& scope) {
  Section section{"performance", "Performance", {}};
  if (const auto notice = undefined_labels(scope.study)) section.blocks.emplace_back(*notice);
  if (scope.graded()) {
    section.blocks.emplace_back(arms_table(scope));
    if (!scope.candidates.empty()) section.blocks.emplace_back(baseline_table(scope));
    section.blocks.emplace_back(label_table(scope));
    section.blocks.emplace_back(few_alarms_table(scope));
    section.blocks.emplace_back(artifact_table(scope));
    if (scope.study.has_clean()) {
      section.blocks.emplace_back(breaking_table(scope));
      section.blocks.emplace_back(published_table(scope));
    }
  } else if (scope.study.has_clean()) {
    section.blocks.emplace_back(condition_table(scope, {}));
  }
  for (const auto& condition : scope.others)
    section.blocks.emplace_back(condition_table(scope, condition));
  return section;
}

}  // namespace mr::report
