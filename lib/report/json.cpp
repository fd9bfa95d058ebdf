#include "report/json.h"

#include <algorithm>

#include "base/json.h"
#include "report/format.h"
#include "report/records.h"
#include "report/sections.h"
#include "stats/influence.h"

namespace mr::report {
namespace {

Json estimate_json(const Record& record) {
  const auto& e = record.estimate;
  Json json = {{"quantity", name(record.quantity)}, {"arm", record.arm}};
  if (!record.reference.empty()) json["reference"] = record.reference;
  json["artifact"] = record.artifact;
  json["severity"] = or_null(record.severity);
  json["label"] = record.label;
  json["metric"] = stats::name(record.metric);
  json["value"] = or_null(e.value);
  json["low"] = or_null(e.low);
  json["high"] = or_null(e.high);
  if (record.quantity != Quantity::level) {
    json["p"] = or_null(e.p);
    json["mde"] = or_null(e.mde);
  }
  if (record.p_adjusted) {
    json["p_adjusted"] = *record.p_adjusted;
    json["adjustment"] = record.adjustment;
  }
  json["runs"] = e.runs;
  json["labels_used"] = e.labels_used;
  if (e.low)
    json["variance"] = {
        {"subjects", e.variance.subjects},     {"runs", e.variance.runs},
        {"validation", e.variance.validation}, {"interaction", e.variance.interaction},
        {"total", e.variance.total},           {"df", e.variance.df}};
  if (!e.reason.empty()) json["reason"] = e.reason;
  return json;
}

Json arms_json(const Study& study) {
  Json arms = Json::array();
  for (const auto& arm : study.arms()) {
    const auto& model = any_model(study, arm);
    arms.push_back({{"arm", arm},
                    {"normalization", model.normalization},
                    {"adaptation", model.adaptation},
                    {"runs", study.runs(arm)}});
  }
  return arms;
}

Json labels_json(const Study& study) {
  Json labels = Json::array();
  for (std::size_t l = 0; l < study.labels().size(); ++l) {
    const auto& n = study.counts(l);
    labels.push_back({{"name", study.labels()[l]},
                      {"positives", n.positives},
                      {"negatives", n.negatives},
                      {"positive_subjects", n.positive_subjects},
                      {"negative_subjects", n.negative_subjects}});
  }
  return labels;
}

Json conditions_json(const Study& study) {
  Json conditions = Json::array();
  for (const auto& condition : study.conditions()) {
    const auto [artifact, severity] = columns_of(condition);
    conditions.push_back({{"artifact", artifact},
                          {"severity", or_null(severity)},
                          {"fidelity", study.fidelity(condition)}});
  }
  return conditions;
}

Json models_json(const Study& study) {
  Json models = Json::array();
  for (const auto& model : study.models()) {
    Json thresholds = Json::array();
    for (const auto& threshold : model.thresholds) thresholds.push_back(or_null(threshold));
    models.push_back({{"id", model.id},
                      {"arm", results::arm(model)},
                      {"run", model.run},
                      {"sha256", model.sha256},
                      {"thresholds", thresholds},
                      {"info", model.info}});
  }
  return models;
}

/// The paragraphs of the summary, or of the first section where there is none.
std::string summary_text(const Document& document) {
  std::string text;
  const auto& all = document.sections;
  auto section =
      std::find_if(all.begin(), all.end(), [](const auto& s) { return s.id == "summary"; });
  if (section == all.end()) section = all.begin();
  for (const auto& block : section->blocks)
    if (const auto* paragraph = std::get_if<Paragraph>(&block))
      text += (text.empty() ? "" : " ") + paragraph->text;
  return text;
}

Json recalibration_json(const Study& study) {
  if (study.recalibrated() == results::Recalibrate::no) return nullptr;
  return results::name(study.recalibrated());
}

Json protocol_json(const Scope& scope) {
  if (!scope.protocol) return nullptr;
  return {{"file", scope.protocol->file},
          {"sha256", scope.protocol->sha256},
          {"deviations", protocol_deviations(scope)}};
}

}  // namespace

Json estimates_json(const Scope& scope) {
  Json all = Json::array();
  for_each_record(scope, [&](const Record& record) {
    if (record.run)
      all.back()["by_run"].push_back(
          {{"run", *record.run}, {"value", or_null(record.estimate.value)}});
    else
      all.push_back(estimate_json(record));
  });
  return all;
}

Json to_json(const Scope& scope, const Document& document, const Trainings& trainings,
             const Json& provenance) {
  const auto& study = scope.study;
  Json json = {
      {"schema", "mr-report/1"},
      {"title", document.title},
      {"summary", summary_text(document)},
      {"baseline", scope.baseline},
      {"protocol", protocol_json(scope)},
      {"rule", results::to_json(scope.rule())},
      {"verdicts", verdicts_json(scope)},
      {"remedies", remedies_json(scope)},
      {"augmentation_gaps", augmentation_gaps_json(scope)},
      {"decomposition", decomposition_json(scope)},
      {"factorial", factorial_json(scope)},
      {"threshold_loss", threshold_loss_json(scope)},
      {"calibration", calibrations_json(scope)},
      {"decision_curves", decision_curves_json(scope)},
      {"detections", detections_json(scope)},
      {"subgroups", subgroups_json(scope)},
      {"shifts", shifts_json(scope)},
      {"blocks", blocks_json(scope)},
      {"exchanges", exchanges_json(scope)},
      {"controls", controls_json(scope)},
      {"shortcuts", shortcuts_json(scope)},
      {"diagnostics", diagnostics_json(scope)},
      {"level", results::name(study.level())},
      {"pool",
       study.level() == results::Level::sample ? Json() : Json(results::name(study.pool()))},
      {"recalibrated", recalibration_json(study)},
      {"prevalence", or_null(study.prevalence())},
      {"samples", study.common().sample_ids.size()},
      {"subjects", study.common().subjects.size()},
      {"labels", labels_json(study)},
      {"arms", arms_json(study)},
      {"conditions", conditions_json(study)},
      {"notes", study.notes()},
      {"estimates", estimates_json(scope)},
      {"leaderboard", leaderboard_json(scope)},
      {"checklist", checklist_json(scope, provenance)},
      {"models", models_json(study)},
      {"grid", study.common().grid},
      {"provenance", provenance}};
  if (!trainings.logs().empty()) json["training"] = training_json(trainings);
  return json;
}

Json to_json(const Document& document, const Trainings& trainings, const Json& provenance) {
  return {{"schema", "mr-report/1"},
          {"title", document.title},
          {"summary", summary_text(document)},
          {"training", training_json(trainings)},
          {"provenance", provenance}};
}

}  // namespace mr::report
