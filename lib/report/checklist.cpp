// The CLAIM checklist, 2024 update (Tejani et al. 2024, Radiol Artif Intell 6:e240300): what the
// evaluation knows of each of its 44 items, and what the author must add.
#include <algorithm>
#include <map>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "report/format.h"
#include "report/sections.h"
#include "results/attributes.h"

namespace mr::report {
namespace {

/// What is known of an item; "" for nothing. `complete`: the author need not add to it.
struct Answer {
  std::string known = "";
  bool complete = false;
};

/// What an answer is made from.
struct Known {
  const Scope& scope;
  const Study& study;
  const Json& provenance;
};

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

/// Each distinct value of a member of the models' descriptions, e.g. "training", without some of
/// its own members.
std::string of_models(const Known& k, const std::string& key,
                      const std::vector<std::string>& without = {}) {
  std::vector<std::string> texts;
  for (const auto& model : k.study.models()) {
    if (!model.info.is_object() || !model.info.contains(key)) continue;
    auto value = model.info[key];
    if (value.is_object())
      for (const auto& member : without) value.erase(member);
    const auto text = in_words(value);
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
  }
  return joined(texts);
}

/// Commands in the provenance that begin with one of these, each once.
std::vector<std::string> commands(const Known& k, const std::vector<std::string>& begins) {
  std::vector<std::string> found;
  for (const auto& entry : k.provenance) {
    if (!entry.is_object()) continue;
    const auto command = entry.value("command", "");
    const bool wanted = std::any_of(begins.begin(), begins.end(), [&](const std::string& begin) {
      return (command + " ").rfind(begin + " ", 0) == 0;
    });
    if (wanted && std::find(found.begin(), found.end(), command) == found.end())
      found.push_back(command);
  }
  return found;
}

/// SHA-256 of the first input, the manifest, of the last entry of a tool; "" where there is none.
std::string manifest_of(const Json& provenance, const std::string& tool) {
  std::string hash;
  for (const auto& entry : provenance) {
    if (!entry.is_object() || entry.value("tool", "") != tool) continue;
    const auto inputs = entry.value("inputs", Json::array());
    hash = inputs.empty() ? "" : inputs[0].value("sha256", "");
  }
  return hash;
}

/// Manifests that models were trained on, and that they were evaluated on.
std::pair<std::set<std::string>, std::set<std::string>> manifests(const Known& k) {
  std::set<std::string> training, evaluation;
  for (const auto& model : k.study.models())
    training.insert(model.info.is_object() && model.info.contains("provenance")
                        ? manifest_of(model.info["provenance"], "mr-train")
                        : "");
  for (const auto& entry : k.study.provenance())
    if (entry.is_object() && entry.value("tool", "") == "mr-eval")
      evaluation.insert(manifest_of(Json::array({entry}), "mr-eval"));
  return {training, evaluation};
}

/// The one manifest that all models were trained on and evaluated on; "" where there is none.
std::string common_manifest(const Known& k) {
  const auto [training, evaluation] = manifests(k);
  return training == evaluation && training.size() == 1 ? *training.begin() : "";
}

std::string test_split(const Known& k) {
  const auto& grid = k.study.common().grid;
  return grid.is_object() ? grid.value("split", "") : "";
}

std::string arms(const Known& k) {
  std::vector<std::string> names;
  for (const auto& arm : k.scope.arms()) names.push_back(arm_name(arm));
  return listed(names);
}

Answer author(const Known&) {
  return {};
}

Answer aims(const Known& k) {
  if (!k.scope.protocol) return {};
  const auto& plan = k.scope.protocol->content;
  return {"Protocol " + k.scope.protocol->file + ": against " + arm_name(plan.baseline) +
              ", non-inferiority on clean images by a margin of " + shortest(plan.rule.margin) +
              " and superiority on images with " + listed(plan.artifacts) + ".",
          false};
}

Answer goal(const Known& k) {
  return {"Diagnostic performance of " + arms(k) +
              (k.scope.graded() ? " under MR artifacts of growing severity." : "."),
          false};
}

Answer data_sources(const Known& k) {
  const auto made = commands(k, {"mr-phantom", "mr-manifest scan", "mr-manifest merge"});
  const bool synthetic = std::any_of(made.begin(), made.end(), [](const std::string& command) {
    return command.rfind("mr-phantom", 0) == 0;
  });
  if (made.empty()) return {};
  return {(synthetic ? "Synthetic images of a phantom, no patients. Made by: " : "Made by: ") +
              joined(made) + ".",
          synthetic};
}

Answer criteria(const Known& k) {
  const auto filters = commands(k, {"mr-manifest filter"});
  return {filters.empty() ? "" : "Images were chosen by: " + joined(filters) + ".", false};
}

Answer preprocessing(const Known& k) {
  const auto text = of_models(k, "preprocessing");
  return {text, !text.empty()};
}

Answer subsets(const Known& k) {
  const auto split = test_split(k);
  const auto slices = commands(k, {"mr-manifest slices"});
  std::string text = split.empty() ? "" : "Evaluated: split " + split + " of the manifest.";
  if (!slices.empty()) text += " Slices by: " + joined(slices) + ".";
  return {text, !text.empty()};
}

Answer deidentification(const Known&) {
  return {
      "Evaluation and report hold the manifest's ids and attributes, and nothing of an image's "
      "header.",
      false};
}

Answer missing(const Known& k) {
  std::vector<std::string> parts;
  const auto& common = k.study.common();
  for (std::size_t l = 0; l < common.labels.size(); ++l) {
    const auto unknown = std::count(common.truth[l].begin(), common.truth[l].end(), -1);
    parts.push_back(common.labels[l] + " " + std::to_string(unknown));
  }
  return {"Samples of unknown truth are left out, label by label: " + listed(parts) + ".", true};
}

/// "scanner: A (12), B (9)": the attributes of the images with few values; of numbers with many
/// their range.
std::string attributes(const Known& k) {
  constexpr std::size_t few = 8;
  std::map<std::string, std::map<std::string, std::size_t>> counts;
  std::map<std::string, std::pair<double, double>> ranges;
  for (const auto& image : k.study.common().attributes.value("images", Json::array()))
    for (const auto& [name, value] : image.items()) {
      ++counts[name][results::attribute_text(value)];
      if (!value.is_number()) continue;
      const double number = value.get<double>();
      const auto range = ranges.emplace(name, std::make_pair(number, number)).first;
      range->second = {std::min(range->second.first, number),
                       std::max(range->second.second, number)};
    }
  std::vector<std::string> parts;
  for (const auto& [name, values] : counts) {
    std::vector<std::string> texts;
    for (const auto& [value, n] : values) texts.push_back(value + " (" + std::to_string(n) + ")");
    if (values.size() <= few)
      parts.push_back(name + ": " + listed(texts));
    else if (ranges.count(name) != 0)
      parts.push_back(name + ": " + shortest(ranges[name].first) + " to " +
                      shortest(ranges[name].second));
    else
      parts.push_back(name + ": " + plural(values.size(), "value"));
  }
  return joined(parts);
}

Answer acquisition(const Known& k) {
  const auto text = attributes(k);
  return {text.empty() ? "" : "Attributes of the images: " + text + ".", false};
}

Answer reference_standard(const Known& k) {
  return {"Labels of a sample: " + listed(k.study.labels()) + ", each 0, 1 or unknown.", false};
}

Answer assignment(const Known& k) {
  const auto split = commands(k, {"mr-manifest split"});
  if (split.empty()) return {};
  return {"At random, by: " + joined(split) + ".", !common_manifest(k).empty()};
}

Answer disjoint(const Known& k) {
  if (common_manifest(k).empty())
    return {
        "Subject, within a manifest; whether training and test, which are of different or "
        "unknown manifests, share subjects is not known here.",
        false};
  return {
      "Subject: models were trained and evaluated on splits of one manifest, and one with a "
      "subject in two splits is refused.",
      true};
}

Answer sample_size(const Known& k) {
  std::string text;
  if (k.scope.protocol) {
    const auto& plan = k.scope.protocol->content;
    text = "Planned power for a difference of " + shortest(plan.difference) +
           " of the AUROC: " + fixed(100 * superiority_power(plan), 0) + " %. ";
  }
  std::vector<std::string> reached;
  if (k.scope.graded())
    for (const auto& c : k.study.compare(k.scope.baseline))
      if (c.difference.mde) reached.push_back(arm_name(c.arm) + " " + level(*c.difference.mde));
  if (!reached.empty())
    text += "Difference that this study would find with 80 % power: " + listed(reached) + ".";
  return {text, k.scope.protocol.has_value()};
}

Answer model(const Known& k) {
  const auto text = of_models(k, "architecture"), parameters = of_models(k, "parameters");
  if (text.empty()) return {};
  return {text + (parameters.empty() ? "" : ". Trained parameters: " + parameters) +
              ". Arms: " + arms(k) + ". Output: a logit per label.",
          true};
}

Answer software(const Known& k) {
  std::set<std::string> tools, libraries;
  for (const auto& entry : k.provenance)
    if (entry.is_object())
      tools.insert(entry.value("tool", "?") + " " + entry.value("version", "?"));
  for (const auto& m : k.study.models())
    if (m.info.is_object() && m.info.contains("training") &&
        m.info["training"].contains("libtorch"))
      libraries.insert("LibTorch " + in_words(m.info["training"]["libtorch"]));
  tools.insert(libraries.begin(), libraries.end());
  return {listed({tools.begin(), tools.end()}) + ".", true};
}

Answer initialization(const Known& k) {
  std::set<std::string> texts;
  for (const auto& m : k.study.models()) {
    if (!m.info.is_object() || !m.info.contains("training")) return {};
    const auto init = m.info["training"].find("init");
    if (init == m.info["training"].end()) return {};
    texts.insert(init->is_null() ? "at random, by the seed of the run"
                                 : "from weights: " + in_words(*init));
  }
  return {joined({texts.begin(), texts.end()}), true};
}

Answer training_details(const Known& k) {
  const auto text = of_models(k, "training", {"best", "seed", "libtorch", "threads"});
  return {text, !text.empty()};
}

Answer selection(const Known& k) {
  if (of_models(k, "training").empty()) return {};
  const auto best = commands(k, {"mr-train best"});
  return {
      "Of each run the epoch with the highest mean AUROC on the validation split; thresholds "
      "from the same split. Test images have no say." +
          (best.empty() ? "" : " Settings by: " + joined(best) + "."),
      true};
}

Answer ensembles(const Known&) {
  return {"None: each run is evaluated by itself; reported is the mean of their performance.",
          true};
}

Answer metrics(const Known& k) {
  std::vector<std::string> names;
  for (const auto metric : stats::all_metrics) {
    std::string name = stats::name(metric);
    std::replace(name.begin(), name.end(), '_', ' ');
    names.push_back(name);
  }
  return {listed(names) + (k.scope.graded()
                               ? ". Endpoint: macro AUROC, mean over severities, then artifacts."
                               : "."),
          true};
}

Answer uncertainty(const Known& k) {
  return {"95 % intervals that take " + random_factors(k.scope.study) +
              " as random; two-sided tests, one-sided ones in the verdict, adjusted after Holm and "
              "Benjamini-Hochberg (section Methods).",
          true};
}

Answer robustness(const Known& k) {
  if (!k.scope.graded()) return {};
  std::string text = plural(k.scope.artifacts.size(), "simulated artifact") + " (" +
                     listed(k.scope.artifacts) + ") at " + severity_range(k.scope);
  const auto& grid = k.study.common().grid;
  if (grid.is_object() && grid.contains("ladder")) text += ", ladder " + in_words(grid["ladder"]);
  if (grid.is_object() && grid.contains("seed")) text += ", seed " + in_words(grid["seed"]);
  return {text + ".", true};
}

Answer internal_data(const Known& k) {
  const auto manifest = common_manifest(k);
  if (manifest.empty()) return {};
  return {"Evaluated on split " + test_split(k) +
              " of the manifest that the models were trained on (SHA-256 " + manifest + ").",
          true};
}

Answer external_data(const Known& k) {
  if (!common_manifest(k).empty()) return {"None in this report.", false};
  const auto [training, evaluation] = manifests(k);
  if (training.count("") != 0 || evaluation.count("") != 0) return {};
  return {
      "The manifest of the evaluation is not that of the training; whether its patients are "
      "others, and of another place, is not known here.",
      false};
}

Answer registration(const Known& k) {
  if (!k.scope.protocol) return {};
  return {
      "Protocol " + k.scope.protocol->file + ", SHA-256 " + k.scope.protocol->sha256 +
          "; deviations from it: " +
          (protocol_deviations(k.scope).empty() ? "none" : joined(protocol_deviations(k.scope))) +
          ".",
      false};
}

Answer numbers(const Known& k) {
  const auto& common = k.study.common();
  return {"Test set: " + plural(common.subjects.size(), "subject") + ", " +
              plural(common.sample_ids.size(), results::name(k.study.level())) +
              ". By label: see the table of that name.",
          false};
}

Answer characteristics(const Known& k) {
  const auto text = attributes(k);
  return {text.empty() ? "" : "Images by attribute: " + text + ".", false};
}

Answer performance_found(const Known& k) {
  std::vector<std::string> parts;
  const auto say = [&](const std::string& arm, const std::string& where, const Contrast& contrast) {
    const auto cell = level_cell(k.study.estimate(contrast));
    parts.push_back(arm_name(arm) + ", " + where + ": " + cell.text +
                    (cell.interval.empty() ? "" : " (" + cell.interval + ")"));
  };
  for (const auto& arm : k.scope.arms()) {
    if (k.study.has_clean()) say(arm, "clean", k.study.clean(arm));
    if (k.scope.graded()) say(arm, "corrupted", k.study.endpoint(arm));
  }
  return {"Macro AUROC (95 % interval). " + joined(parts) + ". Each estimate is in report.csv.",
          true};
}

Answer precision(const Known& k) {
  const auto& models = k.study.models();
  const bool thresholds = std::any_of(models.begin(), models.end(), [](const auto& m) {
    return std::any_of(m.thresholds.begin(), m.thresholds.end(),
                       [](const auto& t) { return t.has_value(); });
  });
  return {thresholds ? "Sensitivity and specificity by label at thresholds frozen on clean "
                       "validation images, with intervals: section Frozen operating point."
                     : "No model carries a threshold: no sensitivity and specificity.",
          thresholds};
}

Answer failures(const Known& k) {
  if (!k.scope.graded()) return {};
  return {
      "Conditions under which arms fail: table Where arms break. The cases: mr-report --scores.",
      false};
}

Answer limitations_known(const Known&) {
  return {"Those of the method: section Limitations.", false};
}

Answer protocol_reference(const Known& k) {
  if (!k.scope.protocol) return {"No protocol was given.", false};
  return {k.scope.protocol->file + ", SHA-256 " + k.scope.protocol->sha256 + ".", false};
}

Answer availability(const Known& k) {
  return {"Tools: Apache-2.0. Every command with the SHA-256 of its inputs, and of " +
              plural(k.study.models().size(), "model") + ": section Models and provenance.",
          false};
}

struct Item {
  const char* part;
  const char* item;
  Answer (*answer)(const Known&);
};

// In the order and numbering of the 2024 update, in our words.
constexpr Item items[] = {
    {"Title", "Names the AI method", author},
    {"Abstract", "Design, methods, results, conclusions", author},
    {"Introduction", "Background, and the role the method is meant for", author},
    {"Introduction", "Aims and hypotheses", aims},
    {"Study design", "Prospective or retrospective", author},
    {"Study design", "Goal of the study", goal},
    {"Data", "Where the data come from", data_sources},
    {"Data", "Who was included and excluded", criteria},
    {"Data", "Preprocessing", preprocessing},
    {"Data", "Choice of subsets", subsets},
    {"Data", "Removal of identities", deidentification},
    {"Data", "Missing data", missing},
    {"Data", "Acquisition of the images", acquisition},
    {"Reference standard", "How it was obtained", reference_standard},
    {"Reference standard", "Why this one", author},
    {"Reference standard", "Who annotated", author},
    {"Reference standard", "Annotation of the test set", author},
    {"Reference standard", "Agreement between and within raters", author},
    {"Partitions", "How data were assigned", assignment},
    {"Partitions", "Level at which partitions are disjoint", disjoint},
    {"Test data", "Intended sample size", sample_size},
    {"Model", "Description of the model", model},
    {"Model", "Software and its versions", software},
    {"Model", "Initial weights", initialization},
    {"Training", "Details of training", training_details},
    {"Training", "Choice of the final model", selection},
    {"Training", "Ensembles", ensembles},
    {"Evaluation", "Measures of performance", metrics},
    {"Evaluation", "Significance and uncertainty", uncertainty},
    {"Evaluation", "Robustness or sensitivity analysis", robustness},
    {"Evaluation", "Explainability", author},
    {"Evaluation", "Internal data", internal_data},
    {"Evaluation", "External data", external_data},
    {"Evaluation", "Registration", registration},
    {"Results: data", "Numbers included and excluded", numbers},
    {"Results: data", "Characteristics by partition", characteristics},
    {"Results: performance", "Performance with its uncertainty", performance_found},
    {"Results: performance", "Diagnostic accuracy and its precision", precision},
    {"Results: performance", "Analysis of failures", failures},
    {"Discussion", "Limitations", limitations_known},
    {"Discussion", "Consequences for practice", author},
    {"Other", "Study protocol", protocol_reference},
    {"Other", "Availability of software, model and data", availability},
    {"Other", "Funding", author},
};

}  // namespace

Section checklist(const Scope& scope, const Json& provenance) {
  const Known known{scope, scope.study, provenance};
  Section section{"checklist", "Checklist (CLAIM 2024)", {}};
  section.blocks.emplace_back(Paragraph{
      "What this report knows of each item of the Checklist for Artificial Intelligence in Medical "
      "Imaging, 2024 update (Tejani et al. 2024), to be carried into the paper. Nothing is filled "
      "in "
      "that is not in the evaluations."});
  Table table;
  table.title = "Items";
  table.columns = {"No", "Item", "What is known"};
  table.heads = table.columns.size();
  table.folded = true;
  std::size_t number = 0;
  for (const auto& item : items) {
    const auto answer = item.answer(known);
    auto text = answer.known;
    if (!answer.complete) text += (text.empty() ? "" : " ") + std::string("Author must complete.");
    table.rows.push_back(
        {{std::to_string(++number)}, {std::string(item.part) + ": " + item.item}, {text}});
  }
  section.blocks.emplace_back(table);
  return section;
}

Json checklist_json(const Scope& scope, const Json& provenance) {
  const Known known{scope, scope.study, provenance};
  Json all = Json::array();
  for (const auto& item : items) {
    const auto answer = item.answer(known);
    all.push_back({{"number", all.size() + 1},
                   {"part", item.part},
                   {"item", item.item},
                   {"known", answer.known.empty() ? Json(nullptr) : Json(answer.known)},
                   {"complete", answer.complete}});
  }
  return {{"guideline", "CLAIM 2024"}, {"items", all}};
}

}  // namespace mr::report
