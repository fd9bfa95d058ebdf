// Every trained network by itself, the best on corrupted images first.
#include <algorithm>

#include "base/json.h"
#include "report/format.h"
#include "report/sections.h"
#include "results/measure.h"

namespace mr::report {
namespace {

/// One run of an arm.
struct Entry {
  const results::Model* model;
  std::string arm, worst;  // worst: artifact, mean over severities
  Estimate clean, corrupted, change, at_worst;
};

const results::Model& model_of(const Study& study, const std::string& arm, std::int64_t run) {
  const auto& models = study.models();
  return *std::find_if(models.begin(), models.end(), [&](const results::Model& m) {
    return results::arm(m) == arm && m.run == run;
  });
}

/// Of one contrast, one estimate for each run; where it is undefined, that for all.
std::vector<Estimate> of_runs(const Study& study, const std::string& arm,
                              const Contrast& contrast) {
  auto estimates = study.each_run(contrast);
  if (estimates.empty()) estimates.assign(study.runs(arm).size(), study.estimate(contrast));
  return estimates;
}

void add_arm(std::vector<Entry>& entries, const Scope& scope, const std::string& arm) {
  const auto& study = scope.study;
  const auto clean = of_runs(study, arm, study.clean(arm));
  const auto corrupted = of_runs(study, arm, study.endpoint(arm));
  const auto changes = of_runs(study, arm, change(scope, arm));
  std::vector<std::vector<Estimate>> by_artifact;
  for (const auto& artifact : scope.artifacts)
    by_artifact.push_back(of_runs(study, arm, study.over_severities(arm, artifact)));
  const auto runs = study.runs(arm);
  for (std::size_t r = 0; r < runs.size(); ++r) {
    Entry entry{&model_of(study, arm, runs[r]), arm, "", clean[r], corrupted[r], changes[r], {}};
    for (std::size_t a = 0; a < by_artifact.size(); ++a) {
      const auto& e = by_artifact[a][r];
      if (!e.value || (entry.at_worst.value && *entry.at_worst.value <= *e.value)) continue;
      entry.at_worst = e;
      entry.worst = scope.artifacts[a];
    }
    entries.push_back(std::move(entry));
  }
}

std::vector<Entry> ordered(const Scope& scope) {
  std::vector<Entry> entries;
  if (!scope.graded() && !scope.study.has_clean()) return entries;
  for (const auto& arm : scope.arms()) add_arm(entries, scope, arm);
  const auto order = scope.graded() ? &Entry::corrupted : &Entry::clean;
  std::stable_sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
    const auto &first = (a.*order).value, &second = (b.*order).value;
    return first && second ? *first > *second : first.has_value() && !second;
  });
  return entries;
}

/// Which images set the statistics that a network normalises with, where it is not the training's.
std::string batch_policy(const results::Model& model) {
  if (model.adaptation.empty()) return "";
  const bool before = model.adaptation.rfind("recalibrate", 0) == 0;
  return (before ? "statistics of clean training images"
                 : "adapts to the test images (" + model.adaptation + ")") +
         std::string("; see Adaptation in Methods");
}

Table leaderboard_table(const Scope& scope, const std::vector<Entry>& entries) {
  constexpr std::size_t few = 20;
  Table table;
  table.title = "Models in the order of their " +
                std::string(scope.graded() ? "performance on corrupted images" : "performance");
  table.caption =
      "Macro AUROC of each trained network, with 95 % interval by subjects. Worst: the artifact of "
      "the lowest, mean over severities. An order of estimates is no test: models whose intervals "
      "overlap may well change places in other subjects, and the first of many flatters itself.";
  table.heads = 3;
  table.columns = {"Model", "Arm", "Run", "Clean"};
  if (scope.graded()) table.columns.insert(table.columns.end(), {"Corrupted", "Change", "Worst"});
  table.folded = entries.size() > few;
  for (const auto& entry : entries) {
    std::vector<Cell> row = {{entry.model->id},
                             {arm_name(entry.arm), batch_policy(*entry.model)},
                             {std::to_string(entry.model->run)},
                             level_cell(entry.clean)};
    if (scope.graded()) {
      row.push_back(level_cell(entry.corrupted));
      row.push_back(difference_cell(entry.change));
      row.push_back(entry.worst.empty() ? Cell{no_number, entry.corrupted.reason}
                                        : Cell{entry.worst + " " + level(*entry.at_worst.value)});
    }
    table.rows.push_back(row);
  }
  return table;
}

}  // namespace

Section leaderboard(const Scope& scope) {
  constexpr std::size_t two = 2;  // which the tables before have said all of
  Section section{"leaderboard", "Leaderboard", {}};
  const auto entries = ordered(scope);
  if (entries.size() > two) section.blocks.emplace_back(leaderboard_table(scope, entries));
  return section;
}

Json leaderboard_json(const Scope& scope) {
  Json all = Json::array();
  for (const auto& entry : ordered(scope)) {
    Json json = {{"model", entry.model->id},
                 {"arm", entry.arm},
                 {"run", entry.model->run},
                 {"batch_policy", entry.model->adaptation},
                 {"clean", results::interval_json(entry.clean)}};
    if (scope.graded()) {
      json["corrupted"] = results::interval_json(entry.corrupted);
      json["change"] = results::interval_json(entry.change);
      json["worst_artifact"] = entry.worst.empty() ? Json(nullptr) : Json(entry.worst);
      json["worst"] = or_null(entry.at_worst.value);
    }
    all.push_back(std::move(json));
  }
  return all;
}

}  // namespace mr::report
