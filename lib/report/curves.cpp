#include "report/curves.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/text.h"
#include "report/format.h"

namespace mr::report {
namespace {

constexpr std::size_t most_candidates = 6;  // in one drawing

Curves::Point point(double x, const Estimate& e) {
  Curves::Point p;
  p.x = x;
  p.value = e.value;
  p.low = e.low;
  p.high = e.high;
  return p;
}

/// For those who cannot see it: the first and last value.
std::string series_alt(const Curves::Series& series) {
  if (series.points.empty()) return "";
  const auto &first = series.points.front(), &last = series.points.back();
  if (!first.value || !last.value) return "";
  return series.name + ": " + level(*first.value) + " at " + shortest(first.x) + ", " +
         level(*last.value) + " at " + shortest(last.x) + ".";
}

std::vector<std::pair<double, Contrast>> over_severity(const Scope& scope, const std::string& arm) {
  std::vector<std::pair<double, Contrast>> all;
  if (scope.study.has_clean()) all.emplace_back(0, scope.study.clean(arm));
  for (const double s : scope.severities)
    if (s > 0 || all.empty()) all.emplace_back(s, scope.study.at_severity(arm, s));
  return all;
}

}  // namespace

std::size_t style_of(std::size_t i, std::size_t n) {
  if (i == 0) return 0;
  const auto others = n - 1;
  const auto parts = (others + most_candidates - 1) / most_candidates;
  return 1 + (i - 1) % ((others + parts - 1) / parts);
}

namespace {

std::vector<Figure> spread(const Figure& figure) {
  const auto* curves = std::get_if<Curves>(&figure.chart);
  if (!curves) return {figure};
  const auto of_all = [](const Curves::Series& series) {
    return series.style == 0 || series.style == style_of_no_arm;
  };
  std::vector<std::size_t> part_of;  // [series]
  std::size_t parts = 1, last = 0;
  for (const auto& series : curves->series) {
    if (!of_all(series)) {
      if (series.style <= last) ++parts;
      last = series.style;
    }
    part_of.push_back(parts - 1);
  }
  if (parts == 1) return {figure};
  std::vector<Figure> all;
  for (std::size_t part = 0; part < parts; ++part) {
    auto some = *curves;
    some.series.clear();
    for (std::size_t s = 0; s < part_of.size(); ++s)
      if (part_of[s] == part || of_all(curves->series[s])) some.series.push_back(curves->series[s]);
    const auto number = std::to_string(part + 1);
    all.push_back({figure.file + "-" + number,
                   figure.title + " (" + number + " of " + std::to_string(parts) + ")", figure.alt,
                   std::move(some)});
  }
  return all;
}

}  // namespace

void spread_curves(Document& document) {
  for (auto& section : document.sections)
    for (auto& block : section.blocks) {
      auto* group = std::get_if<FigureGroup>(&block);
      if (!group) continue;
      std::vector<Figure> figures;
      for (const auto& figure : group->figures)
        for (auto& part : spread(figure)) figures.push_back(std::move(part));
      group->figures = std::move(figures);
    }
}

std::vector<std::string> severity_names(const Scope& scope) {
  std::vector<std::string> names;
  std::transform(scope.severities.begin(), scope.severities.end(), std::back_inserter(names),
                 shortest);
  return names;
}

Curves::Series series_of(const Scope& scope, const std::string& arm,
                         const std::vector<std::pair<double, Contrast>>& contrasts, Label label,
                         Metric metric) {
  Curves::Series series{arm_name(arm), scope.style(arm), {}, {}};
  const auto runs = scope.study.runs(arm).size();
  if (runs > 1) series.runs.resize(runs);
  for (const auto run : scope.study.runs(arm)) series.run_names.push_back(std::to_string(run));
  for (const auto& [x, contrast] : contrasts) {
    series.points.push_back(point(x, scope.study.estimate(contrast, label, metric)));
    if (runs < 2) continue;
    const auto single = scope.study.each_run(contrast, label, metric);  // empty: undefined
    for (std::size_t r = 0; r < runs; ++r)
      series.runs[r].push_back(point(x, r < single.size() ? single[r] : Estimate{}));
  }
  series.alt = series_alt(series);
  return series;
}

void fit_range(Curves& curves) {
  std::optional<double> low = curves.reference, high = curves.reference;
  const auto see = [&](const std::optional<double>& v) {
    if (!v) return;
    low = std::min(low.value_or(*v), *v);
    high = std::max(high.value_or(*v), *v);
  };
  for (const auto& series : curves.series) {
    for (const auto& p : series.points)
      for (const auto& v : {p.value, p.low, p.high}) see(v);
    for (const auto& run : series.runs)
      for (const auto& p : run) see(p.value);
  }
  if (!low) return;  // nothing to draw
  const double margin = std::max(0.05 * (*high - *low), 1e-3);
  curves.y_low = *low - margin;
  curves.y_high = *high + margin;
}

void share_range(FigureGroup& group) {
  double low = 1, high = 0;
  const auto see = [&](const Interval& v) {
    if (!v.value) return;
    low = std::min({low, *v.value, v.low.value_or(1)});
    high = std::max({high, *v.value, v.high.value_or(0)});
  };
  for (const auto& figure : group.figures)
    for (const auto& series : std::get<Curves>(figure.chart).series) {
      for (const auto& p : series.points) see(p);
      for (const auto& run : series.runs)
        for (const auto& p : run) see(Interval{p.value, {}, {}});
    }
  if (low > high) return;                           // nothing to draw: the range stays 0 to 1
  const double steps = high - low > 0.3 ? 10 : 20;  // per unit
  low = std::max(0.0, std::floor(low * steps) / steps);
  high = std::min(1.0, std::ceil(high * steps) / steps);
  for (auto& figure : group.figures) {
    auto& curves = std::get<Curves>(figure.chart);
    curves.y_low = low;
    curves.y_high = std::max(high, low + 0.05);
  }
}

Table metric_table(const Scope& scope, const std::vector<ShownMetric>& metrics,
                   const std::string& title, const std::string& caption) {
  Table table;
  table.title = title;
  table.caption =
      caption + (scope.graded() ? " Numbered columns: severity, mean over artifacts." : "");
  table.heads = 3;
  table.columns = {"Label", "Metric", "Arm"};
  if (scope.study.has_clean()) table.columns.push_back("clean");
  for (const auto& severity : severity_names(scope)) table.columns.push_back(severity);
  for (const auto& condition : scope.others) table.columns.push_back(condition_name(condition));
  for (std::size_t l = 0; l < scope.study.labels().size(); ++l)
    for (const auto& shown : metrics)
      for (const auto& arm : scope.arms()) {
        std::vector<Cell> row = {{scope.study.labels()[l]}, {shown.name}, {arm_name(arm)}};
        for (const auto& step : over_severity(scope, arm))
          row.push_back(level_cell(scope.study.estimate(step.second, l, shown.metric)));
        for (const auto& condition : scope.others)
          row.push_back(
              level_cell(scope.study.estimate(scope.study.at(arm, condition), l, shown.metric)));
        table.rows.push_back(row);
      }
  return table;
}

std::vector<Figure> metric_figures(const Scope& scope, const std::vector<ShownMetric>& metrics,
                                   const std::string& file_prefix) {
  std::vector<Figure> figures;
  for (const auto& shown : metrics) {
    Curves curves;
    curves.x_title = "severity";
    curves.y_title = scope.study.labels().size() > 1 ? "mean over labels" : shown.name;
    curves.reference = shown.wanted;
    for (const auto& arm : scope.arms())
      curves.series.push_back(
          series_of(scope, arm, over_severity(scope, arm), results::macro, shown.metric));
    fit_range(curves);
    figures.push_back({file_prefix + slug(shown.name), shown.name,
                       "Mean " + shown.name + " over severity.", curves});
  }
  return figures;
}

}  // namespace mr::report
