// Artifact by severity: heat maps, degradation curves, and paired differences by artifact.
#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/json.h"
#include "base/text.h"
#include "report/curves.h"
#include "report/format.h"
#include "report/sections.h"
#include "stats/multiplicity.h"

namespace mr::report {
namespace {

constexpr double significant = 0.05;  // level of the marks

Condition condition_of(const std::string& artifact, double severity) {
  return {results::Kind::artifact, artifact, severity};
}

// --- heat maps

struct MapCell {
  Estimate estimate;
  std::optional<double> p_adjusted;
};

/// Cells by artifact and severity, one map per arm.
using MapCells = std::vector<std::vector<MapCell>>;

MapCells baseline_cells(const Scope& scope, const std::string& arm) {
  MapCells cells(scope.artifacts.size(), std::vector<MapCell>(scope.severities.size()));
  for (auto& row : cells)
    for (auto& cell : row) cell.estimate.reason = "not evaluated";
  for (const auto& c : scope.study.heat_map(arm, scope.baseline)) {
    const auto a = std::find(scope.artifacts.begin(), scope.artifacts.end(), c.condition->artifact);
    const auto s =
        std::find(scope.severities.begin(), scope.severities.end(), c.condition->severity);
    if (a == scope.artifacts.end() || s == scope.severities.end()) continue;
    cells[static_cast<std::size_t>(a - scope.artifacts.begin())]
         [static_cast<std::size_t>(s - scope.severities.begin())] = {c.difference, c.p_adjusted};
  }
  return cells;
}

MapCells change_cells(const Scope& scope, const std::string& arm) {
  MapCells cells;
  for (const auto& artifact : scope.artifacts) {
    cells.emplace_back();
    for (const double severity : scope.severities)
      cells.back().push_back(
          {scope.study.estimate(scope.study.at(arm, condition_of(artifact, severity)) -
                                scope.study.clean(arm)),
           {}});
  }
  return cells;
}

std::string tooltip(const Condition& condition, const MapCell& cell) {
  const auto& e = cell.estimate;
  std::string text = condition_name(condition) + ": ";
  if (!e.value) return text + "no value: " + e.reason;
  text += difference(*e.value);
  text += e.low ? ", 95 % interval " + difference(*e.low) + " to " + difference(*e.high)
                : ", no interval: " + e.reason;
  if (e.p) text += ", p " + p_value(*e.p);
  if (cell.p_adjusted) text += ", adjusted " + p_value(*cell.p_adjusted);
  return text;
}

HeatMap heat_map_of(const Scope& scope, const MapCells& cells) {
  HeatMap map;
  map.rows = scope.artifacts;
  map.columns = severity_names(scope);
  map.column_title = "severity";
  for (std::size_t a = 0; a < cells.size(); ++a) {
    map.tiles.emplace_back();
    for (std::size_t s = 0; s < cells[a].size(); ++s) {
      const auto& cell = cells[a][s];
      HeatMap::Tile tile;
      tile.value = cell.estimate.value;
      tile.low = cell.estimate.low;
      tile.high = cell.estimate.high;
      tile.marked = cell.p_adjusted && *cell.p_adjusted < significant;
      tile.tooltip = tooltip(condition_of(scope.artifacts[a], scope.severities[s]), cell);
      map.tiles.back().push_back(tile);
    }
  }
  return map;
}

void add_rows(Table& table, const Scope& scope, const std::string& arm, const MapCells& cells) {
  for (std::size_t a = 0; a < cells.size(); ++a) {
    std::vector<Cell> row = {{arm_name(arm)}, {scope.artifacts[a]}};
    for (const auto& cell : cells[a]) {
      Cell printed = difference_cell(cell.estimate);
      printed.marked = cell.p_adjusted && *cell.p_adjusted < significant;
      row.push_back(printed);
    }
    table.rows.push_back(row);
  }
}

/// One colour scale for all maps of a group, so that they can be compared.
void share_scale(FigureGroup& group) {
  double limit = 0.05;
  for (const auto& figure : group.figures)
    for (const auto& row : std::get<HeatMap>(figure.chart).tiles)
      for (const auto& tile : row) limit = std::max(limit, std::abs(tile.value.value_or(0)));
  limit = std::ceil(limit * 20 - 1e-9) / 20;  // to the next .05
  for (auto& figure : group.figures) std::get<HeatMap>(figure.chart).limit = limit;
}

std::string strongest(const Scope& scope, const MapCells& cells) {
  const Estimate* low = nullptr;
  std::string where;
  for (std::size_t a = 0; a < cells.size(); ++a)
    for (std::size_t s = 0; s < cells[a].size(); ++s) {
      const auto& e = cells[a][s].estimate;
      if (!e.value || (low && std::abs(*low->value) >= std::abs(*e.value))) continue;
      low = &e;
      where = condition_name(condition_of(scope.artifacts[a], scope.severities[s]));
    }
  return low ? " Largest: " + difference(*low->value) + " at " + where + "." : "";
}

Figure map_figure(const Scope& scope, const std::string& title, const std::string& file,
                  const MapCells& cells, const std::string& negative, const std::string& positive) {
  auto map = heat_map_of(scope, cells);
  map.negative = negative;
  map.positive = positive;
  return {file, title,
          title + ": heat map of macro AUROC differences, artifacts by severity." +
              strongest(scope, cells),
          map};
}

Table severity_table(const Scope& scope, const std::string& title) {
  Table table;
  table.title = title;
  table.heads = 2;
  table.columns = {"Arm", "Artifact"};
  for (const auto& severity : severity_names(scope)) table.columns.push_back(severity);
  return table;
}

FigureGroup baseline_maps(const Scope& scope) {
  const auto name = arm_name(scope.baseline);
  FigureGroup group;
  group.title = "Difference from " + name + ", artifact by severity";
  group.caption =
      "Macro AUROC, arm minus " + name + ". Blue: better than " + name + ", orange: worse. " +
      std::string(mark) +
      " marks cells with p < .05 after "
      "Benjamini-Hochberg adjustment over the cells of one arm. Intervals are pointwise.";
  group.numbers = severity_table(scope, group.title);
  group.numbers.caption = group.caption;
  for (const auto& arm : scope.candidates) {
    const auto cells = baseline_cells(scope, arm);
    group.figures.push_back(map_figure(scope, arm_name(arm) + " minus " + name,
                                       "difference-" + slug(arm), cells, "worse", "better"));
    add_rows(group.numbers, scope, arm, cells);
  }
  group.numbers_shown = false;
  share_scale(group);
  return group;
}

FigureGroup change_maps(const Scope& scope) {
  FigureGroup group;
  group.title = "Change from clean, artifact by severity";
  group.caption =
      "Macro AUROC under the artifact minus clean, for each arm. Orange: loss, blue: gain. "
      "Intervals are pointwise.";
  group.numbers = severity_table(scope, group.title);
  group.numbers.caption = group.caption;
  for (const auto& arm : scope.arms()) {
    const auto cells = change_cells(scope, arm);
    group.figures.push_back(map_figure(scope, arm_name(arm) + ": change from clean",
                                       "change-" + slug(arm), cells, "loss", "gain"));
    add_rows(group.numbers, scope, arm, cells);
  }
  group.numbers_shown = false;
  share_scale(group);
  return group;
}

// --- curves

/// The conditions of one curve: clean at 0, where it was evaluated, and each severity.
std::vector<std::pair<double, Contrast>> steps(const Scope& scope, const std::string& arm,
                                               const std::string& artifact) {
  std::vector<std::pair<double, Contrast>> all;
  if (scope.study.has_clean()) all.emplace_back(0, scope.study.clean(arm));
  for (const double severity : scope.study.severities(artifact))
    if (severity > 0 || all.empty())
      all.emplace_back(severity, scope.study.at(arm, condition_of(artifact, severity)));
  return all;
}

Table curve_numbers(const Scope& scope) {
  Table table;
  table.heads = 2;
  table.title = "Macro AUROC by severity";
  table.caption = "With 95 % interval by " + random_factors(scope.study) + ", pointwise.";
  table.columns = {"Artifact", "Arm"};
  if (scope.study.has_clean()) table.columns.push_back("clean");
  for (const auto& severity : severity_names(scope)) table.columns.push_back(severity);
  for (const auto& artifact : scope.artifacts)
    for (const auto& arm : scope.arms()) {
      std::vector<Cell> row = {{artifact}, {arm_name(arm)}};
      if (scope.study.has_clean())
        row.push_back(level_cell(scope.study.estimate(scope.study.clean(arm))));
      for (const double severity : scope.severities)
        row.push_back(level_cell(
            scope.study.estimate(scope.study.at(arm, condition_of(artifact, severity)))));
      table.rows.push_back(row);
    }
  return table;
}

// --- paired differences by artifact

struct Paired {
  std::string artifact, arm;
  Estimate difference;
  std::optional<double> p_adjusted;
};

/// By artifact, then arm; Benjamini-Hochberg over the artifacts of each arm.
std::vector<Paired> paired_by_artifact(const Scope& scope) {
  const auto& study = scope.study;
  std::vector<Paired> all;
  for (const auto& artifact : scope.artifacts)
    for (const auto& arm : scope.candidates)
      all.push_back({artifact,
                     arm,
                     study.estimate(study.over_severities(arm, artifact) -
                                    study.over_severities(scope.baseline, artifact)),
                     {}});
  for (const auto& arm : scope.candidates) {
    std::vector<Paired*> family;
    std::vector<double> p;
    for (auto& pair : all)
      if (pair.arm == arm && pair.difference.p) {
        family.push_back(&pair);
        p.push_back(*pair.difference.p);
      }
    const auto adjusted = stats::benjamini_hochberg(p);
    for (std::size_t i = 0; i < family.size(); ++i) family[i]->p_adjusted = adjusted[i];
  }
  return all;
}

Table paired_table(const Scope& scope, const std::vector<Paired>& pairs) {
  Table table;
  table.heads = 2;
  table.title = "Paired differences by artifact";
  table.caption = "Macro AUROC, arm minus " + arm_name(scope.baseline) + ", mean over " +
                  severity_range(scope) +
                  ". BH: p adjusted by Benjamini-Hochberg over the artifacts of one arm.";
  table.columns = {"Artifact", "Arm", "Difference", "p", "BH"};
  for (const auto& pair : pairs)
    table.rows.push_back({{pair.artifact},
                          {arm_name(pair.arm)},
                          difference_cell(pair.difference),
                          p_cell(pair.difference.p, pair.difference.reason),
                          p_cell(pair.p_adjusted, pair.difference.reason)});
  return table;
}

Forest::Row forest_row(const Scope& scope, const std::string& group, const std::string& arm,
                       const Estimate& e, bool strong) {
  Forest::Row row;
  row.value = e.value;
  row.low = e.low;
  row.high = e.high;
  row.group = group;
  row.name = arm_name(arm);
  row.style = scope.style(arm);
  row.strong = strong;
  return row;
}

Figure forest_figure(const Scope& scope, const std::vector<Paired>& pairs) {
  const auto& study = scope.study;
  const auto baseline = arm_name(scope.baseline);
  Forest forest;
  forest.x_title = "macro AUROC minus that of " + baseline + " (right of 0: better)";
  for (const auto& pair : pairs)
    forest.rows.push_back(forest_row(scope, pair.artifact, pair.arm, pair.difference, false));
  std::string alt = "Forest plot of differences from " + baseline + " by artifact. All artifacts:";
  for (const auto& arm : scope.candidates) {
    const auto e = study.estimate(study.endpoint(arm) - study.endpoint(scope.baseline));
    forest.rows.push_back(forest_row(scope, "all artifacts", arm, e, true));
    alt += " " + arm_name(arm) + " " + difference_cell(e).text + " (" +
           difference_cell(e).interval + ").";
  }
  return {"paired-differences", "Difference from " + baseline + ", mean over severities", alt,
          forest};
}

FigureGroup paired_figure(const Scope& scope) {
  const auto pairs = paired_by_artifact(scope);
  FigureGroup group;
  group.title = "Differences by artifact";
  group.caption = "Bars: 95 % intervals by " + random_factors(scope.study) +
                  ", pointwise. The last rows are the endpoint, the mean over all artifacts.";
  group.figures = {forest_figure(scope, pairs)};
  group.numbers = paired_table(scope, pairs);
  return group;
}

/// Of single runs, where nothing is known of a training anew.
Table exchange_table(const Scope& scope) {
  Table table;
  table.title = "Single networks: exchange of ranks";
  table.caption =
      "Macro AUROC, arm minus " + arm_name(scope.baseline) +
      ", of the one run that each has; highest severity: mean over artifacts. p: how often a "
      "difference as large arises where each subject's ranks within the two networks are exchanged "
      "at random (of all ways where they are few). It tests that the two networks are "
      "exchangeable, not that their AUROCs are equal, and says nothing of a training anew. Not "
      "adjusted for their number.";
  table.columns = {"Arm", "Images", "Difference", "p", "Exchanges"};
  table.heads = 2;
  for (const auto& [arm, images, test] : scope.exchanges)
    table.rows.push_back(
        {{arm_name(arm)},
         {images},
         test.difference ? Cell{difference(*test.difference)} : Cell{no_number, test.reason},
         p_cell(test.p, test.reason),
         {test.exact ? "all " + std::to_string(test.exchanges) : std::to_string(test.exchanges)}});
  return table;
}

}  // namespace

Section heat_maps(const Scope& scope) {
  Section section{"artifact-by-severity", "Artifact by severity", {}};
  if (!scope.graded()) return section;
  if (!scope.candidates.empty()) section.blocks.emplace_back(baseline_maps(scope));
  if (scope.study.has_clean()) section.blocks.emplace_back(change_maps(scope));
  return section;
}

Section degradation(const Scope& scope) {
  Section section{"degradation", "Degradation curves", {}};
  if (!scope.graded()) return section;
  FigureGroup group;
  group.title = "Macro AUROC over severity";
  group.caption = "Lines: means over runs; ribbons: 95 % intervals by " +
                  random_factors(scope.study) + ", pointwise; thin lines: single runs. " +
                  (scope.study.has_clean() ? "Severity 0 is the clean image. " : "") +
                  "The dotted line, where it is in range, is chance.";
  for (const auto& artifact : scope.artifacts) {
    Curves curves;
    curves.x_title = "severity";
    curves.y_title = "macro AUROC";
    curves.reference = 0.5;
    for (const auto& arm : scope.arms())
      curves.series.push_back(
          series_of(scope, arm, steps(scope, arm, artifact), results::macro, Metric::auroc));
    group.figures.push_back(
        {"curve-" + slug(artifact), artifact, artifact + ": macro AUROC over severity.", curves});
  }
  share_range(group);
  group.numbers = curve_numbers(scope);
  group.numbers_shown = false;
  section.blocks.emplace_back(group);
  return section;
}

Section paired_differences(const Scope& scope) {
  Section section{"paired-differences", "Paired differences", {}};
  if (scope.graded() && !scope.candidates.empty())
    section.blocks.emplace_back(paired_figure(scope));
  if (!scope.exchanges.empty()) section.blocks.emplace_back(exchange_table(scope));
  return section;
}

Json exchanges_json(const Scope& scope) {
  Json all = Json::array();
  for (const auto& [arm, images, test] : scope.exchanges) {
    Json entry = {{"arm", arm},           {"reference", scope.baseline},
                  {"images", images},     {"difference", or_null(test.difference)},
                  {"p", or_null(test.p)}, {"exchanges", test.exchanges},
                  {"exact", test.exact}};
    if (!test.reason.empty()) entry["reason"] = test.reason;
    all.push_back(std::move(entry));
  }
  return all;
}

}  // namespace mr::report
