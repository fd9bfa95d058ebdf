// Performance by attribute of the images: scanner, contrast, sex, ...
#include "base/json.h"
#include "report/format.h"
#include "report/sections.h"
#include "results/blocks.h"

namespace mr::report {
namespace {

std::string group_name(const results::Subgroup& group) {
  return group.value.empty() ? "(none)" : group.value;
}

std::string size_text(const results::Subgroup& group) {
  return std::to_string(group.samples) + " (" + std::to_string(group.subjects.size()) + ")";
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

/// A value of an attribute against the one with the most samples.
struct Shift {
  std::size_t group, reference;
};

std::vector<Shift> shifts_of(const Scope& scope) {
  std::vector<Shift> all;
  const auto& groups = scope.study.subgroups();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    std::size_t most = g;
    for (std::size_t other = 0; other < groups.size(); ++other)
      if (groups[other].attribute == groups[g].attribute &&
          (groups[other].samples > groups[most].samples ||
           (groups[other].samples == groups[most].samples && other < most)))
        most = other;
    if (most != g) all.push_back({g, most});
  }
  return all;
}

Estimate shift(const Scope& scope, const Shift& s, const Contrast& contrast, Metric metric) {
  return scope.study.shift(contrast, s.group, s.reference, results::macro, metric);
}

Table shift_table(const Scope& scope, const std::vector<Shift>& shifts) {
  const auto& groups = scope.study.subgroups();
  Table table;
  table.title = "From one value to another";
  table.caption =
      "Clean images: within the value minus within the value that most samples have, means over "
      "labels, with 95 % interval, pointwise; a negative AUROC says that the arm ranks worse "
      "there. "
      "Sensitivity and specificity at the frozen thresholds, " +
      of_thresholds(scope.study) + ".";
  table.columns = {"Attribute", "Value", "Against", "Arm", "AUROC", "Sensitivity", "Specificity"};
  if (!scope.candidates.empty())
    table.columns.push_back("AUROC, against " + arm_name(scope.baseline));
  table.heads = 4;
  for (const auto& s : shifts)
    for (const auto& arm : scope.arms()) {
      std::vector<Cell> row = {{groups[s.group].attribute},
                               {group_name(groups[s.group])},
                               {group_name(groups[s.reference])},
                               {arm_name(arm)}};
      for (const auto metric : results::subgroup_metrics)
        row.push_back(difference_cell(shift(scope, s, scope.study.clean(arm), metric)));
      if (!scope.candidates.empty())
        row.push_back(
            arm == scope.baseline
                ? Cell{"reference"}
                : difference_cell(shift(scope, s,
                                        scope.study.clean(arm) - scope.study.clean(scope.baseline),
                                        Metric::auroc)));
      table.rows.push_back(std::move(row));
    }
  return table;
}

/// Tests over values of an attribute, where no subject has two.
Table block_table(const Scope& scope) {
  Table table;
  table.title = "Arms over subgroups as blocks";
  table.caption =
      "Of the macro AUROC in each subgroup (corrupted where artifacts were evaluated), which is a "
      "block where no subject is in two. Mean rank: 1 is the best arm. Friedman: do arms rank "
      "alike, chi squared corrected for ties, and the F of Iman and Davenport (1980), with at "
      "least 3 arms and " +
      std::to_string(stats::fewest_blocks) + " blocks. Signed ranks: p of the differences from " +
      arm_name(scope.baseline) + ", exact (Wilcoxon 1945, zeros after Pratt 1959); Holm over arms.";
  table.columns = {"Attribute", "Arm",        "Blocks",          "Mean rank", "Chi squared",
                   "p",         "p of the F", "Signed ranks, p", "Holm"};
  table.heads = 2;
  for (const auto& test : results::block_tests(scope.study, scope.baseline))
    for (std::size_t a = 0; a < test.arms.size(); ++a) {
      std::vector<Cell> row = {
          {test.attribute}, {arm_name(test.arms[a])}, {std::to_string(test.blocks.size())}};
      const auto& f = test.friedman;
      const auto number = [&](const std::optional<double>& v, const std::string& reason) {
        row.push_back(v ? Cell{level(*v)} : Cell{no_number, reason});
      };
      const bool tested = test.reason.empty(), first = a == 0;
      const auto& why = tested ? f.reason : test.reason;
      number(tested ? std::optional<double>(f.mean_ranks[a]) : std::nullopt, test.reason);
      first ? number(f.chi2, why) : row.push_back({});
      row.push_back(first ? p_cell(f.p, why) : Cell{});
      row.push_back(first ? p_cell(f.p_of_f, why) : Cell{});
      row.push_back(first    ? Cell{"reference"}
                    : tested ? p_cell(test.p[a - 1].value, test.p[a - 1].reason)
                             : Cell{no_number, test.reason});
      row.push_back(first    ? Cell{}
                    : tested ? p_cell(test.p_adjusted[a - 1], test.p[a - 1].reason)
                             : Cell{no_number, test.reason});
      table.rows.push_back(row);
    }
  return table;
}

}  // namespace

Section subgroups(const Scope& scope) {
  Section section{"subgroups", "Subgroups", {}};
  if (scope.study.subgroups().empty()) return section;
  section.blocks.emplace_back(subgroup_table(scope));
  const auto shifts = shifts_of(scope);
  if (scope.study.has_clean() && !shifts.empty())
    section.blocks.emplace_back(shift_table(scope, shifts));
  if (!scope.candidates.empty()) section.blocks.emplace_back(block_table(scope));
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
                    {"subjects", group.subjects.size()},
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

Json shifts_json(const Scope& scope) {
  Json all = Json::array();
  if (!scope.study.has_clean()) return all;
  const auto& groups = scope.study.subgroups();
  for (const auto& s : shifts_of(scope))
    for (const auto& arm : scope.arms()) {
      Json entry = {{"attribute", groups[s.group].attribute},
                    {"value", groups[s.group].value},
                    {"reference", groups[s.reference].value},
                    {"arm", arm}};
      for (const auto metric : results::subgroup_metrics)
        entry[stats::name(metric)] =
            results::interval_json(shift(scope, s, scope.study.clean(arm), metric));
      if (arm != scope.baseline)
        entry["difference"] = results::interval_json(shift(
            scope, s, scope.study.clean(arm) - scope.study.clean(scope.baseline), Metric::auroc));
      all.push_back(std::move(entry));
    }
  return all;
}

Json blocks_json(const Scope& scope) {
  Json all = Json::array();
  if (scope.candidates.empty()) return all;
  for (const auto& test : results::block_tests(scope.study, scope.baseline)) {
    const auto& f = test.friedman;
    Json arms = Json::array();
    for (std::size_t a = 0; a < test.arms.size(); ++a) {
      Json arm = {{"arm", test.arms[a]}};
      if (test.reason.empty()) {
        arm["mean_rank"] = f.mean_ranks[a];
        if (a > 0) {
          arm["p"] = or_null(test.p[a - 1].value);
          arm["p_adjusted"] = or_null(test.p_adjusted[a - 1]);
          if (!test.p[a - 1].reason.empty()) arm["reason"] = test.p[a - 1].reason;
        }
      }
      arms.push_back(std::move(arm));
    }
    Json entry = {{"attribute", test.attribute}, {"blocks", test.blocks}, {"arms", arms},
                  {"chi2", or_null(f.chi2)},     {"p", or_null(f.p)},     {"f", or_null(f.f)},
                  {"p_of_f", or_null(f.p_of_f)}};
    const auto& reason = test.reason.empty() ? f.reason : test.reason;
    if (!reason.empty()) entry["reason"] = reason;
    all.push_back(std::move(entry));
  }
  return all;
}

}  // namespace mr::report
