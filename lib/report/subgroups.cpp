// Performance by attribute of the images: scanner, contrast, sex, ...
#include "base/json.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

std::string group_name(const results::Subgroup& group) {
  return group.value.empty() ? "(none)" : group.value;
}

std::string size_text(const results::Subgroup& group) {
  return std::to_string(group.samples) + " (" + std::to_string(group.subjects) + ")";
}

Contrast corrupted(const Scope& scope, const std::string& arm) {
  return scope.graded() ? scope.study.endpoint(arm) : Contrast{};
}

Table subgroup_table(const Scope& scope) {
  const auto& study = scope.study;
  Table table;
  table.title = "By attribute of the images";
  table.caption =
      "Macro AUROC within the subgroup, with 95 % interval, pointwise. Samples: in brackets the "
      "subjects. Corrupted: mean over severities, then artifacts. A subgroup's AUROC ranks its own "
      "samples alone; a shift between subgroups shows at the frozen operating point.";
  table.columns = {"Attribute", "Value", "Samples", "Arm", "Clean", "Corrupted", "Change"};
  if (!scope.candidates.empty())
    table.columns.push_back("Corrupted, against " + arm_name(scope.baseline));
  table.heads = 4;
  for (std::size_t g = 0; g < study.subgroups().size(); ++g) {
    const auto& group = study.subgroups()[g];
    const auto ask = [&](const Contrast& contrast) {
      return study.estimate(contrast, results::macro, Metric::auroc, g);
    };
    for (const auto& arm : scope.arms()) {
      std::vector<Cell> row = {{group.attribute},
                               {group_name(group)},
                               {size_text(group)},
                               {arm_name(arm)},
                               level_cell(ask(study.clean(arm))),
                               level_cell(ask(corrupted(scope, arm))),
                               difference_cell(ask(corrupted(scope, arm) - study.clean(arm)))};
      if (!scope.candidates.empty())
        row.push_back(
            arm == scope.baseline
                ? Cell{"reference"}
                : difference_cell(ask(corrupted(scope, arm) - corrupted(scope, scope.baseline))));
      table.rows.push_back(row);
    }
  }
  return table;
}

}  // namespace

Section subgroups(const Scope& scope) {
  Section section{"subgroups", "Subgroups", {}};
  if (!scope.study.subgroups().empty()) section.blocks.emplace_back(subgroup_table(scope));
  return section;
}

Json subgroups_json(const Scope& scope) {
  const auto& study = scope.study;
  Json all = Json::array();
  for (std::size_t g = 0; g < study.subgroups().size(); ++g)
    for (const auto& arm : scope.arms()) {
      const auto& group = study.subgroups()[g];
      Json entry = {{"attribute", group.attribute},
                    {"value", group.value},
                    {"samples", group.samples},
                    {"subjects", group.subjects},
                    {"arm", arm}};
      const auto put = [&](const char* name, const Contrast& contrast) {
        entry[name] =
            results::interval_json(study.estimate(contrast, results::macro, Metric::auroc, g));
      };
      put("clean", study.clean(arm));
      if (scope.graded()) {
        put("corrupted", study.endpoint(arm));
        put("change", change(scope, arm));
        if (arm != scope.baseline)
          put("difference", study.endpoint(arm) - study.endpoint(scope.baseline));
      }
      all.push_back(std::move(entry));
    }
  return all;
}

}  // namespace mr::report
