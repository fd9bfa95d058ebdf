#include "report/records.h"

#include "report/format.h"

namespace mr::report {
namespace {

/// One question of an arm, before label and metric.
struct Question {
  std::string artifact;
  std::optional<double> severity;
  bool corrupted = false;  // has a change from clean
  std::function<Contrast(const std::string& arm)> contrast;
};

std::vector<Question> questions(const Scope& scope) {
  const auto& study = scope.study;
  std::vector<Question> all;
  for (const auto& condition : study.conditions()) {
    const auto [artifact, severity] = columns_of(condition);
    all.push_back({artifact, severity, condition.kind != results::Kind::clean,
                   [&study, condition](const auto& arm) { return study.at(arm, condition); }});
  }
  for (const auto& artifact : scope.artifacts)
    all.push_back({artifact, {}, true, [&study, artifact](const auto& arm) {
                     return study.over_severities(arm, artifact);
                   }});
  if (scope.graded())
    all.push_back({"all", {}, true, [&study](const auto& arm) { return study.endpoint(arm); }});
  return all;
}

/// A record for each label and metric.
template <typename Use>
void each_measure(const Scope& scope, Record record, const Use& use) {
  for (const auto& [label_text, label] : all_labels(scope.study))
    for (const Metric metric : stats::all_metrics) {
      record.label = label_text;
      record.metric = metric;
      use(record, label);
    }
}

void levels(const Scope& scope, const Question& question, const std::string& arm,
            const std::function<void(const Record&)>& seen) {
  const auto& study = scope.study;
  const auto contrast = question.contrast(arm);
  Record start;
  start.arm = arm;
  start.artifact = question.artifact;
  start.severity = question.severity;
  each_measure(scope, start, [&](Record& record, Label label) {
    record.run.reset();
    record.estimate = study.estimate(contrast, label, record.metric);
    seen(record);
    const auto runs = study.runs(arm);
    const auto undefined = record.estimate;
    const auto single = study.each_run(contrast, label, record.metric);  // empty: undefined
    for (std::size_t r = 0; r < runs.size(); ++r) {
      record.run = runs[r];
      record.estimate = single.empty() ? undefined : single[r];
      seen(record);
    }
  });
}

/// The adjusted p values that the report prints: of the macro AUROC (or of the only label).
void adjust(const Scope& scope, Record& record, Label label,
            const std::vector<results::Comparison>& endpoint,
            const std::vector<results::Comparison>& cells) {
  record.p_adjusted.reset();
  record.adjustment.clear();
  const bool main_label = !label || scope.study.labels().size() == 1;
  if (!main_label || record.metric != Metric::auroc) return;
  const auto take = [&](const results::Comparison& comparison, const char* method) {
    record.p_adjusted = comparison.p_adjusted;
    if (record.p_adjusted) record.adjustment = method;
  };
  for (const auto& c : endpoint)
    if (record.artifact == "all" && c.arm == record.arm) take(c, "holm");
  for (const auto& c : cells)
    if (record.severity && c.condition->artifact == record.artifact &&
        c.condition->severity == *record.severity)
      take(c, "bh");
}

}  // namespace

const char* name(Quantity quantity) {
  switch (quantity) {
    case Quantity::level:
      return "level";
    case Quantity::change:
      return "change";
    case Quantity::difference:
      break;
  }
  return "difference";
}

void for_each_record(const Scope& scope, const std::function<void(const Record&)>& seen) {
  const auto& study = scope.study;
  const auto all = questions(scope);
  const auto endpoint =
      scope.graded() ? study.compare(scope.baseline) : std::vector<results::Comparison>{};
  for (const auto& arm : scope.arms()) {
    for (const auto& question : all) levels(scope, question, arm, seen);
    Record start;
    start.arm = arm;
    start.quantity = Quantity::change;
    for (const auto& question : all) {
      if (!study.has_clean() || !question.corrupted) continue;
      start.artifact = question.artifact;
      start.severity = question.severity;
      each_measure(scope, start, [&](Record& record, Label label) {
        record.estimate =
            study.estimate(question.contrast(arm) - study.clean(arm), label, record.metric);
        seen(record);
      });
    }
    if (arm == scope.baseline) continue;
    const auto cells =
        scope.graded() ? study.heat_map(arm, scope.baseline) : std::vector<results::Comparison>{};
    start.quantity = Quantity::difference;
    start.reference = scope.baseline;
    for (const auto& question : all) {
      start.artifact = question.artifact;
      start.severity = question.severity;
      each_measure(scope, start, [&](Record& record, Label label) {
        record.estimate = study.estimate(question.contrast(arm) - question.contrast(scope.baseline),
                                         label, record.metric);
        adjust(scope, record, label, endpoint, cells);
        seen(record);
      });
    }
  }
}

}  // namespace mr::report
