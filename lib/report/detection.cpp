// Do a network's own doubt, or the statistics that it meets, give an artifact away?
#include <algorithm>

#include "base/json.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

Table detection_table(const Scope& scope) {
  Table table;
  table.title = "Artifacts told from clean images";
  table.caption = "Each artifact at its highest severity. AUROC with 95 % interval, over " +
                  random_factors(scope.study) +
                  ", pointwise; 0.5 tells nothing apart. False alarms: share of the clean samples "
                  "that are flagged where 95 "
                  "% "
                  "of the artifact's are, mean over runs.";
  table.columns = {"Arm", "Artifact", "By", "AUROC", "False alarms"};
  table.heads = 3;
  for (const auto& arm : scope.arms())
    for (const auto& d : scope.detections)
      if (d.arm == arm)
        table.rows.push_back({{arm_name(arm)},
                              {d.artifact},
                              {results::name(d.sign)},
                              level_cell(d.auroc),
                              d.false_positive_rate ? Cell{level(*d.false_positive_rate)}
                                                    : Cell{no_number, d.auroc.reason}});
  return table;
}

bool any_distance(const Scope& scope) {
  return std::any_of(scope.detections.begin(), scope.detections.end(),
                     [](const results::Detection& d) { return d.sign == results::Sign::distance; });
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
      "the artifact pass." +
      std::string(any_distance(scope)
                      ? " Distance is how far the statistics of a sample in the network's batch "
                        "norms are from the running ones, in running standard deviations: the root "
                        "mean square over layers and channels of the 2-Wasserstein distance of "
                        "normal distributions."
                      : "")});
  section.blocks.emplace_back(detection_table(scope));
  return section;
}

Json detections_json(const Scope& scope) {
  Json all = Json::array();
  for (const auto& d : scope.detections)
    all.push_back({{"arm", d.arm},
                   {"artifact", d.artifact},
                   {"by", results::name(d.sign)},
                   {"severity", scope.study.severities(d.artifact).back()},
                   {"auroc", results::interval_json(d.auroc)},
                   {"false_positive_rate", or_null(d.false_positive_rate)}});
  return all;
}

}  // namespace mr::report
