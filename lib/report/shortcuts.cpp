// What could be guessed without looking at the image.
#include "results/shortcuts.h"

#include "base/json.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
Section shortcuts(const Scope& scope) {
  Section section{"shortcuts", "Shortcuts", {}};
  const auto found = results::shortcuts(scope.study.common());
  if (found.empty()) return section;
  Table table;
  table.title = "What ranks the labels without the image";
  table.caption =
      "AUROC of one fact alone, with 95 % interval by subjects. Far from 0.5, above or below it: "
      "the label could be guessed from this fact, and a network that finds it in the image need "
      "not see the disease. Position: order of the samples of an image, from 0 to 1. Mean "
      "intensity: of the input before "
      "standardisation. An attribute of several values ranks by how common the label is with each "
      "among the clean validation samples.";
  table.columns = {"Fact"};
  for (const auto& label : scope.study.labels()) table.columns.push_back(label);
  for (const auto& shortcut : found) {
    std::vector<Cell> row = {{shortcut.fact}};
    for (const auto& e : shortcut.auroc) row.push_back(level_cell(e));
    table.rows.push_back(row);
  }
  section.blocks.emplace_back(table);
  return section;
}

Json shortcuts_json(const Scope& scope) {
  Json all = Json::array();
  for (const auto& shortcut : results::shortcuts(scope.study.common()))
    for (std::size_t l = 0; l < shortcut.auroc.size(); ++l) {
      Json entry = {{"fact", shortcut.fact}, {"label", scope.study.labels()[l]}};
      entry.update(results::interval_json(shortcut.auroc[l]));
      all.push_back(std::move(entry));
    }
  return all;
}

}  // namespace mr::report
