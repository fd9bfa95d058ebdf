// What adaptation and augmentation win on corrupted images, what they cost on clean ones, and
// whether they leave anything to the choice of the normalization.
#include <set>

#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

/// The arm that differs by the augmentation alone.
std::string with_augmentation(const std::string& normalization, const std::string& augmentation) {
  auto trained = results::parse_training(normalization);
  trained.augmentation = augmentation;
  return trained.name();
}

/// An arm that is another one adapted or trained with augmentation.
struct Remedy {
  std::string arm, from;
  std::string
      recalibrated;  // the arm whose statistics were measured anew on clean images; "": none
};

std::vector<Remedy> remedies_of(const Scope& scope) {
  std::vector<Remedy> all;
  if (!scope.graded() || !scope.study.has_clean()) return all;
  for (const auto& arm : scope.arms()) {
    const auto& model = any_model(scope.study, arm);
    const bool adapted = !model.adaptation.empty();
    const auto from = adapted ? model.normalization : with_augmentation(model.normalization, "");
    if (from == arm || !scope.study.has(from)) continue;
    const auto recalibrated = model.normalization + "+recalibrate";
    const bool compare = adapted && recalibrated != arm && scope.study.has(recalibrated);
    all.push_back({arm, from, compare ? recalibrated : ""});
  }
  return all;
}

Contrast won(const Scope& scope, const Remedy& r) {
  return scope.study.endpoint(r.arm) - scope.study.endpoint(r.from);
}
Contrast price(const Scope& scope, const Remedy& r) {
  return scope.study.clean(r.from) - scope.study.clean(r.arm);
}
Contrast over_recalibration(const Scope& scope, const Remedy& r) {
  return scope.study.endpoint(r.arm) - scope.study.endpoint(r.recalibrated);
}

/// An arm against the baseline, both plain and both trained with one augmentation.
struct Gap {
  std::string arm, augmentation;
  Contrast without, with;
};

/// Of one standardisation: a gap between two would be of both.
std::vector<Gap> gaps_of(const Scope& scope) {
  std::vector<Gap> all;
  if (!scope.graded()) return all;
  const auto& study = scope.study;
  const auto baseline = plain_training(study, scope.baseline);
  if (!baseline || !baseline->augmentation.empty()) return all;
  std::set<std::string> augmentations;
  for (const auto& arm : scope.candidates)
    if (const auto trained = plain_training(study, arm); trained && !trained->augmentation.empty())
      augmentations.insert(trained->augmentation);
  for (const auto& arm : scope.candidates) {
    const auto trained = plain_training(study, arm);
    if (!trained || !trained->augmentation.empty() ||
        trained->standardisation != baseline->standardisation)
      continue;
    for (const auto& augmentation : augmentations) {
      const auto with = with_augmentation(arm, augmentation);
      const auto baseline_with = with_augmentation(scope.baseline, augmentation);
      if (study.has(with) && study.has(baseline_with))
        all.push_back({arm, augmentation, study.endpoint(arm) - study.endpoint(scope.baseline),
                       study.endpoint(with) - study.endpoint(baseline_with)});
    }
  }
  return all;
}

Table remedy_table(const Scope& scope, const std::vector<Remedy>& all) {
  Table table;
  table.title = "What adaptation and augmentation win, and cost";
  table.caption =
      "Macro AUROC with 95 % interval, paired by subject, pointwise. Won: on corrupted images, "
      "mean "
      "over severities, then artifacts. Price: lost on clean images. Over recalibration: won "
      "beyond "
      "statistics measured anew on clean training images, which adapt to nothing.";
  table.columns = {"Arm", "From", "Won", "Price", "Over recalibration"};
  table.heads = 2;
  for (const auto& r : all)
    table.rows.push_back({{arm_name(r.arm)},
                          {arm_name(r.from)},
                          difference_cell(scope.study.estimate(won(scope, r))),
                          difference_cell(scope.study.estimate(price(scope, r))),
                          r.recalibrated.empty() ? Cell{}
                                                 : difference_cell(scope.study.estimate(
                                                       over_recalibration(scope, r)))});
  return table;
}

Table gap_table(const Scope& scope, const std::vector<Gap>& all) {
  Table table;
  table.title = "Does augmentation close the gap to " + arm_name(scope.baseline) + "?";
  table.caption =
      "Difference of the macro AUROC on corrupted images from " + arm_name(scope.baseline) +
      ", both trained without and both trained with the augmentation, with 95 % interval, "
      "pointwise. Where the gap with it is near 0, the choice of the normalization is moot.";
  table.columns = {"Arm", "Augmentation", "Without", "With", "With minus without"};
  table.heads = 2;
  for (const auto& gap : all) {
    std::vector<Cell> row = {{arm_name(gap.arm)}, {gap.augmentation}};
    add_differences(row, scope.study, {gap.without, gap.with, gap.with - gap.without});
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

Section remedies(const Scope& scope) {
  Section section{"remedies", "What helps", {}};
  const auto all = remedies_of(scope);
  const auto gaps = gaps_of(scope);
  if (!all.empty()) section.blocks.emplace_back(remedy_table(scope, all));
  if (!gaps.empty()) section.blocks.emplace_back(gap_table(scope, gaps));
  return section;
}

Json remedies_json(const Scope& scope) {
  Json all = Json::array();
  const auto interval = [&](const Contrast& contrast) {
    return interval_json(scope.study, contrast);
  };
  for (const auto& r : remedies_of(scope)) {
    all.push_back({{"arm", r.arm},
                   {"from", r.from},
                   {"won", interval(won(scope, r))},
                   {"price", interval(price(scope, r))}});
    if (!r.recalibrated.empty())
      all.back()["over_recalibration"] = interval(over_recalibration(scope, r));
  }
  return all;
}

Json augmentation_gaps_json(const Scope& scope) {
  Json all = Json::array();
  const auto interval = [&](const Contrast& contrast) {
    return interval_json(scope.study, contrast);
  };
  for (const auto& gap : gaps_of(scope))
    all.push_back({{"arm", gap.arm},
                   {"reference", scope.baseline},
                   {"augmentation", gap.augmentation},
                   {"without", interval(gap.without)},
                   {"with", interval(gap.with)},
                   {"change", interval(gap.with - gap.without)}});
  return all;
}

}  // namespace mr::report
