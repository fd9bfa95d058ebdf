// Why: what the batch norms are given under a condition, what their own statistics would repair,
// and how scores answer to exact changes of the input.
#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "base/text.h"
#include "report/curves.h"
#include "report/format.h"
#include "report/sections.h"
#include "stats/correlation.h"

namespace mr::report {
namespace {

using results::ExplainedRun;
using results::Findings;
using results::LayerShift;
using results::Spread;
using results::Swap;

constexpr std::size_t fewest_conditions = 5;  // of a rank correlation

/// Of one arm, in the order of the study: clean first, runs side by side.
std::vector<const ExplainedRun*> explained(const Scope& scope, const std::string& arm) {
  std::vector<const ExplainedRun*> all;
  for (const auto& one : scope.study.explained())
    if (one.arm == arm) all.push_back(&one);
  return all;
}

/// Its runs under one condition.
std::vector<const ExplainedRun*> explained(const Scope& scope, const std::string& arm,
                                           const Condition& condition) {
  std::vector<const ExplainedRun*> runs;
  for (const auto* one : explained(scope, arm))
    if (one->condition == condition) runs.push_back(one);
  return runs;
}

bool has_batch_norm(const Scope& scope) {
  const auto& all = scope.study.explained();
  return std::any_of(all.begin(), all.end(),
                     [](const ExplainedRun& one) { return !one.findings.swaps.empty(); });
}

/// In order of appearance, those in which layers were measured.
std::vector<Condition> conditions_with_layers(const Scope& scope) {
  std::vector<Condition> all;
  for (const auto& one : scope.study.explained())
    if (!one.findings.layers.empty() &&
        std::find(all.begin(), all.end(), one.condition) == all.end())
      all.push_back(one.condition);
  return all;
}

std::optional<double> mean(const std::vector<std::optional<double>>& values) {
  double sum = 0, n = 0;
  for (const auto& value : values) {
    if (!value) continue;
    sum += *value;
    ++n;
  }
  return n > 0 ? std::optional<double>(sum / n) : std::nullopt;
}

// --- depth profiles

struct Profile {
  const char *file, *title, *y_title;
  Spread LayerShift::*spread;
};
constexpr Profile profiles[] = {
    {"shift", "shift of the mean", "median |shift|, standard deviations", &LayerShift::shift},
    {"gain", "gain", "median |ln gain|", &LayerShift::log_gain}};

std::vector<Curves::Point> points_of(const Findings& findings, const Profile& profile) {
  std::vector<Curves::Point> points;
  for (const auto& layer : findings.layers) {
    Curves::Point point;
    point.x = static_cast<double>(points.size() + 1);
    point.value = (layer.*profile.spread).median;
    points.push_back(point);
  }
  return points;
}

std::vector<Curves::Point> mean_of(const std::vector<std::vector<Curves::Point>>& runs) {
  std::vector<Curves::Point> points;
  for (std::size_t i = 0;; ++i) {
    std::vector<std::optional<double>> values;
    for (const auto& run : runs)
      if (i < run.size()) values.push_back(run[i].value);
    if (values.empty()) return points;
    Curves::Point point;
    point.x = static_cast<double>(i + 1);
    point.value = mean(values);
    points.push_back(point);
  }
}

std::string profile_alt(const Curves::Series& series) {
  const auto above = [](const Curves::Point& a, const Curves::Point& b) {
    return a.value.value_or(-1) < b.value.value_or(-1);
  };
  const auto highest = std::max_element(series.points.begin(), series.points.end(), above);
  if (highest == series.points.end() || !highest->value) return "";
  return series.name + ": at most " + level(*highest->value) + ", in layer " +
         shortest(highest->x) + ".";
}

Curves curves_of(const Scope& scope, const std::string& arm, const Profile& profile) {
  Curves curves;
  curves.x_title = "norm layer, in the order in which they are run";
  curves.y_title = profile.y_title;
  curves.reference = 0;
  const auto conditions = conditions_with_layers(scope);
  for (std::size_t c = 0; c < conditions.size(); ++c) {
    Curves::Series series{condition_name(conditions[c]), style_of(c, conditions.size()), {}, {}};
    for (const auto* one : explained(scope, arm, conditions[c])) {
      series.runs.push_back(points_of(one->findings, profile));
      series.run_names.push_back(std::to_string(one->run));
    }
    series.points = mean_of(series.runs);
    if (series.runs.size() == 1) series.runs.clear();
    series.alt = profile_alt(series);
    if (!series.points.empty()) curves.series.push_back(std::move(series));
  }
  return curves;
}

Cell spread_number(const std::optional<double>& value) {
  return value
             ? Cell{level(*value)}
             : Cell{no_number, "infinite, or the variance of all channels is below ten times eps"};
}

const Swap* find_swap(const Findings& findings, Swap::Kind kind, const std::string& layer = "") {
  for (const auto& swap : findings.swaps)
    if (swap.kind == kind && swap.layer == layer) return &swap;
  return nullptr;
}

Cell change_cell(const Swap* swap) {
  return swap ? difference_cell(swap->change) : Cell{no_number, "not evaluated"};
}

/// Mean over runs of a number that each has; none where none has it.
template <typename Number>
std::optional<double> mean_over(const std::vector<const ExplainedRun*>& runs, Number number) {
  std::vector<std::optional<double>> values;
  for (const auto* one : runs) values.push_back(number(one->findings));
  return mean(values);
}

/// One layer under one condition.
std::vector<Cell> layer_row(const std::vector<const ExplainedRun*>& runs, std::size_t l) {
  const auto& layer = runs[0]->findings.layers[l];
  std::vector<Cell> row = {{arm_name(runs[0]->arm)},
                           {condition_name(runs[0]->condition)},
                           {std::to_string(l + 1)},
                           {layer.name},
                           {results::name(layer.reference)}};
  for (const auto spread :
       {&LayerShift::shift, &LayerShift::log_gain, &LayerShift::kl, &LayerShift::w2})
    for (const auto share : {&Spread::median, &Spread::p95})
      row.push_back(
          spread_number(mean_over(runs, [&](const Findings& findings) -> std::optional<double> {
            if (l >= findings.layers.size()) return {};
            return (findings.layers[l].*spread).*share;
          })));
  for (const auto kind : {Swap::Kind::only, Swap::Kind::all_but}) {
    const auto change = mean_over(runs, [&](const Findings& findings) -> std::optional<double> {
      const auto* swap = find_swap(findings, kind, layer.name);
      return swap ? swap->change.value : std::nullopt;
    });
    const bool running = layer.reference == LayerShift::Reference::running;
    row.push_back(change ? Cell{difference(*change)}
                         : Cell{no_number, running ? "no AUROC" : "no running statistics"});
  }
  return row;
}

Table layer_table(const Scope& scope) {
  Table table;
  table.title = "Every norm layer";
  table.caption =
      "Means over runs; report.json has each run. Against: the running statistics of batch norm, "
      "or "
      "what the layer is given of clean images. Over channels: median and 95th percentile. KL: "
      "Kullback-Leibler divergence from these; W2: squared 2-Wasserstein distance in units of "
      "their "
      "variance; both of normal distributions. "
      "Alone, all but: change of the macro AUROC where that layer alone, or every other one, "
      "normalises with the condition's statistics.";
  table.columns = {"Arm",  "Condition", "Layer", "Name", "Against", "Shift", "95 %",   "|ln gain|",
                   "95 %", "KL",        "95 %",  "W2",   "95 %",    "Alone", "All but"};
  table.heads = 5;
  for (const auto& arm : scope.arms())
    for (const auto& condition : conditions_with_layers(scope)) {
      const auto runs = explained(scope, arm, condition);
      for (std::size_t l = 0; !runs.empty() && l < runs[0]->findings.layers.size(); ++l)
        table.rows.push_back(layer_row(runs, l));
    }
  return table;
}

FigureGroup depth_profiles(const Scope& scope) {
  FigureGroup group;
  group.title = "What the norm layers are given, by depth";
  group.caption =
      "Against the running statistics of batch norm, or what the layer is given of clean images: "
      "distance of a channel's mean in standard deviations, and |ln| of the ratio of standard "
      "deviations; median over channels. Lines: means over runs; thin lines: single runs. At the "
      "dotted line the input is what training left, or that of clean images.";
  for (const auto& profile : profiles) {
    std::vector<Figure> panels;
    Curves all;
    all.reference = 0;
    for (const auto& arm : scope.arms()) {
      auto curves = curves_of(scope, arm, profile);
      if (curves.series.empty()) continue;
      all.series.insert(all.series.end(), curves.series.begin(), curves.series.end());
      const auto title = arm_name(arm) + ": " + profile.title;
      panels.push_back({std::string("depth-") + profile.file + "-" + slug(arm), title,
                        title + ", by norm layer.", std::move(curves)});
    }
    fit_range(all);
    for (auto& panel : panels) {
      std::get<Curves>(panel.chart).y_low = all.y_low;
      std::get<Curves>(panel.chart).y_high = all.y_high;
      group.figures.push_back(std::move(panel));
    }
  }
  group.numbers = layer_table(scope);
  group.numbers_shown = false;
  return group;
}

// --- swaps

/// The swap of one layer (only, all_but) with the highest AUROC, or the lowest.
const Swap* extreme_swap(const Findings& findings, Swap::Kind kind, bool highest) {
  const Swap* found = nullptr;
  for (const auto& swap : findings.swaps) {
    if (swap.kind != kind || !swap.auroc.value) continue;
    const double sign = highest ? 1 : -1;
    if (!found || sign * *swap.auroc.value > sign * *found->auroc.value) found = &swap;
  }
  return found;
}

/// The change, and the layer by its place in the order.
Cell placed_change(const Findings& findings, const Swap* swap) {
  auto cell = change_cell(swap);
  for (std::size_t l = 0; swap && l < findings.layers.size(); ++l)
    if (findings.layers[l].name == swap->layer)
      cell.text = "layer " + std::to_string(l + 1) + ": " + cell.text;
  return cell;
}

Table swap_table(const Scope& scope) {
  Table table;
  table.title = "Statistics put in";
  table.caption =
      "Macro AUROC of the samples that were looked at, and its change where norm layers normalise "
      "with the condition's own statistics; 95 % intervals over subjects, for this trained "
      "network. Layers are numbered as in the figure. Best alone: the one layer that repairs most "
      "by itself. Missed most: all layers but the one whose absence leaves the least. The best and "
      "the least of so many are in part luck.";
  table.columns = {"Arm",  "Condition", "Run",        "As it is",   "All",
                   "Mean", "Variance",  "Best alone", "Missed most"};
  table.heads = 3;
  for (const auto& arm : scope.arms())
    for (const auto* one : explained(scope, arm)) {
      const auto* as_it_is = find_swap(one->findings, Swap::Kind::none);
      if (!as_it_is) continue;
      std::vector<Cell> row = {{arm_name(arm)},
                               {condition_name(one->condition)},
                               {std::to_string(one->run)},
                               level_cell(as_it_is->auroc)};
      for (const auto kind : {Swap::Kind::all, Swap::Kind::mean, Swap::Kind::variance})
        row.push_back(change_cell(find_swap(one->findings, kind)));
      row.push_back(
          placed_change(one->findings, extreme_swap(one->findings, Swap::Kind::only, true)));
      row.push_back(
          placed_change(one->findings, extreme_swap(one->findings, Swap::Kind::all_but, false)));
      table.rows.push_back(std::move(row));
    }
  return table;
}

// --- probes

std::string probe_name(const results::Probe& probe) {
  if (probe.gain != 1) return "times " + shortest(probe.gain);
  return (probe.offset < 0 ? "minus " : "plus ") + shortest(std::abs(probe.offset));
}

Table probe_table(const Scope& scope) {
  Table table;
  table.title = "Exact changes of the input";
  table.caption =
      "Clean images, after preprocessing and its standardisation, times a number or with one added "
      "to "
      "every pixel; a scanner's gain reaches the network only where that leaves it. "
      "|Change of the logit| over samples and labels; macro AUROC with its change, as above. A "
      "network that does not see such a change has zeros here.";
  table.columns = {"Arm", "Run", "Input", "Median", "Largest", "Macro AUROC", "Change"};
  table.heads = 3;
  for (const auto& arm : scope.arms())
    for (const auto* one : explained(scope, arm))
      for (const auto& probe : one->findings.probes) {
        const auto number = [](const std::optional<double>& value) {
          return value ? Cell{level(*value)} : Cell{no_number, "infinite"};
        };
        table.rows.push_back({{arm_name(arm)},
                              {std::to_string(one->run)},
                              {probe_name(probe)},
                              number(probe.median),
                              number(probe.maximum),
                              level_cell(probe.auroc),
                              difference_cell(probe.change)});
      }
  return table;
}

// --- what is said of all conditions

struct Correlation {
  std::string arm;
  std::int64_t run;
  std::size_t conditions;
  std::optional<double> value;
};

/// Mean over layers of the median W2.
std::optional<double> distance(const Findings& findings) {
  std::vector<std::optional<double>> medians;
  for (const auto& layer : findings.layers) medians.push_back(layer.w2.median);
  return mean(medians);
}

std::optional<double> plain_auroc(const Findings& findings) {
  const auto* as_it_is = find_swap(findings, Swap::Kind::none);
  return as_it_is ? as_it_is->auroc.value : std::nullopt;
}

/// Of distance and loss over the conditions of each run that has enough of them.
std::vector<Correlation> correlations(const Scope& scope) {
  std::vector<Correlation> all;
  for (const auto& arm : scope.arms())
    for (const auto run : scope.study.runs(arm)) {
      std::optional<double> clean;
      std::vector<double> distances, losses;
      for (const auto* one : explained(scope, arm)) {
        if (one->run != run) continue;
        const auto auroc = plain_auroc(one->findings), far = distance(one->findings);
        if (one->condition.kind == results::Kind::clean) {
          clean = auroc;
        } else if (clean && auroc && far) {
          distances.push_back(*far);
          losses.push_back(*clean - *auroc);
        }
      }
      if (distances.size() >= fewest_conditions)
        all.push_back({arm, run, distances.size(), stats::spearman(distances, losses)});
    }
  return all;
}

Table correlation_table(const std::vector<Correlation>& all) {
  Table table;
  table.title = "Distance and loss";
  table.caption =
      "Spearman's rank correlation, over the conditions looked at, of the mean over layers of the "
      "median W2 with the loss of macro AUROC. 1: the further the statistics, the greater the "
      "loss. Conditions were chosen, not drawn, so there is no interval.";
  table.columns = {"Arm", "Run", "Conditions", "Correlation"};
  table.heads = 2;
  for (const auto& one : all)
    table.rows.push_back(
        {{arm_name(one.arm)},
         {std::to_string(one.run)},
         {std::to_string(one.conditions)},
         one.value ? Cell{minus_sign(fixed(*one.value, 2))} : Cell{no_number, "all are equal"}});
  return table;
}

std::string eps_audit(const Scope& scope) {
  std::string text;
  for (const auto& arm : scope.arms()) {
    std::int64_t channels = 0, below = 0, below_10 = 0;
    for (const auto* one : explained(scope, arm))
      if (one->condition.kind == results::Kind::clean)
        for (const auto& layer : one->findings.layers) {
          channels += layer.channels;
          below += layer.below_eps;
          below_10 += layer.below_10_eps;
        }
    if (channels == 0) continue;
    text += " " + arm_name(arm) + ": of " + std::to_string(channels) + " channels over all runs, " +
            std::to_string(below) + " have a running variance below eps and " +
            std::to_string(below_10) + " below ten times eps.";
  }
  if (text.empty()) return text;
  return "Where eps, which guards the division, is as large as the variance it rules the layer's "
         "output; such channels are left out of KL and W2." +
         text;
}

std::string what_it_is(const Scope& scope) {
  const auto samples = static_cast<std::size_t>(scope.study.explained()[0].findings.samples);
  std::string text =
      "On " + plural(samples, "sample") +
      " (slices, or images without slices, whatever this report's level), drawn by the seed, with "
      "clean images as the reference.";
  if (has_batch_norm(scope))
    text +=
        " Batch norm normalises with statistics of training. What each layer is given under a "
        "condition is compared with them while all layers normalise as trained: it shows what the "
        "layers before let through. Then the networks were scored again with statistics of the "
        "condition's own images, without their labels, in place of the running ones. Where that "
        "repairs a loss, and does not do the same to clean images, the loss is one of statistics; "
        "where it does not, it lies in the images or in the weights. It takes a set of images of "
        "one condition, so it explains a loss and is no result of the network as it is deployed.";
  if (!conditions_with_layers(scope).empty())
    text +=
        " Norms that take their statistics from each image have none to be wrong: what they are "
        "given is compared with that of the same images when clean, and they take the difference "
        "of mean and variance away, as far as it is one of the image.";
  return text;
}

}  // namespace

Section diagnostics(const Scope& scope) {
  Section section{"diagnostics", "Diagnostics: why", {}};
  if (scope.study.explained().empty()) return section;
  section.blocks.emplace_back(Paragraph{what_it_is(scope)});
  if (!conditions_with_layers(scope).empty()) section.blocks.emplace_back(depth_profiles(scope));
  if (has_batch_norm(scope)) {
    section.blocks.emplace_back(Paragraph{eps_audit(scope)});
    section.blocks.emplace_back(swap_table(scope));
    const auto all = correlations(scope);
    if (!all.empty()) section.blocks.emplace_back(correlation_table(all));
  }
  section.blocks.emplace_back(probe_table(scope));
  return section;
}

Json diagnostics_json(const Scope& scope) {
  Json runs = Json::array(), all = Json::array();
  for (const auto& arm : scope.arms())
    for (const auto* one : explained(scope, arm)) {
      const auto [artifact, severity] = columns_of(one->condition);
      Json entry = {
          {"arm", arm}, {"run", one->run}, {"artifact", artifact}, {"severity", or_null(severity)}};
      entry.update(results::to_json(one->findings));
      runs.push_back(std::move(entry));
    }
  for (const auto& one : correlations(scope))
    all.push_back({{"arm", one.arm},
                   {"run", one.run},
                   {"conditions", one.conditions},
                   {"spearman", or_null(one.value)}});
  return {{"runs", std::move(runs)}, {"correlations", std::move(all)}};
}

}  // namespace mr::report
