#include "eval/evaluate.h"

#include <algorithm>
#include <set>

#include "artifact/catalogue.h"
#include "base/error.h"
#include "base/journal.h"
#include "base/json.h"
#include "base/text.h"
#include "dataset/corrupt.h"
#include "dataset/loader.h"
#include "eval/explain.h"
#include "eval/networks.h"
#include "eval/scoring.h"
#include "image/image_file.h"
#include "results/measure.h"

namespace mr::eval {
namespace {

using dataset::SampleSet;
using results::Condition;
using results::Kind;
using results::Part;

// ---- conditions ----

/// Those that were asked for, and the controls of the gain.
std::map<std::string, artifact::Recipe> all_recipes(const Options& options) {
  auto recipes = options.recipes;
  if (!options.controls) return recipes;
  for (const char* artifact : results::gain_controls)
    for (const double severity : options.severities) {
      artifact::Recipe recipe;
      recipe.steps.push_back({artifact, severity, {}});
      recipe.per = "subject";
      recipes[results::gain_control(artifact, severity).artifact] = recipe;
    }
  return recipes;
}

bool wants_clinic_mix(const Options& options) {
  return options.clinic_mix || options.controls;
}

std::vector<Condition> grid_conditions(const Options& options) {
  std::vector<Condition> conditions{{Kind::clean, "", 0}};
  for (const auto& artifact : options.artifacts)
    for (const double severity : options.severities)
      for (const auto part : {Part::all, Part::structure, Part::gain})
        if (part == Part::all || options.decompose)
          conditions.push_back({Kind::artifact, artifact, severity, part});
  for (const auto& [name, unused] : all_recipes(options))
    conditions.push_back({Kind::recipe, name, 0});
  if (wants_clinic_mix(options)) conditions.push_back({Kind::recipe, results::clinic_mix, 0});
  return conditions;
}

/// Clean, and each artifact at its highest severity as drawn.
std::set<std::size_t> clean_and_worst(const std::vector<Condition>& conditions) {
  std::set<std::size_t> chosen;
  std::map<std::string, std::size_t> worst;
  for (std::size_t c = 0; c < conditions.size(); ++c) {
    const auto& condition = conditions[c];
    if (condition.kind == Kind::clean) chosen.insert(c);
    if (condition.kind != Kind::artifact || condition.part != Part::all) continue;
    const auto [known, is_new] = worst.emplace(condition.artifact, c);
    if (!is_new && conditions[known->second].severity < condition.severity) known->second = c;
  }
  for (const auto& [artifact, c] : worst) chosen.insert(c);
  return chosen;
}

/// The manifest as it stands: clean where nothing was done to any image; else named after what
/// mr-corrupt did, where it did the same to all.
Condition condition_as_given(const SampleSet& samples) {
  std::string common;
  bool first = true;
  for (const auto& image : samples.images()) {
    std::string text;
    for (const auto& step : image.artifacts) {
      text += (text.empty() ? "" : " ") + step.value("artifact", std::string("?"));
      if (step.contains("severity") && step["severity"].is_number())
        text += ":" + shortest(step["severity"].get<double>());
    }
    if (!first && text != common) return {Kind::as_given, "mixed", 0};
    common = text;
    first = false;
  }
  if (common.empty()) return {Kind::clean, "", 0};
  return {Kind::as_given, common, 0};
}

/// The sample that the contact sheet shows: the middle one of the samples of the first image that
/// has a positive, else of the first image.
std::size_t thumbnail_sample(const SampleSet& samples) {
  std::vector<std::size_t> candidates;
  for (const bool positive : {true, false}) {
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const auto& labels = samples.labels(i);
      const bool is_positive = std::find(labels.begin(), labels.end(), 1) != labels.end();
      if (positive && !is_positive) continue;
      if (!candidates.empty() && samples.image_of(candidates[0]) != samples.image_of(i)) break;
      candidates.push_back(i);
    }
    if (!candidates.empty()) break;
  }
  return candidates[candidates.size() / 2];
}

// ---- the evaluation file ----

/// Medians over images of each member that is a number in at least one of them.
Json median_fidelity(const std::vector<Json>& images) {
  Json medians = Json::object();
  if (images.empty()) return medians;
  for (const auto& [key, unused] : images[0].items()) {
    std::vector<double> values;
    for (const auto& image : images)
      if (image.contains(key) && image[key].is_number()) values.push_back(image[key].get<double>());
    if (values.empty()) continue;
    std::sort(values.begin(), values.end());
    const auto n = values.size();
    medians[key] = n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
  }
  medians["images"] = images.size();
  return medians;
}

/// Images of one split with their scores.
struct Evaluated {
  Plan plan;
  Scored scored;
};

results::Samples describe(const SampleSet& set) {
  results::Samples samples;
  samples.truth.assign(set.label_names().size(), {});
  samples.subjects = set.subjects();
  Json image_of = Json::array(), ids = Json::array(), attributes = Json::array();
  for (std::size_t i = 0; i < set.size(); ++i) {
    samples.sample_ids.push_back(set.id(i));
    samples.sample_subject.push_back(set.subject(i));
    image_of.push_back(set.image_of(i));
    for (std::size_t l = 0; l < samples.truth.size(); ++l)
      samples.truth[l].push_back(static_cast<std::int8_t>(set.labels(i)[l]));
  }
  for (const auto& image : set.images()) {
    ids.push_back(image.id);
    attributes.push_back(image.attributes);
  }
  samples.attributes = {{"sample_image", std::move(image_of)},
                        {"image_ids", std::move(ids)},
                        {"images", std::move(attributes)}};
  return samples;
}

results::Samples describe(const Evaluated& evaluated) {
  auto samples = describe(evaluated.plan.samples);
  samples.attributes["sample_intensity"] = intensities_of(evaluated.scored);
  return samples;
}

/// The variant whose scores on validation images stand for this one's: itself, but the plain
/// network where it would adapt over images, which are none of those that it is tested on.
std::size_t validated_variant(const Networks& networks, std::size_t v) {
  if (!networks.variants[v].adaptation.over_images()) return v;
  while (networks.variants[v].adaptation.scheme != Scheme::none) --v;
  return v;
}

/// described: the validation samples, where there are any
std::vector<results::Model> describe_models(const Options& options, const Networks& networks,
                                            const Evaluated* validation,
                                            const results::Samples& described) {
  std::vector<results::Model> models;
  for (std::size_t v = 0; v < networks.variants.size(); ++v) {
    const auto& variant = networks.variants[v];
    const auto& path = options.models[variant.model];
    const auto& info = networks.infos[variant.model];
    results::Model model;
    model.normalization = results::trained_as(info, path).name();
    model.adaptation = name(variant.adaptation);
    if (info.contains("conversion")) {
      const auto converted = string_member(info["conversion"], "to", path);
      model.adaptation = converted + (model.adaptation.empty() ? "" : "+" + model.adaptation);
    }
    model.run = integer_member(member(info, "training", path), "seed", path);
    model.sha256 = networks.sha256[variant.model];
    const auto adaptation = name(variant.adaptation);
    model.id = file_name(path) + (adaptation.empty() ? "" : "+" + adaptation);
    for (const auto& point : member(info, "operating_points", path)) {
      const auto& threshold = member(point, "threshold", path);
      model.thresholds.push_back(
          threshold.is_number() ? std::optional<double>(threshold.get<double>()) : std::nullopt);
    }
    if (model.thresholds.size() != networks.labels())
      throw DataError(path + ": operating_points: want one per label");
    model.info = info;
    if (!variant.adapted_on.is_null()) model.info["adaptation"] = variant.adapted_on;
    // An adapted model's scores are others than those that its training chose a threshold for; a
    // foreign model has none.
    if (validation && (variant.adaptation.scheme != Scheme::none || info.contains("foreign")) &&
        validated_variant(networks, v) == v)
      model.thresholds = results::choose_thresholds(
          model, described, scores_of(validation->plan, validation->scored, 0, v));
    models.push_back(std::move(model));
  }
  return models;
}

/// What a severity of the grid's artifacts means.
Json ladders(const Options& options) {
  Json list = Json::array();
  for (const auto& name : options.artifacts) {
    const auto& row = artifact::find(name);
    Json parameters = Json::array();
    for (const auto& p : row.parameters) {
      Json levels = Json::array();
      for (const int level : {1, 2, 3, 4, 5})
        levels.push_back(artifact::at_severity(row, level, options.ladder.get()).at(p.name));
      parameters.push_back({{"name", p.name}, {"unit", p.unit}, {"levels", std::move(levels)}});
    }
    list.push_back({{"name", row.name},
                    {"summary", row.summary},
                    {"source", row.source},
                    {"parameters", std::move(parameters)}});
  }
  return list;
}

/// What the report must say of these images and of what was done to them.
Json make_notes(const Options& options, const Plan& plan) {
  Json notes = Json::array();
  const auto& first = plan.samples.images()[0];
  const bool corrupted =
      !options.artifacts.empty() || !options.recipes.empty() || !first.artifacts.empty();
  const bool measured = !first.phase.empty() || first.extra.contains("measured_phase") ||
                        image::is_raw(first.file) || image::is_raw(first.source);
  if (corrupted && !measured && !image::read_image(first.file).is_complex())
    notes.push_back(
        "These are magnitude images: a magnitude image, and a cropped one all the more, has no "
        "acquired k-space. The artifacts act on the Fourier transform of the magnitude with zero "
        "phase and are proxies for what a scanner would have produced.");
  const auto& acquisition = first.acquisition;
  if (corrupted && !acquisition.contains("phase_encode_axis"))
    notes.push_back(
        "The manifest does not say which axis was phase-encoded; where the header is silent too, "
        "the rows of the image were taken.");
  const auto& variants = plan.networks.variants;
  const auto any = [&](const auto& wanted) {
    return std::any_of(variants.begin(), variants.end(), wanted);
  };
  if (options.controls && any([](const Variant& v) { return v.keeps_statistics; }) &&
      !any([](const Variant& v) { return v.adaptation.scheme == Scheme::recalibrate; }))
    notes.push_back("No control by clean recalibration: the manifest has no training images.");
  for (const auto& variant : variants)
    if (variant.adaptation.policy == Policy::all && variant.adaptation.over_images()) {
      notes.push_back(
          "Models adapted on all samples are transductive: their samples are not independent, and "
          "the intervals take them as if they were. Each norm layer costs a pass over all images.");
      break;
    }
  return notes;
}

/// What was explained, and on which samples.
struct Why {
  std::vector<std::size_t> conditions, samples;  // indices into those of the test set
  Explained explained;
};

results::Header make_header(const Options& options, const Evaluated& test,
                            const Evaluated* validation, const Why& why, const Json& provenance) {
  results::Header header;
  static_cast<results::Samples&>(header) = describe(test);
  if (validation) header.validation = describe(*validation);
  header.models = describe_models(options, test.plan.networks, validation, header.validation);
  for (const auto& label : test.plan.samples.label_names()) header.labels.push_back(label.name);
  Json recipes = Json::object();
  for (const auto& [name, recipe] : test.plan.recipes) recipes[name] = artifact::to_json(recipe);
  if (wants_clinic_mix(options)) recipes[results::clinic_mix] = {{"clean", clinic_mix_clean}};
  header.grid = {
      {"artifacts", options.artifacts},
      {"severities", options.artifacts.empty() ? Json::array() : Json(options.severities)},
      {"seed", options.seed},
      {"split", options.split},
      {"batch_size", options.batch_size},
      {"catalogue", ladders(options)},
      {"recipes", recipes},
      {"ladder", options.ladder ? "calibrated" : "physical"}};
  if (options.decompose) {
    const auto first = dataset::read_clean(test.plan.samples.images()[0], {});
    header.grid["gain_of"] = artifact::gain_unit(first.volume);
  }
  if (!why.conditions.empty())
    header.grid["explained"] = {{"samples", why.samples}, {"swap_set", swap_set}};
  header.notes = make_notes(options, test.plan);
  header.provenance = provenance;
  return header;
}

void write_evaluation(const Evaluated& test, const Evaluated* validation, const Why& why,
                      const results::Header& header, const results::EvaluationWriter::Sink& sink) {
  results::EvaluationWriter writer(sink, header);
  const auto& plan = test.plan;
  const auto variants = plan.networks.variants.size();
  if (validation)
    for (std::size_t c = 0; c < validation->plan.conditions.size(); ++c)
      for (std::size_t v = 0; v < variants; ++v)
        writer.write(results::ValidationScores{v, validation->plan.conditions[c],
                                               scores_of(validation->plan, validation->scored, c,
                                                         validated_variant(plan.networks, v))});
  for (std::size_t c = 0; c < plan.conditions.size(); ++c) {
    std::vector<Json> fidelity;
    for (const auto& block : test.scored.blocks)
      fidelity.insert(fidelity.end(), block[c].fidelity.begin(), block[c].fidelity.end());
    const auto medians = median_fidelity(fidelity);
    for (std::size_t v = 0; v < variants; ++v) {
      results::Result result;
      result.model = v;
      result.condition = plan.conditions[c];
      result.scores = scores_of(plan, test.scored, c, v);
      result.distance = distances_of(test.scored, c, v);
      result.fidelity = medians;
      results::measure(header, result);
      writer.write(result);
    }
  }
  for (const auto c : why.conditions)
    for (std::size_t v = 0; v < variants; ++v) {
      const auto& variant = plan.networks.variants[v];
      const auto found = why.explained.find({c, variant.model});
      if (variant.adaptation.scheme == Scheme::none && found != why.explained.end())
        writer.write(results::Explanation{v, plan.conditions[c], found->second});
    }
  for (std::size_t c = 0; c < plan.conditions.size(); ++c)
    for (const auto& block : test.scored.blocks)
      if (!block[c].thumbnail.empty())
        writer.write(results::Thumbnail{plan.conditions[c], plan.samples.id(*plan.thumbnail),
                                        block[c].thumbnail});
  writer.finish();
}

void explain_models(const Plan& plan, Why& why, const std::function<void(const Json&)>& finished,
                    const Messages& messages) {
  const auto samples = subset(plan.samples, why.samples);
  const Plan some{samples,     plan.networks, plan.conditions, plan.recipes,
                  plan.ladder, plan.seed,     plan.threads,    {}};
  results::Header header;
  static_cast<results::Samples&>(header) = describe(samples);
  for (const auto& label : samples.label_names()) header.labels.push_back(label.name);
  explain(some, header, why.conditions, why.explained, finished, messages);
}

SampleSet choose_split(const dataset::LoadedManifest& loaded, const std::string& split) {
  const auto& all = loaded.splits[0];
  bool is_split = false;
  for (const auto& image : all.images()) is_split |= !image.split.empty();
  if (split == "all" || !is_split) return all;
  auto chosen = all.of_split(split);
  if (chosen.size() == 0) throw DataError(loaded.name + ": split '" + split + "' is empty");
  return chosen;
}

/// The clean validation images of a manifest whose other images are evaluated. None where it has
/// none, or where something was done to them.
SampleSet choose_validation(const dataset::LoadedManifest& loaded, const std::string& split) {
  const auto validation = loaded.splits[0].of_split("val");
  const bool clean =
      std::all_of(validation.images().begin(), validation.images().end(),
                  [](const dataset::ImageEntry& image) { return image.artifacts.empty(); });
  if (clean && split != "val" && split != "all") return validation;
  return SampleSet(loaded.splits[0].label_names());
}

}  // namespace

std::vector<std::string> parse_grid(const std::string& text) {
  std::vector<std::string> names;
  if (text == "study") {
    for (const auto& row : artifact::catalogue())
      if (row.in_study) names.push_back(row.name);
    return names;
  }
  for (const auto& name : split(text, ',')) names.push_back(artifact::find(name).name);
  return names;
}

void evaluate(const Options& options, const Run& run, const Messages& messages) {
  const bool to_file = !options.output.empty() && options.output != "-";
  if (to_file) require_absent(options.output, options.overwrite);
  const auto loaded = dataset::load_manifest(options.manifest, options.root, {""});
  const auto samples = choose_split(loaded, options.split);
  if (samples.label_names().empty()) throw DataError(loaded.name + ": has no labels to evaluate");
  const auto conditions = options.artifacts.empty() && options.recipes.empty()
                              ? std::vector<Condition>{condition_as_given(samples)}
                              : grid_conditions(options);
  Why why;
  if (!options.explain.empty())
    why = {explained_conditions(options.explain, conditions),
           choose_explained(samples, options.seed),
           {}};
  const auto validation_samples = choose_validation(loaded, options.split);
  const Networks networks(options, samples, loaded.splits[0], loaded.name);
  Evaluated test{{samples,
                  networks,
                  {},
                  {},
                  options.ladder,
                  options.seed,
                  options.threads,
                  thumbnail_sample(samples)},
                 {}};
  Evaluated validation{
      {validation_samples, networks, {}, {}, options.ladder, options.seed, options.threads, {}},
      {}};
  test.plan.conditions = conditions;
  test.plan.recipes = all_recipes(options);
  if (options.distance) test.plan.distanced = clean_and_worst(conditions);
  if (options.distance && std::none_of(networks.variants.begin(), networks.variants.end(),
                                       [](const Variant& v) { return v.keeps_statistics; }))
    messages.warn("--distance: no model has batch norm, so there is none");
  for (const auto& condition : test.plan.conditions)
    if (condition.kind == Kind::clean ||
        (options.decompose && condition.kind == Kind::artifact && condition.part == Part::all))
      validation.plan.conditions.push_back(condition);
  if (validation.plan.conditions.empty()) validation.plan.conditions = {Condition{}};

  auto provenance = loaded.provenance;
  std::vector<std::pair<std::string, std::string>> inputs = {
      {file_name(loaded.name), loaded.sha256}};
  for (std::size_t m = 0; m < options.models.size(); ++m)
    inputs.emplace_back(file_name(options.models[m]), networks.sha256[m]);
  if (!options.foreign.empty())
    inputs.emplace_back(file_name(options.foreign), sha256_file(options.foreign));
  if (!options.protocol.empty())
    inputs.emplace_back(file_name(options.protocol), sha256_file(options.protocol));
  provenance.push_back(provenance_entry(run, inputs));

  // Finished blocks, then conditions over images, beside the output.
  Journal partial(to_file ? options.output + ".partial" : "", provenance.back(), options.resume,
                  "begun with other models, images or options; remove it to start anew");
  for (const auto& line : partial.lines()) {
    if (line.value("set", "") == "explanation") {
      add_explained(why.explained, line, partial.path());
      continue;
    }
    auto& part = line.value("set", "") == "validation" ? validation : test;
    add_finished(part.scored, line, part.plan, partial.path());
  }
  const auto keep = [&](const char* set) {
    return [&partial, set](Json line) {
      line["set"] = set;
      partial.append(line);
    };
  };
  const auto run_part = [&](Evaluated& part, const char* set, const std::string& what) {
    score(part.plan, part.scored, keep(set), messages, what);
  };
  const bool validated = validation_samples.size() > 0;
  if (validated) run_part(validation, "validation", "validation images");
  run_part(test, "test", "evaluating");
  if (!why.conditions.empty()) explain_models(test.plan, why, keep("explanation"), messages);
  const auto* judged = validated ? &validation : nullptr;
  const auto header = make_header(options, test, judged, why, provenance);
  if (to_file) {
    AtomicFile file(options.output, options.overwrite);
    write_evaluation(test, judged, why, header, [&](std::string_view bytes) { file.write(bytes); });
    file.commit();
  } else {
    write_evaluation(test, judged, why, header,
                     [](std::string_view bytes) { write_stdout(bytes); });
  }
  partial.remove();
}

}  // namespace mr::eval
