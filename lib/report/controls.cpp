// Controls beside a study of artifacts (analysis.md 5): gain without structure, and which others
// were evaluated.
#include <algorithm>

#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

/// A control of the gain, with its conditions over severities.
struct GainControl {
  std::string name;
  std::vector<std::string> severities;
  std::vector<Condition> conditions;
};

std::vector<GainControl> gain_controls_of(const Scope& scope) {
  std::vector<GainControl> all;
  if (!scope.study.has_clean()) return all;
  for (const auto& condition : scope.gain_controls) {
    const auto control = *results::parse_gain_control(condition);
    const auto known =
        std::find_if(all.begin(), all.end(), [&](const auto& c) { return c.name == control.name; });
    auto& at = known == all.end() ? all.emplace_back(GainControl{control.name, {}, {}}) : *known;
    at.severities.push_back(control.severity);
    at.conditions.push_back(condition);
  }
  return all;
}

/// Mean over severities, minus clean.
Contrast change(const Scope& scope, const std::string& arm, const GainControl& control) {
  auto contrast = -1.0 * scope.study.clean(arm);
  for (const auto& condition : control.conditions)
    contrast = std::move(contrast) + 1.0 / static_cast<double>(control.conditions.size()) *
                                         scope.study.at(arm, condition);
  return contrast;
}

constexpr Metric shown[] = {Metric::auroc, Metric::sensitivity, Metric::specificity,
                            Metric::alarm_rate};

Estimate estimate(const Scope& scope, const Contrast& contrast, Metric metric) {
  return scope.study.estimate(contrast, results::macro, metric);
}

bool evaluated(const Scope& scope, const std::string& arm, const GainControl& control) {
  return std::any_of(control.conditions.begin(), control.conditions.end(),
                     [&](const auto& c) { return scope.study.evaluated(arm, c); });
}

Table gain_table(const Scope& scope, const std::vector<GainControl>& controls) {
  Table table;
  table.title = "Gain alone";
  table.caption = "Change from clean, mean over labels and severities (" +
                  listed(controls.front().severities) +
                  "), with 95 % interval, pointwise; at the frozen thresholds, " +
                  of_thresholds(scope.study) + ".";
  table.columns = {"Arm", "Control", "AUROC", "Sensitivity", "Specificity", "Alarm rate"};
  table.heads = 2;
  for (const auto& arm : scope.arms())
    for (const auto& control : controls) {
      if (!evaluated(scope, arm, control)) continue;
      std::vector<Cell> row = {{arm_name(arm)}, {control.name}};
      const auto contrast = change(scope, arm, control);
      for (const auto metric : shown)
        row.push_back(difference_cell(estimate(scope, contrast, metric)));
      table.rows.push_back(std::move(row));
    }
  return table;
}

/// In the order of analysis.md 5.
std::vector<std::string> missing_controls(const Scope& scope) {
  const auto& study = scope.study;
  const auto any_arm = [&](const auto& wanted) {
    const auto& models = study.models();
    return std::any_of(models.begin(), models.end(), wanted);
  };
  std::vector<std::string> missing;
  const bool has_batch_norm = any_arm([](const results::Model& m) {
    return results::parse_training(m.normalization).norm == "batch";
  });
  if (has_batch_norm &&
      !any_arm([](const results::Model& m) { return m.adaptation == "recalibrate"; }))
    missing.push_back("batch norm recalibrated on clean training images");
  if (scope.gain_controls.empty()) missing.push_back("gain alone");
  if (!any_arm([](const results::Model& m) {
        return !results::parse_training(m.normalization).augmentation.empty();
      }))
    missing.push_back("training with augmentation");
  if (std::none_of(scope.others.begin(), scope.others.end(), [](const Condition& condition) {
        return condition.artifact == results::clinic_mix;
      }))
    missing.push_back("the clinic mix");
  return missing;
}

}  // namespace

Section controls(const Scope& scope) {
  Section section{"controls", "Controls", {}};
  if (!scope.graded()) return section;
  const auto gains = gain_controls_of(scope);
  if (!gains.empty()) {
    section.blocks.emplace_back(Paragraph{
        "Gain changes no structure. Common: every image brighter by one factor, which ranks hardly "
        "notice and thresholds do. Random: each subject's images brighter or darker by it, which "
        "ranks notice too. Where the input is standardised by its own intensities (see Models), it "
        "holds no gain, and neither can show: zeros are then the standardisation's merit, not the "
        "normalization's."});
    section.blocks.emplace_back(gain_table(scope, gains));
  }
  if (const auto missing = missing_controls(scope); !missing.empty())
    section.blocks.emplace_back(Notice{
        "Controls that were not evaluated: " + listed(missing) +
        ". mr-eval --controls evaluates all of them but augmentation (mr-train --augment)."});
  return section;
}

Json controls_json(const Scope& scope) {
  Json gains = Json::array();
  for (const auto& arm : scope.arms())
    for (const auto& control : gain_controls_of(scope)) {
      if (!evaluated(scope, arm, control)) continue;
      gains.push_back({{"arm", arm}, {"control", control.name}});
      const auto contrast = change(scope, arm, control);
      for (const auto metric : shown)
        gains.back()[stats::name(metric)] =
            results::interval_json(estimate(scope, contrast, metric));
    }
  return {{"gains", gains},
          {"missing", scope.graded() ? missing_controls(scope) : std::vector<std::string>{}}};
}

}  // namespace mr::report
