// Normalizations crossed with standardisations of the input: what of an advantage is being robust
// to gain, and what a standardisation does instead (analysis.md 4).
#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "base/text.h"
#include "report/format.h"
#include "report/sections.h"
#include "results/decomposition.h"
#include "stats/decision.h"

namespace mr::report {
namespace {

/// A plain arm: no adaptation, no augmentation.
struct Level {
  std::string arm, norm, standardisation;
};

std::vector<Level> levels_of(const Scope& scope) {
  std::vector<Level> all;
  for (const auto& arm : scope.arms())
    if (const auto trained = plain_training(scope.study, arm);
        trained && trained->augmentation.empty())
      all.push_back({arm, trained->norm, trained->standardisation});
  return all;
}

/// One normalization against the baseline's, both with one standardisation.
struct Pair {
  std::string norm, standardisation;
  results::Advantage advantage;
  bool matched;  // evaluated with the gain matched, too
};

/// None unless the baseline's normalization was trained with two standardisations or more.
std::vector<Pair> pairs_of(const Scope& scope) {
  std::vector<Pair> all;
  const auto baseline = plain_training(scope.study, scope.baseline);
  if (!scope.graded() || !baseline) return all;
  const auto levels = levels_of(scope);
  const auto is_reference = [&](const Level& level) { return level.norm == baseline->norm; };
  if (std::count_if(levels.begin(), levels.end(), is_reference) < 2) return all;
  for (const auto& reference : levels)
    if (is_reference(reference))
      for (const auto& level : levels)
        if (!is_reference(level) && level.standardisation == reference.standardisation)
          all.push_back({level.norm, level.standardisation,
                         results::advantage(scope.study, level.arm, reference.arm),
                         scope.study.has_parts(level.arm) && scope.study.has_parts(reference.arm)});
  return all;
}

/// How much of a normalization's advantage without standardisation is gone with one.
struct Effect {
  std::string norm, standardisation;
  Contrast without, with;
};

std::vector<Effect> effects_of(const std::vector<Pair>& pairs) {
  std::vector<Effect> all;
  for (const auto& none : pairs)
    if (none.standardisation == "none")
      for (const auto& pair : pairs)
        if (pair.norm == none.norm && pair.standardisation != "none")
          all.push_back(
              {pair.norm, pair.standardisation, none.advantage.as_drawn, pair.advantage.as_drawn});
  return all;
}

/// A standardisation that divides by what scales with the gain: networks then see the same with
/// the gain as drawn and matched.
bool ignores_gain(const std::string& standardisation, const std::string& gain_of) {
  if (standardisation == "slice-zscore") return true;
  return standardisation == "volume-percentile" && gain_of == "volume";
}

constexpr double rounding = 1e-12;  // of sums of AUROCs that are equal one by one

/// The endpoint as drawn minus gain-matched, which must be 0.
struct Equality {
  std::string arm;
  Estimate difference;
  std::optional<double>
      p;               // that it is as large as the margin; none of a difference without spread
  bool shown = false;  // equal, or within the margin
};

std::vector<Equality> equalities_of(const Scope& scope) {
  std::vector<Equality> all;
  const auto& grid = scope.study.common().grid;
  if (!grid.contains("gain_of") || !grid["gain_of"].is_string()) return all;
  const auto rule = scope.rule();
  for (const auto& level : levels_of(scope)) {
    if (!scope.study.has_parts(level.arm) ||
        !ignores_gain(level.standardisation, grid["gain_of"].get<std::string>()))
      continue;
    const auto& study = scope.study;
    Equality e{level.arm,
               study.estimate(study.endpoint(level.arm) -
                              study.endpoint(level.arm, results::Part::structure)),
               {},
               false};
    e.p = stats::p_within(e.difference, rule.margin);
    e.shown = (e.p && *e.p < rule.alpha) ||
              (e.difference.value && std::abs(*e.difference.value) < rounding);
    all.push_back(std::move(e));
  }
  return all;
}

Table pair_table(const Scope& scope, const std::vector<Pair>& pairs) {
  const bool matched =
      std::any_of(pairs.begin(), pairs.end(), [](const Pair& pair) { return pair.matched; });
  Table table;
  table.title =
      "Against the same standardisation of " + plain_training(scope.study, scope.baseline)->norm;
  table.caption =
      "Difference of the macro AUROC on corrupted images between two normalizations trained with "
      "one standardisation of the input, with 95 % interval, pointwise." +
      std::string(matched ? " Interaction: as drawn minus gain-matched, what of the advantage is "
                            "being robust to gain."
                          : "");
  table.columns = {"Normalization", "Standardisation", "As drawn"};
  if (matched) table.columns.insert(table.columns.end(), {"Gain-matched", "Interaction"});
  table.heads = 2;
  for (const auto& pair : pairs) {
    std::vector<Cell> row = {{pair.norm}, {pair.standardisation}};
    add_differences(row, scope.study, {pair.advantage.as_drawn});
    if (matched)
      add_differences(row, scope.study, {pair.advantage.matched, pair.advantage.interaction});
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table effect_table(const Scope& scope, const std::vector<Effect>& effects) {
  Table table;
  table.title = "What standardisation takes from the choice of the normalization";
  table.caption =
      "The advantage as drawn without standardisation, with it, and the first minus the second, "
      "with 95 % interval, pointwise.";
  table.columns = {"Normalization", "Standardisation", "Without", "With", "Without minus with"};
  table.heads = 2;
  for (const auto& effect : effects) {
    std::vector<Cell> row = {{effect.norm}, {effect.standardisation}};
    add_differences(row, scope.study, {effect.without, effect.with, effect.without - effect.with});
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table equality_table(const Scope& scope, const std::vector<Equality>& equalities) {
  Table table;
  table.title = "Equal by construction";
  table.caption =
      "The input of these arms is standardised by intensities that scale with the gain, so the "
      "macro AUROC on corrupted images as drawn and gain-matched must be equal, but for rounding "
      "to an image's integers. p: two one-sided tests against a difference of " +
      level(scope.rule().margin) + " (Schuirmann 1987), level " + shortest(scope.rule().alpha) +
      ". Where equality is not shown, something else than the gain was matched.";
  table.columns = {"Arm", "As drawn minus gain-matched", "p", "Equal"};
  for (const auto& e : equalities)
    table.rows.push_back({{arm_name(e.arm)},
                          difference_cell(e.difference),
                          p_cell(e.p, "no spread"),
                          {e.shown ? "yes" : "not shown"}});
  return table;
}

}  // namespace

std::vector<Block> factorial_tables(const Scope& scope) {
  std::vector<Block> blocks;
  const auto pairs = pairs_of(scope);
  const auto effects = effects_of(pairs);
  const auto equalities = equalities_of(scope);
  if (!pairs.empty()) blocks.emplace_back(pair_table(scope, pairs));
  if (!effects.empty()) blocks.emplace_back(effect_table(scope, effects));
  if (!equalities.empty()) blocks.emplace_back(equality_table(scope, equalities));
  return blocks;
}

Json factorial_json(const Scope& scope) {
  const auto interval = [&](const Contrast& contrast) {
    return interval_json(scope.study, contrast);
  };
  Json advantages = Json::array(), effects = Json::array(), equalities = Json::array();
  const auto pairs = pairs_of(scope);
  for (const auto& pair : pairs) {
    advantages.push_back({{"normalization", pair.norm},
                          {"standardisation", pair.standardisation},
                          {"as_drawn", interval(pair.advantage.as_drawn)}});
    if (!pair.matched) continue;
    advantages.back()["matched"] = interval(pair.advantage.matched);
    advantages.back()["interaction"] = interval(pair.advantage.interaction);
  }
  for (const auto& effect : effects_of(pairs))
    effects.push_back({{"normalization", effect.norm},
                       {"standardisation", effect.standardisation},
                       {"without", interval(effect.without)},
                       {"with", interval(effect.with)},
                       {"change", interval(effect.without - effect.with)}});
  for (const auto& e : equalities_of(scope)) {
    equalities.push_back({{"arm", e.arm},
                          {"difference", results::interval_json(e.difference)},
                          {"p", or_null(e.p)},
                          {"shown", e.shown}});
  }
  return {{"advantages", advantages}, {"effects", effects}, {"equalities", equalities}};
}

}  // namespace mr::report
