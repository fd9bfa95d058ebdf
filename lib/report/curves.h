// report/: curves over severity, as several sections draw them.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/document.h"
#include "report/scope.h"

namespace mr::report {

/// The style of a curve that is the i-th of n: of the first, the baseline, 0; of the others 1 to 6,
/// which begin anew where a drawing would hold more of them (spread_curves).
std::size_t style_of(std::size_t i, std::size_t n);
constexpr std::size_t style_of_no_arm = 7;  // a line for comparison

/// Figures of more curves than can be told apart become several: each has the baseline and what is
/// no arm, and some of the others.
void spread_curves(Document& document);

std::vector<std::string> severity_names(const Scope& scope);  // column heads

/// An arm's curve through contrasts at their x, with each run where there are several.
Curves::Series series_of(const Scope& scope, const std::string& arm,
                         const std::vector<std::pair<double, Contrast>>& contrasts, Label label,
                         Metric metric);

/// The range of y: from a little below the lowest value, bound or reference to a little above the
/// highest.
void fit_range(Curves& curves);

/// One range of y for all panels of a group, from the lowest value or bound to the highest.
void share_range(FigureGroup& group);

/// A metric as a section shows it over severity.
struct ShownMetric {
  Metric metric;
  std::string name;
  std::optional<double> wanted = {};  // drawn as a line
};

/// By label, metric and arm: clean, at each severity (mean over artifacts), under other conditions.
Table metric_table(const Scope& scope, const std::vector<ShownMetric>& metrics,
                   const std::string& title, const std::string& caption);

/// A panel for each metric, mean over labels and artifacts; each has a y range of its own.
std::vector<Figure> metric_figures(const Scope& scope, const std::vector<ShownMetric>& metrics,
                                   const std::string& file_prefix);

}  // namespace mr::report
