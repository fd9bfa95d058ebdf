// What the loss under artifacts is made of: the images' gain, or their structure.
#include "results/decomposition.h"

#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

using Has = bool (Study::*)(const std::string& arm) const;

std::vector<std::string> arms_that(const Scope& scope, Has has) {
  if (!scope.study.has_clean() || !scope.graded()) return {};
  return scope.arms_where([&](const auto& arm) { return (scope.study.*has)(arm); });
}

std::vector<std::string> decomposed_arms(const Scope& scope) {
  return arms_that(scope, &Study::has_parts);
}

std::vector<std::string> retuned_arms(const Scope& scope) {
  return arms_that(scope, &Study::has_retuned);
}

std::vector<std::optional<std::string>> artifacts_and_all(const Scope& scope) {
  std::vector<std::optional<std::string>> all(scope.artifacts.begin(), scope.artifacts.end());
  if (all.size() > 1) all.emplace_back();
  return all;
}

Table loss_table(const Scope& scope, const std::vector<std::string>& arms) {
  Table table;
  table.title = "What the loss is made of";
  table.caption =
      "Macro AUROC, mean over severities, with 95 % interval, pointwise. Loss: clean minus "
      "corrupted; gain and structure sum to it. Positive is lost.";
  table.columns = {"Arm", "Artifact", "Loss", "Gain", "Structure", "Interaction"};
  table.heads = 2;
  for (const auto& arm : arms)
    for (const auto& artifact : artifacts_and_all(scope)) {
      const auto parts = results::decompose(scope.study, arm, artifact);
      std::vector<Cell> row = {{arm_name(arm)}, {artifact.value_or("all")}};
      add_differences(row, scope.study,
                      {parts.loss, parts.gain, parts.structure, parts.interaction});
      table.rows.push_back(std::move(row));
    }
  return table;
}

Table advantage_table(const Scope& scope, const std::vector<std::string>& arms) {
  Table table;
  table.title = "Corrupted, against " + arm_name(scope.baseline) + ", with and without gain";
  table.caption =
      "Difference of the macro AUROC, mean over severities, then artifacts, with 95 % interval. "
      "Interaction: as drawn minus gain-matched.";
  table.columns = {"Arm", "As drawn", "Gain-matched", "Interaction"};
  for (const auto& arm : arms) {
    if (arm == scope.baseline) continue;
    const auto a = results::advantage(scope.study, arm, scope.baseline);
    std::vector<Cell> row = {{arm_name(arm)}};
    add_differences(row, scope.study, {a.as_drawn, a.matched, a.interaction});
    table.rows.push_back(std::move(row));
  }
  return table;
}

Estimate youden(const Scope& scope, const Contrast& contrast) {
  return scope.study.estimate(contrast, results::macro, Metric::balanced_accuracy);
}

Table threshold_table(const Scope& scope, const std::vector<std::string>& arms) {
  Table table;
  table.title = "Ranking and threshold";
  table.caption =
      "Loss of sensitivity + specificity − 1, mean over labels and severities, with 95 % interval, "
      "pointwise, " +
      of_thresholds(scope.study) +
      ". Ranking: what is lost even with thresholds chosen on validation images under the "
      "artifact; "
      "threshold: what those would win back.";
  table.columns = {"Arm", "Artifact", "Loss", "Ranking", "Threshold"};
  table.heads = 2;
  for (const auto& arm : arms)
    for (const auto& artifact : artifacts_and_all(scope)) {
      const auto parts = results::threshold_loss(scope.study, arm, artifact);
      std::vector<Cell> row = {{arm_name(arm)}, {artifact.value_or("all")}};
      for (const auto& contrast : {parts.loss, parts.ranking, parts.threshold})
        row.push_back(difference_cell(youden(scope, contrast)));
      table.rows.push_back(std::move(row));
    }
  return table;
}

}  // namespace

Section decomposition(const Scope& scope) {
  Section section{"gain-structure", "Gain, structure and threshold", {}};
  if (const auto arms = decomposed_arms(scope); !arms.empty()) {
    section.blocks.emplace_back(Paragraph{
        "An artifact y of a clean image x has a gain g, the least-squares factor of y on x in the "
        "foreground, and a structure, y / g. With P the AUROC, gain = [(P(x) − P(gx)) + (P(y/g) − "
        "P(y))] / 2 and structure = [(P(x) − P(y/g)) + (P(gx) − P(y))] / 2; interaction = P(x) − "
        "P(gx) − P(y/g) + P(y). Dividing by g takes the clean image: it explains, and repairs "
        "nothing. A network whose input is standardised by its own intensities sees no gain that "
        "is common to the image."});
    section.blocks.emplace_back(loss_table(scope, arms));
    if (arms.front() == scope.baseline && arms.size() > 1)
      section.blocks.emplace_back(advantage_table(scope, arms));
  }
  for (auto& block : factorial_tables(scope)) section.blocks.push_back(std::move(block));
  if (const auto arms = retuned_arms(scope); !arms.empty())
    section.blocks.emplace_back(threshold_table(scope, arms));
  return section;
}

Json threshold_loss_json(const Scope& scope) {
  Json all = Json::array();
  for (const auto& arm : retuned_arms(scope))
    for (const auto& artifact : artifacts_and_all(scope)) {
      const auto j = results::threshold_loss(scope.study, arm, artifact);
      all.push_back({{"arm", arm},
                     {"artifact", artifact.value_or("all")},
                     {"loss", results::interval_json(youden(scope, j.loss))},
                     {"ranking", results::interval_json(youden(scope, j.ranking))},
                     {"threshold", results::interval_json(youden(scope, j.threshold))}});
    }
  return all;
}

Json decomposition_json(const Scope& scope) {
  Json all = Json::array();
  const auto arms = decomposed_arms(scope);
  const auto put = [&](Json& entry, const char* name, const Contrast& contrast) {
    entry[name] = interval_json(scope.study, contrast);
  };
  for (const auto& arm : arms)
    for (const auto& artifact : artifacts_and_all(scope)) {
      const auto parts = results::decompose(scope.study, arm, artifact);
      Json entry = {{"arm", arm}, {"artifact", artifact.value_or("all")}};
      put(entry, "loss", parts.loss);
      put(entry, "gain", parts.gain);
      put(entry, "structure", parts.structure);
      put(entry, "interaction", parts.interaction);
      if (!artifact && arm != scope.baseline && arms.front() == scope.baseline) {
        const auto a = results::advantage(scope.study, arm, scope.baseline);
        entry["advantage"] = Json::object();
        put(entry["advantage"], "as_drawn", a.as_drawn);
        put(entry["advantage"], "matched", a.matched);
        put(entry["advantage"], "interaction", a.interaction);
      }
      all.push_back(std::move(entry));
    }
  return all;
}

}  // namespace mr::report
