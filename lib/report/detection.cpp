// Does a network's own doubt give an artifact away?
#include "base/json.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

Table detection_table(const Scope& scope) {
  Table table;
  table.title = "Artifacts told from clean images by doubt";
  table.caption =
      "Each artifact at its highest severity. AUROC with 95 % interval, over subjects and runs, "
      "pointwise; 0.5 is none. False alarms: share of the clean samples that are flagged where 95 "
      "% "
      "of the artifact's are, mean over runs.";
  table.columns = {"Arm", "Artifact", "AUROC", "False alarms"};
  table.heads = 2;
  for (const auto& arm : scope.arms())
    for (const auto& d : scope.detections)
      if (d.arm == arm)
        table.rows.push_back({{arm_name(arm)},
                              {d.artifact},
                              level_cell(d.auroc),
                              d.false_positive_rate ? Cell{level(*d.false_positive_rate)}
                                                    : Cell{no_number, d.auroc.reason}});
  return table;
}

}  // namespace

Section detection(const Scope& scope) {
  Section section{"detection", "Artifact detection", {}};
  if (scope.detections.empty()) return section;
  section.blocks.emplace_back(Paragraph{
      "A network that fails under an artifact does little harm where its own doubt says so. Doubt "
      "is "
      "the mean over labels of the entropy of the stated probability (Hendrycks and Gimpel 2017). "
      "An AUROC near 0.5, or below it, says that a quality check by the network's scores would let "
      "the artifact pass."});
  section.blocks.emplace_back(detection_table(scope));
  return section;
}

Json detections_json(const Scope& scope) {
  Json all = Json::array();
  for (const auto& d : scope.detections)
    all.push_back({{"arm", d.arm},
                   {"artifact", d.artifact},
                   {"severity", scope.study.severities(d.artifact).back()},
                   {"auroc", results::interval_json(d.auroc)},
                   {"false_positive_rate", or_null(d.false_positive_rate)}});
  return all;
}

}  // namespace mr::report
