// Methods in words, limitations, and where everything came from.
#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "report/curves.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

std::string models_text(const std::vector<std::string>& ids, std::size_t all) {
  return ids.size() == all && all > 1 ? "all models" : listed(ids);
}

/// One of the members of the models' descriptions: each distinct value with the models it holds of.
void describe(Definitions& list, const Study& study, const std::string& key) {
  std::vector<std::pair<std::string, std::vector<std::string>>> values;
  for (const auto& model : study.models()) {
    if (!model.info.is_object() || !model.info.contains(key)) continue;
    const auto text = in_words(model.info[key]);
    const auto known = std::find_if(values.begin(), values.end(),
                                    [&](const auto& value) { return value.first == text; });
    if (known == values.end())
      values.push_back({text, {model.id}});
    else
      known->second.push_back(model.id);
  }
  for (const auto& [text, ids] : values)
    list.items.emplace_back(key + ", " + models_text(ids, study.models().size()), text);
}

Definitions model_descriptions(const Study& study) {
  // These are printed elsewhere, or are no description.
  static const std::vector<std::string> apart = {"schema", "provenance", "labels",
                                                 "operating_points", "normalization"};
  std::vector<std::string> keys;
  for (const auto& model : study.models())
    if (model.info.is_object())
      for (const auto& [key, value] : model.info.items())
        if (std::find(apart.begin(), apart.end(), key) == apart.end() &&
            std::find(keys.begin(), keys.end(), key) == keys.end())
          keys.push_back(key);
  Definitions list;
  for (const auto& key : keys) describe(list, study, key);
  return list;
}

Table model_table(const Study& study) {
  Table table;
  table.title = "Models";
  table.caption =
      "Thresholds per label on the logit scale, chosen on clean validation images; a sample is "
      "called positive where its logit is at least the threshold.";
  table.columns = {"Model", "Arm", "Run (training seed)", "Thresholds", "SHA-256 of the file"};
  table.heads = table.columns.size();
  for (const auto& model : study.models()) {
    std::string thresholds;
    for (std::size_t l = 0; l < model.thresholds.size(); ++l)
      thresholds += (l ? "; " : "") + study.labels()[l] + " " +
                    (model.thresholds[l] ? minus_sign(fixed(*model.thresholds[l], 3)) : no_number);
    table.rows.push_back({{model.id},
                          {arm_name(results::arm(model))},
                          {std::to_string(model.run)},
                          {thresholds},
                          {model.sha256}});
  }
  return table;
}

std::string text_member(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return "";
  if (found->is_number_float()) return shortest(found->get<double>());
  return found->is_string() ? found->get<std::string>() : to_line(*found);
}

Table provenance_table(const Json& provenance) {
  Table table;
  table.title = "Provenance";
  table.caption =
      "Every program that had a hand in it, in order, with the SHA-256 of what it read.";
  table.columns = {"Tool", "Version", "Command", "Seed", "Inputs"};
  table.heads = table.columns.size();
  for (const auto& entry : provenance) {
    if (!entry.is_object()) continue;
    std::string inputs;
    if (entry.contains("inputs") && entry["inputs"].is_array())
      for (const auto& input : entry["inputs"])
        if (input.is_object())
          inputs += (inputs.empty() ? "" : "; ") + text_member(input, "name") + " " +
                    text_member(input, "sha256");
    table.rows.push_back({{text_member(entry, "tool")},
                          {text_member(entry, "version")},
                          {text_member(entry, "command")},
                          {text_member(entry, "seed")},
                          {inputs}});
  }
  return table;
}

/// The images that an adapted model saw at once.
std::string adaptation_set(const Json& adaptation) {
  const auto policy = text_member(adaptation, "policy");
  if (policy == "slice") return "each sample alone";
  if (policy == "volume") return "the samples of one image together";
  if (policy == "mixed")
    return text_member(adaptation, "set") + " samples of any images together (mean score over " +
           text_member(adaptation, "partitions") + " random partitions)";
  if (policy == "all") return "all samples of the condition together (transductive)";
  return "all samples of the other half of the subjects";
}

std::string adaptation_scheme(const Json& adaptation) {
  const auto scheme = text_member(adaptation, "scheme");
  if (scheme == "recalibrate")
    return "the running statistics of batch norm are replaced by pooled ones of " +
           text_member(adaptation, "samples") +
           " clean training samples at their natural prevalence, before any test image.";
  const auto set = adaptation_set(adaptation);
  if (scheme == "n-prior")
    return "batch norm normalises with its running statistics, which count as " +
           text_member(adaptation, "prior_images") + " images, mixed with those of " + set +
           " (Schneider et al. 2020).";
  const std::string statistics = "batch norm normalises with the statistics of " + set;
  if (scheme == "batch-stats") return statistics + " (Nado et al. 2020).";
  return statistics + ", after " + text_member(adaptation, "steps") +
         " step of Adam (learning rate " + text_member(adaptation, "learning_rate") +
         ") on its weights and biases down their entropy, begun anew for each set (TENT: Wang et "
         "al. 2021).";
}

std::string adaptation_text(const Study& study) {
  std::string text;
  for (const auto& arm : study.arms()) {
    const auto& model = any_model(study, arm);
    if (model.adaptation.empty()) continue;
    text += (text.empty() ? "" : " ") + arm_name(arm) + ": ";
    const auto described = model.info.find("adaptation");
    text += described != model.info.end() && described->is_object()
                ? adaptation_scheme(*described)
                : "test-time scheme " + model.adaptation + ".";
  }
  return text.empty() ? text
                      : text +
                            " Weights are those of the same trained networks, with which it is "
                            "paired by run; no label of a test image is seen.";
}

/// Models that saw artifacts in training.
std::string augmentation_text(const Study& study) {
  std::string text;
  for (const auto& arm : study.arms()) {
    const auto trained = plain_training(study, arm);
    if (!trained || trained->augmentation.empty()) continue;
    text += (text.empty() ? "" : " ") + arm_name(arm) + ": trained on images changed by recipe " +
            trained->augmentation + ", drawn anew in each epoch.";
  }
  return text;
}

/// What a severity means, where the evaluation says so.
void add_ladder(Section& section, const Study& study) {
  const auto& grid = study.common().grid;
  if (!grid.is_object() || !grid.contains("catalogue") || !grid["catalogue"].is_array()) return;
  Table table;
  table.title = "What a severity means";
  table.caption = "Values of each artifact's parameters at severities 1 to 5.";
  table.columns = {"Artifact", "What it is", "Parameter", "Unit", "Severities 1 to 5", "Source"};
  table.heads = table.columns.size();
  for (const auto& row : grid["catalogue"]) {
    if (!row.is_object() || !row.contains("parameters") || !row["parameters"].is_array()) continue;
    for (const auto& parameter : row["parameters"])
      table.rows.push_back(
          {{text_member(row, "name")},
           {text_member(row, "summary")},
           {text_member(parameter, "name")},
           {text_member(parameter, "unit")},
           {parameter.contains("levels") ? in_words(parameter["levels"]) : no_number},
           {text_member(row, "source")}});
  }
  section.blocks.emplace_back(table);
}

std::string units_text(const Study& study) {
  using results::Level;
  if (study.level() == Level::sample)
    return "A sample is a slice, or an image where the manifest names no slice. " +
           study.why_not_pooled();
  const std::string how =
      study.pool() == results::Pool::top3  ? "the mean of the three largest logits of its slices"
      : study.pool() == results::Pool::max ? "the largest logit of its slices"
                                           : "the noisy-or of its slices' probabilities";
  return "A sample is a " + std::string(results::name(study.level())) + ": its score is " + how +
         "; a label is present where it is in any slice, absent where it is known to be in none, "
         "and else unknown. Operating points are chosen on clean validation " +
         results::name(study.level()) + "s pooled alike.";
}

}  // namespace

Section methods(const Scope& scope) {
  Section section{"methods", "Methods", {}};
  Definitions list;
  const auto say = [&](const std::string& term, const std::string& text) {
    if (!text.empty()) list.items.emplace_back(term, text);
  };
  say("Units", units_text(scope.study) +
                   " The independent unit is the subject. A run is one training of an arm; runs "
                   "are nested in arms. Samples of unknown "
                   "truth are left out, label by label.");
  say("AUROC",
      "By mid-ranks, ties counting half, from logits in full precision; the direction is never "
      "turned. A label of which one class is absent has no AUROC and is left out of the macro "
      "mean, "
      "which then says how many labels it holds.");
  say("Partial AUROC",
      "Area under the ROC curve over specificity 0.8 to 1, (1 + (A − 0.02) / 0.18) / 2: 0.5 at "
      "chance, 1 at best (McClish 1989).");
  say("Predictive values",
      "PPV = se p / (se p + (1 − sp)(1 − p)), NPV = sp (1 − p) / (sp (1 − p) + (1 − se) p) "
      "(Altman and Bland 1994), of sensitivity se, specificity sp and prevalence p: " +
          std::string(scope.study.prevalence()
                          ? "the stated " + shortest(*scope.study.prevalence()) +
                                ", taken as known."
                          : "that of the samples, which adds to the spread."));
  say("Deferral",
      "A decision is score ≥ threshold, its confidence |score − threshold|, an error one that "
      "differs from the truth. Over the coverage c, the share of the surest samples that is kept, "
      "AUGRC is the area under errors kept / all samples (Traub et al. 2024), AURC that under "
      "errors kept / samples kept (Geifman and El-Yaniv 2017), by trapezoids; samples of one "
      "confidence go together, and the risk at c = 0 is that of the surest.");
  say("Calibration in bins",
      "ECE: sum over 15 bins of n_k / n |mean p_k − mean y_k| (Guo et al. 2017), of equal width "
      "((k/15, (k+1)/15], the first closed at 0) and of equal numbers (by mid-rank). Brier score: "
      "Murphy (1973) with the terms within bins of Stephenson et al. (2008). Interval of the ECE: "
      "percentiles 2.5 and 97.5 (Hyndman and Fan 1996, number 7) of " +
          std::to_string(results::calibration_replicates) +
          " resamples of the subjects, the same ones for all arms; it holds the upward bias of "
          "the ECE twice. None where more than 5 % of the resamples have no value.");
  say("Decision curves",
      "Net benefit (TP − FP p / (1 − p)) / n at stated probabilities p of 0.01 to 0.5 (Vickers "
      "and Elkin 2006), with intervals as of any mean over samples.");
  say("Intervals",
      "95 %. Each subject's influence on the AUROC gives its variance with slices of a subject "
      "dependent (DeLong et al. 1988, in the clustered form of Obuchowski 1997). Influences add, "
      "so "
      "a mean over conditions, labels or runs, and any difference, has its own variance from the "
      "same combination. Levels: logit scale; differences: plain scale; Student t.");
  say("Runs and subjects",
      "Both are random: the variance over subjects of the mean over runs, plus the variance over "
      "runs, less the interaction that both contain; degrees of freedom after Satterthwaite "
      "(1946). "
      "An arm with one run adds no variance over runs and is about that network only.");
  if (scope.study.resamples_thresholds())
    say("Operating points",
        "Each is chosen anew by its rule on " + std::to_string(results::validation_resamples) +
            " resamples of the subjects of the clean validation images, the same ones for all "
            "arms, runs and conditions, so intervals speak of thresholds chosen so and not of the "
            "one that was. Of a level, percentiles over these are squared and added on either side "
            "to the interval over test subjects and runs (Zou and Donner 2008). Of a difference, "
            "the variance over these is added to that over test subjects and runs (less its "
            "interaction with runs, likewise), with degrees of freedom of the validation subjects. "
            "No interval where more than 5 % of the resamples have no threshold.");
  say("Tests",
      "Two-sided, of a difference against 0, with at least 10 subjects of each class that it "
      "counts; those of the verdict are one-sided, at its level. "
      "Holm (1979) over the candidates on the endpoint; Benjamini and Hochberg (1995) over the "
      "cells "
      "of a heat map, and over artifacts, per arm. Intervals are never adjusted: pointwise.");
  if (!scope.exchanges.empty())
    say("Single networks",
        "Exchange of ranks: every sample's score is replaced by its mid-rank within the network "
        "and "
        "label, each subject's ranks in both networks are exchanged with probability 1/2, and p = "
        "(1 + as large) / (1 + exchanges); all exchanges are counted where they are at most " +
            std::to_string(results::most_exchanges) + " (Phipson and Smyth 2010).");
  if (!scope.study.subgroups().empty() && !scope.candidates.empty())
    say("Blocks",
        "Friedman (1937) with ties corrected (Conover 1999), F of Iman and Davenport (1980) = "
        "(N − 1) chi² / (N (k − 1) − chi²); signed ranks by counting all signs (Wilcoxon 1945, "
        "Pratt 1959). Only over subgroups that share no subject: cells of artifact and severity "
        "are "
        "the same subjects, and no blocks.");
  if (scope.graded())
    say("Endpoint",
        "Macro AUROC, mean over severities, then artifacts, then labels, then runs, with "
        "equal weights. Baseline: " +
            arm_name(scope.baseline) + ".");
  const auto is_mix = [](const Condition& c) { return c.artifact == results::clinic_mix; };
  if (std::any_of(scope.others.begin(), scope.others.end(), is_mix))
    say("Clinic mix",
        "60 % of the images are clean, and each of the others has an artifact and a severity of "
        "the grid, drawn by the seed; all are scored together, so that a shift between them "
        "counts.");
  if (scope.study.recalibrated() != results::Recalibrate::no)
    say("Recalibration",
        std::string("Scores are those of ") +
            (scope.study.recalibrated() == results::Recalibrate::platt
                 ? "Platt's logistic model a + b score (1999)"
                 : "temperature scaling, score / T (Guo et al. 2017)") +
            ", fitted by maximum likelihood on each model's clean validation samples, label by "
            "label, and then frozen. Ranks, and decisions at the thresholds, are as without.");
  say("Augmentation", augmentation_text(scope.study));
  say("Adaptation", adaptation_text(scope.study));
  say("Detectable difference",
      "(t.975 + t.80) times the standard error of the difference: what a study of this size and "
      "variance finds with 80 % power at a level of 5 %.");
  const auto planned = [](const results::Verdict& v) {
    return std::any_of(v.missing.begin(), v.missing.end(),
                       [](const results::Missing& missing) { return missing.more.has_value(); });
  };
  if (std::any_of(scope.verdicts.begin(), scope.verdicts.end(), planned))
    say("More data",
        "Of a P subjects and b J runs the variance is (V_S − V_SR)+ / a + (V_R − V_SR)+ / b + V_SR "
        "/ "
        "(a b), with V_S that over subjects, V_R over runs and V_SR the interaction that both "
        "contain, and degrees of freedom that follow; a or b is the least at which (t.1−α + t.80) "
        "times its root is at most the margin.");
  section.blocks.emplace_back(list);
  add_ladder(section, scope.study);
  return section;
}

Section limitations(const Scope& scope) {
  Section section{"limitations", "Limitations", {}};
  Definitions list;
  const auto say = [&](const std::string& term, const std::string& text) {
    list.items.emplace_back(term, text);
  };
  say("Conditional", "All numbers hold for one split of one data set, " +
                         std::string(scope.study.resamples_thresholds()
                                         ? "those of the deferral for thresholds taken as given, "
                                         : "for thresholds taken as given, ") +
                         "and for one draw of each artifact per image.");
  if (scope.graded()) {
    say("Simulation",
        "The artifacts are simulated. A simulated artifact is not the real one, and its severities "
        "are set by its parameters: severity 3 of one artifact need not be as bad as severity 3 of "
        "another, so artifacts are not ranked by their loss.");
    say("Within one condition",
        "An AUROC within one condition cannot see a shift that is common to "
        "all its samples; the operating point can.");
  }
  say("Many numbers",
      "Of many pointwise intervals some miss the truth. The adjusted p values are the guard" +
          std::string(scope.protocol ? ", and the protocol's endpoint, asked beforehand." : "."));
  say("Labels", "The labels are taken as the truth; an error in them limits every number here.");
  section.blocks.emplace_back(list);
  return section;
}

Section origin(const Scope& scope, const Json& provenance) {
  Section section{"provenance", "Models and provenance", {}};
  section.blocks.emplace_back(model_table(scope.study));
  const auto described = model_descriptions(scope.study);
  if (!described.items.empty()) section.blocks.emplace_back(described);
  section.blocks.emplace_back(provenance_table(provenance));
  return section;
}

Section origin(const Json& provenance) {
  return {"provenance", "Provenance", {provenance_table(provenance)}};
}

Document make_document(const Scope& scope, const Trainings& trainings, const Json& provenance) {
  const auto& common = scope.study.common();
  Document document;
  document.title = "Robustness of MR image diagnosis";
  document.subtitle = listed(common.labels) + ": " + plural(scope.arms().size(), "arm") + ", " +
                      plural(scope.study.models().size(), "model") + ", " +
                      plural(scope.study.conditions().size(), "condition") + ", " +
                      size_of_test_set(scope.study);
  for (auto& section : {verdict(scope),
                        summary(scope),
                        performance(scope),
                        leaderboard(scope),
                        heat_maps(scope),
                        degradation(scope),
                        paired_differences(scope),
                        remedies(scope),
                        decomposition(scope),
                        operating_point(scope),
                        calibration(scope),
                        decision_curves(scope),
                        detection(scope),
                        subgroups(scope),
                        controls(scope),
                        shortcuts(scope),
                        diagnostics(scope),
                        image_changes(scope),
                        training(trainings),
                        methods(scope),
                        limitations(scope),
                        checklist(scope, provenance),
                        origin(scope, provenance)})
    if (!section.blocks.empty()) document.sections.push_back(section);
  spread_curves(document);
  return document;
}

}  // namespace mr::report
