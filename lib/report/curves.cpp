#include "report/curves.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/text.h"
#include "report/format.h"

namespace mr::report {
namespace {

Curves::Point point(double x, const Estimate& e) {
  Curves::Point p;
  p.x = x;
  p.value = e.value;
  p.low = e.low;
  p.high = e.high;
  return p;
}

}  // namespace

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
  for (const auto& [x, contrast] : contrasts) {
    series.points.push_back(point(x, scope.study.estimate(contrast, label, metric)));
    if (runs < 2) continue;
    const auto single = scope.study.each_run(contrast, label, metric);  // empty: undefined
    for (std::size_t r = 0; r < runs; ++r)
      series.runs[r].push_back(point(x, r < single.size() ? single[r] : Estimate{}));
  }
  return series;
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

std::string curve_alt(const std::string& what, const Curves& curves) {
  std::string text = what + " over severity.";
  for (const auto& series : curves.series) {
    const auto &first = series.points.front(), &last = series.points.back();
    if (first.value && last.value)
      text += " " + series.name + ": " + level(*first.value) + " at " + shortest(first.x) + ", " +
              level(*last.value) + " at " + shortest(last.x) + ".";
  }
  return text;
}

}  // namespace mr::report
