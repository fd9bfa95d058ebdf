#include "report/training.h"

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "report/curves.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

using results::Epoch;
using results::TrainingLog;

Curves::Point point(const Epoch& epoch, double value) {
  Curves::Point p;
  p.x = static_cast<double>(epoch.epoch);
  p.value = value;
  return p;
}

/// For those who cannot see it: a normalization's best epochs and their values.
std::string alt_of(const Curves::Series& series) {
  const auto by = [](auto member) {
    return [member](const auto& a, const auto& b) { return a.*member < b.*member; };
  };
  const auto [low, high] =
      std::minmax_element(series.marks.begin(), series.marks.end(), by(&Curves::Point::value));
  const auto [first, last] =
      std::minmax_element(series.marks.begin(), series.marks.end(), by(&Curves::Point::x));
  return series.name + ": " + level(*low->value) + " to " + level(*high->value) + " in epochs " +
         shortest(first->x) + " to " + shortest(last->x) + ".";
}

constexpr const char* how_drawn = " over epochs, a line for each run, a sign at its best epoch.";

/// A thin line per run, in the style of its normalization, with a sign at its best epoch.
template <typename Measure>
Curves curves_of(const Trainings& trainings, const std::string& name, const Measure& measure) {
  Curves curves;
  curves.x_title = "epoch";
  curves.y_title = name;
  for (const auto& normalization : trainings.normalizations()) {
    Curves::Series series{normalization, trainings.style(normalization), {}, {}};
    for (const auto& log : trainings.logs()) {
      if (log.normalization != normalization) continue;
      series.runs.emplace_back();
      series.run_names.push_back(std::to_string(log.seed));
      for (const auto& epoch : log.epochs)
        series.runs.back().push_back(point(epoch, measure(epoch)));
      series.marks.push_back(point(log.best(), measure(log.best())));
    }
    series.alt = alt_of(series);
    curves.series.push_back(series);
  }
  return curves;
}

Figure loss_figure(const Trainings& trainings) {
  auto curves =
      curves_of(trainings, "mean over draws", [](const Epoch& e) { return e.train_loss; });
  double high = 0;
  for (const auto& log : trainings.logs())
    for (const auto& epoch : log.epochs) high = std::max(high, epoch.train_loss);
  curves.y_high = high > 0 ? 1.05 * high : 1;
  return {"training-loss", "Training loss", std::string("Training loss") + how_drawn, curves};
}

Figure auroc_figure(const Trainings& trainings) {
  auto curves =
      curves_of(trainings, "mean over labels", [](const Epoch& e) { return e.val_auroc_mean; });
  curves.reference = 0.5;
  FigureGroup alone;
  alone.figures.push_back({"validation-auroc", "Validation AUROC",
                           std::string("Mean validation AUROC") + how_drawn, curves});
  share_range(alone);
  return alone.figures.front();
}

Table table_of(const Trainings& trainings) {
  Table table;
  table.title = "Best epochs";
  table.columns = {"Normalization", "Training log",     "Seed",
                   "Learning rate", "Weight decay",     "Epochs",
                   "Best epoch",    "Validation AUROC", "Stopped by"};
  table.heads = 2;
  for (const auto& log : trainings.logs())
    table.rows.push_back({{log.normalization},
                          {file_name(log.path)},
                          {std::to_string(log.seed)},
                          {shortest(log.learning_rate)},
                          {shortest(log.weight_decay)},
                          {std::to_string(log.epochs.size())},
                          {std::to_string(log.best_epoch)},
                          {level(log.best().val_auroc_mean)},
                          {log.stopped}});
  return table;
}

std::string runs_in_words(const Trainings& trainings) {
  std::vector<std::string> parts;
  for (const auto& normalization : trainings.normalizations()) {
    const auto n =
        std::count_if(trainings.logs().begin(), trainings.logs().end(),
                      [&](const TrainingLog& log) { return log.normalization == normalization; });
    parts.push_back(normalization + " (" + plural(static_cast<std::size_t>(n), "run") + ")");
  }
  return listed(parts);
}

}  // namespace

Trainings::Trainings(std::vector<TrainingLog> logs, const std::vector<std::string>& arms)
    : names_(arms), logs_(std::move(logs)) {
  const auto add = [&](const std::string& name) {
    if (std::find(names_.begin(), names_.end(), name) == names_.end()) names_.push_back(name);
  };
  for (const auto& log : logs_)
    if (log.normalization == "batch") add("batch");
  for (const auto& log : logs_) add(log.normalization);
  std::stable_sort(logs_.begin(), logs_.end(), [&](const TrainingLog& a, const TrainingLog& b) {
    return place(a.normalization) < place(b.normalization);
  });
}

std::vector<std::string> Trainings::normalizations() const {
  std::vector<std::string> names;
  for (const auto& log : logs_)
    if (names.empty() || names.back() != log.normalization) names.push_back(log.normalization);
  return names;
}

std::size_t Trainings::style(const std::string& normalization) const {
  return style_of(place(normalization), names_.size());
}

std::size_t Trainings::place(const std::string& normalization) const {
  return static_cast<std::size_t>(std::find(names_.begin(), names_.end(), normalization) -
                                  names_.begin());
}

Section training(const Trainings& trainings) {
  Section section{"training", "Training", {}};
  if (trainings.logs().empty()) return section;
  section.blocks.emplace_back(Paragraph{
      "Learning curves of " + runs_in_words(trainings) +
      ". Of each run the epoch with the best mean validation AUROC was kept. That value was chosen "
      "as the best of many, so it flatters: it ranks settings, and is no measure of performance."});
  FigureGroup group;
  group.title = "Learning curves";
  group.caption =
      "A line for each run; its sign is at the best epoch. The level dotted line, where it is in "
      "range, is chance.";
  group.figures = {loss_figure(trainings), auroc_figure(trainings)};
  group.numbers = table_of(trainings);
  section.blocks.emplace_back(group);
  return section;
}

Document training_document(const Trainings& trainings, const Json& provenance) {
  Document document;
  document.title = "Training for MR image diagnosis";
  document.subtitle = plural(trainings.normalizations().size(), "normalization") + ", " +
                      plural(trainings.logs().size(), "run");
  document.sections = {training(trainings), origin(provenance)};
  spread_curves(document);
  return document;
}

Json training_json(const Trainings& trainings) {
  Json runs = Json::array();
  for (const auto& log : trainings.logs()) {
    Json epochs = Json::array();
    for (const auto& e : log.epochs)
      epochs.push_back({{"epoch", e.epoch},
                        {"train_loss", e.train_loss},
                        {"val_loss", e.val_loss},
                        {"val_auroc_mean", e.val_auroc_mean}});
    runs.push_back({{"log", log.path},
                    {"normalization", log.normalization},
                    {"seed", log.seed},
                    {"learning_rate", log.learning_rate},
                    {"weight_decay", log.weight_decay},
                    {"best_epoch", log.best_epoch},
                    {"val_auroc_mean", log.best().val_auroc_mean},
                    {"stopped", log.stopped},
                    {"epochs", epochs}});
  }
  return runs;
}

std::string training_csv(const Trainings& trainings) {
  std::string text =
      "log,norm,seed,learning_rate,weight_decay,epochs,best_epoch,val_auroc_mean,stopped\n";
  for (const auto& log : trainings.logs())
    text += csv_line({log.path, log.normalization, std::to_string(log.seed),
                      shortest(log.learning_rate), shortest(log.weight_decay),
                      std::to_string(log.epochs.size()), std::to_string(log.best_epoch),
                      shortest(log.best().val_auroc_mean), log.stopped});
  return text;
}

}  // namespace mr::report
