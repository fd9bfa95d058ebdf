#include "report/scope.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "report/curves.h"
#include "report/format.h"

namespace mr::report {

std::vector<std::string> Scope::arms() const {
  std::vector<std::string> all = {baseline};
  all.insert(all.end(), candidates.begin(), candidates.end());
  return all;
}

std::vector<std::string> Scope::arms_where(
    const std::function<bool(const std::string&)>& wanted) const {
  std::vector<std::string> all;
  for (auto& arm : arms())
    if (wanted(arm)) all.push_back(std::move(arm));
  return all;
}

std::size_t Scope::style(const std::string& arm) const {
  const auto all = arms();
  return style_of(static_cast<std::size_t>(std::find(all.begin(), all.end(), arm) - all.begin()),
                  all.size());
}

PlannedStudy read_plan(const std::string& path) {
  return {file_name(path), sha256_file(path), results::read_protocol(path)};
}

namespace {

std::string default_baseline(const Study& study) {
  if (study.has("batch")) return "batch";
  for (const auto& arm : study.arms())
    if (const auto trained = plain_training(study, arm);
        trained && trained->norm == "batch" && trained->augmentation.empty())
      return arm;
  return study.arms().front();
}

}  // namespace

Scope make_scope(const Study& study, const std::string& asked,
                 const std::optional<PlannedStudy>& protocol) {
  Scope scope{study, asked, {}, study.artifacts(), {}, {}, {}, protocol, {}, {}, {}, {}, {}};
  const auto baseline = asked.empty() && scope.protocol ? scope.protocol->content.baseline : asked;
  scope.baseline = baseline;
  const auto& arms = study.arms();
  if (baseline.empty())
    scope.baseline = default_baseline(study);
  else if (!study.has(baseline))
    throw UsageError((asked.empty() ? protocol->file + ": baseline: " : "--baseline: ") +
                     unknown("arm", baseline, arms));
  for (const auto& arm : arms)
    if (arm != scope.baseline) scope.candidates.push_back(arm);
  std::set<double> severities;
  for (const auto& artifact : scope.artifacts)
    for (const double s : study.severities(artifact)) severities.insert(s);
  scope.severities.assign(severities.begin(), severities.end());
  for (const auto& condition : study.conditions())
    if (results::parse_gain_control(condition))
      scope.gain_controls.push_back(condition);
    else if (condition.kind == results::Kind::recipe || condition.kind == results::Kind::as_given)
      scope.others.push_back(condition);
  if (scope.graded() && study.has_clean())
    scope.verdicts = results::decide(study, scope.baseline, scope.rule());
  scope.calibrations = results::binned_calibrations(study);
  scope.detections = results::detections(study);
  scope.exchanges = results::exchanges(study, scope.baseline);
  scope.decision_curves = results::decision_curves(study);
  return scope;
}

Contrast change(const Scope& scope, const std::string& arm) {
  return scope.study.endpoint(arm) - scope.study.clean(arm);
}

std::string severity_range(const Scope& scope) {
  if (scope.severities.size() == 1) return "severity " + shortest(scope.severities.front());
  return "severities " + shortest(scope.severities.front()) + " to " +
         shortest(scope.severities.back());
}

std::string size_of_test_set(const Study& study) {
  const auto subjects = plural(study.common().subjects.size(), "subject");
  if (study.level() == results::Level::subject) return subjects;
  return plural(study.common().sample_ids.size(), results::name(study.level())) + " of " + subjects;
}

std::string of_thresholds(const Study& study) {
  return study.resamples_thresholds()
             ? "with the spread of thresholds over resampled validation subjects"
             : "thresholds taken as given";
}

std::vector<std::pair<std::string, Label>> all_labels(const Study& study) {
  std::vector<std::pair<std::string, Label>> all;
  for (std::size_t l = 0; l < study.labels().size(); ++l) all.emplace_back(study.labels()[l], l);
  if (all.size() > 1) all.emplace_back("macro", results::macro);
  return all;
}

std::string label_name(const Study& study, Label label) {
  return label ? study.labels()[*label] : "macro";
}

const results::Model& any_model(const Study& study, const std::string& arm) {
  const auto& models = study.models();
  return *std::find_if(models.begin(), models.end(),
                       [&](const results::Model& m) { return results::arm(m) == arm; });
}

std::optional<results::Training> plain_training(const Study& study, const std::string& arm) {
  const auto& model = any_model(study, arm);
  if (!model.adaptation.empty()) return {};
  return results::parse_training(model.normalization);
}

bool single_run(const Study& study) {
  const auto& arms = study.arms();
  return std::any_of(arms.begin(), arms.end(),
                     [&](const std::string& arm) { return study.runs(arm).size() == 1; });
}

bool single_runs_only(const Study& study) {
  const auto& arms = study.arms();
  return std::all_of(arms.begin(), arms.end(),
                     [&](const std::string& arm) { return study.runs(arm).size() == 1; });
}

std::string random_factors(const Study& study) {
  return single_runs_only(study) ? "subjects" : "subjects and runs";
}

}  // namespace mr::report
