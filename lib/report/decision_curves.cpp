// Is it worth acting on the stated probabilities?
#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "report/curves.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

constexpr double in_table[] = {.05, .1, .2, .3, .5};

using Point = results::DecisionCurve::Point;

const Point* at(const results::DecisionCurve& curve, double probability) {
  const auto found = std::find_if(curve.points.begin(), curve.points.end(),
                                  [&](const Point& p) { return p.probability == probability; });
  return found == curve.points.end() ? nullptr : &*found;
}

Table benefit_table(const Scope& scope) {
  Table table;
  table.title = "Net benefit, by label";
  table.caption =
      "With 95 % interval over " + random_factors(scope.study) +
      ", pointwise. Numbered columns: the probability "
      "from "
      "which on one would act. All: of calling every sample positive; 0: of calling none.";
  table.columns = {"Label", "Images", "Arm"};
  for (const double p : in_table) table.columns.push_back(shortest(p));
  table.heads = 3;
  const auto& all = scope.decision_curves;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& curve = all[i];
    std::vector<Cell> row = {{scope.study.labels()[curve.label]}, {curve.images}};
    auto of_all = row;
    row.push_back({arm_name(curve.arm)});
    of_all.push_back({"all"});
    for (const double p : in_table) {
      const auto* point = at(curve, p);
      row.push_back(point ? difference_cell(point->net_benefit) : Cell{no_number, curve.reason});
      of_all.push_back(point ? Cell{difference(point->of_all)} : Cell{no_number, curve.reason});
    }
    table.rows.push_back(row);
    const bool last =
        i + 1 == all.size() || all[i + 1].label != curve.label || all[i + 1].images != curve.images;
    if (last) table.rows.push_back(of_all);
  }
  return table;
}

/// A line that leaves the panel below is cut there.
Curves::Point drawn(double x, const std::optional<double>& value, double floor) {
  Curves::Point point;
  point.x = x;
  if (value && *value >= floor) point.value = value;
  return point;
}

Figure benefit_figure(const Scope& scope, std::size_t begin, std::size_t end) {
  const auto& all = scope.decision_curves;
  Curves curves;
  curves.x_title = "acting from this probability on";
  curves.y_title = "net benefit";
  curves.reference = 0;
  double highest = 0.01;
  for (std::size_t i = begin; i < end; ++i)
    for (const auto& p : all[i].points)
      highest = std::max({highest, p.of_all, p.net_benefit.value.value_or(0)});
  curves.y_low = -0.25 * highest;
  curves.y_high = 1.05 * highest;
  const auto title = scope.study.labels()[all[begin].label] + ", " + all[begin].images;
  const auto alt = title + ". Net benefit over the probability from which on one would act.";
  for (std::size_t i = begin; i < end; ++i) {
    Curves::Series series{arm_name(all[i].arm), scope.style(all[i].arm), {}, {}};
    for (const auto& p : all[i].points) {
      series.points.push_back(drawn(p.probability, p.net_benefit.value, curves.y_low));
      series.points.back().low = p.net_benefit.low;
      series.points.back().high = p.net_benefit.high;
    }
    if (const auto* p = at(all[i], 0.2))
      series.alt = series.name + ": " + difference(*p->net_benefit.value) + " at 0.2.";
    curves.series.push_back(series);
  }
  Curves::Series of_all{"all positive", style_of_no_arm, {}, {}};
  for (const auto& p : all[begin].points)
    of_all.points.push_back(drawn(p.probability, p.of_all, curves.y_low));
  curves.series.push_back(of_all);
  return {"decision-" + slug(title), title, alt, curves};
}

}  // namespace

Section decision_curves(const Scope& scope) {
  Section section{"decision-curves", "Decision curves", {}};
  const auto& all = scope.decision_curves;
  FigureGroup group;
  group.title = "Net benefit of acting on the stated probability";
  group.caption =
      "True positives per sample, less the false ones times p / (1 − p), where a sample is called "
      "positive from a stated probability of p on (Vickers and Elkin 2006): p is how sure one "
      "wants "
      "to be before acting. An arm is worth using at p where it lies above 0 (dotted: nobody is "
      "called) and above the line of calling all. Ribbons: pointwise 95 % intervals.";
  if (scope.study.recalibrated() == results::Recalibrate::no)
    group.caption += " No scores were recalibrated.";
  group.caption += " At the prevalence of these samples.";
  for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    while (end < all.size() && all[end].label == all[begin].label &&
           all[end].images == all[begin].images)
      ++end;
    group.figures.push_back(benefit_figure(scope, begin, end));
  }
  group.numbers = benefit_table(scope);
  if (!all.empty()) section.blocks.emplace_back(group);
  return section;
}

Json decision_curves_json(const Scope& scope) {
  Json all = Json::array();
  for (const auto& curve : scope.decision_curves) {
    Json points = Json::array();
    for (const auto& p : curve.points) {
      Json point = {{"probability", p.probability}};
      point.update(results::interval_json(p.net_benefit));
      point["all_positive"] = p.of_all;
      points.push_back(std::move(point));
    }
    Json entry = {{"label", scope.study.labels()[curve.label]},
                  {"images", curve.images},
                  {"arm", curve.arm},
                  {"points", points}};
    if (!curve.reason.empty()) entry["reason"] = curve.reason;
    all.push_back(std::move(entry));
  }
  return all;
}

}  // namespace mr::report
