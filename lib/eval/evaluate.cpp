#include "eval/evaluate.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <mutex>

#include "artifact/catalogue.h"
#include "artifact/recipe.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "base/threads.h"
#include "dataset/corrupt.h"
#include "dataset/loader.h"
#include "dataset/picture.h"
#include "eval/networks.h"
#include "image/image_file.h"
#include "image/png.h"
#include "nn/device.h"
#include "results/measure.h"

namespace mr::eval {
namespace {

using dataset::ImageEntry;
using dataset::SampleSet;
using results::Condition;
using results::Kind;

constexpr std::size_t block_samples = 256;  // a block is the images that reach this many samples
constexpr int thumbnail_px = 96;

// ---- conditions ----

std::vector<Condition> grid_conditions(const Options& options) {
  std::vector<Condition> conditions{{Kind::clean, "", 0}};
  for (const auto& artifact : options.artifacts)
    for (const double severity : options.severities)
      conditions.push_back({Kind::artifact, artifact, severity});
  return conditions;
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

// ---- images ----

/// The pixels of one image's samples under one condition, per distinct preprocessing.
struct Prepared {
  std::vector<std::vector<float>> pixels;  // [preprocessings][samples x H x W]
  Json fidelity;
  std::string thumbnail;  // PNG, of the chosen sample alone
};

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

std::string thumbnail_png(const image::Volume& volume, const std::optional<dataset::Slice>& slice,
                          float white) {
  const auto picture = dataset::picture_of(volume, slice, thumbnail_px);
  return image::encode_png(dataset::to_grey(picture, 0, white), picture.columns, picture.rows);
}

/// What stays the same over all blocks.
struct Plan {
  const Options& options;
  const SampleSet& samples;
  Networks networks;
  std::vector<Condition> conditions;
  std::vector<artifact::Map> maps;        // that the conditions need
  std::vector<std::size_t> first_sample;  // per image, in the SampleSet
  std::size_t thumbnail = 0;              // sample
  std::size_t labels() const { return samples.label_names().size(); }
};

struct Block {
  std::size_t first_image, end_image, first_sample, end_sample;
};

std::vector<Block> make_blocks(const Plan& plan) {
  std::vector<Block> blocks;
  const auto& images = plan.samples.images();
  Block block{0, 0, 0, 0};
  for (std::size_t i = 0; i < images.size(); ++i) {
    block.end_image = i + 1;
    block.end_sample += images[i].samples.size();
    if (block.end_sample - block.first_sample >= block_samples || i + 1 == images.size()) {
      if (block.end_sample > block.first_sample) blocks.push_back(block);
      block = {i + 1, i + 1, block.end_sample, block.end_sample};
    }
  }
  return blocks;
}

Prepared prepare(const Plan& plan, const dataset::CleanImage& clean, std::size_t image,
                 std::size_t condition, float white) {
  throw_if_stopped();
  const auto& entry = plan.samples.images()[image];
  const auto& wanted = plan.conditions[condition];
  Prepared prepared;
  const image::Volume* volume = &clean.volume;
  dataset::CorruptedImage corrupted;
  if (wanted.kind == Kind::artifact) {
    artifact::Recipe recipe;
    recipe.steps.emplace_back();
    recipe.steps[0].artifact = wanted.artifact;
    recipe.steps[0].severity = wanted.severity;
    recipe.ladder = plan.options.ladder;
    corrupted = dataset::corrupt_image(clean, recipe, {plan.options.seed, entry.id, std::nullopt},
                                       entry.file);
    volume = &corrupted.volume;
    prepared.fidelity = artifact::to_json(corrupted.fidelity);
  } else if (wanted.kind == Kind::as_given && entry.extra.contains("fidelity")) {
    prepared.fidelity = entry.extra["fidelity"];
  }
  const auto first = plan.first_sample[image];
  try {
    for (const auto& preprocess : plan.networks.preprocessings) {
      const auto scaling = dataset::measure_scaling(*volume, preprocess);
      const auto size = dataset::input_elements(preprocess);
      std::vector<float> pixels(size * entry.samples.size());
      for (std::size_t s = 0; s < entry.samples.size(); ++s)
        dataset::extract(*volume, entry.samples[s].slice, scaling, preprocess,
                         pixels.data() + s * size);
      prepared.pixels.push_back(std::move(pixels));
    }
    if (plan.thumbnail >= first && plan.thumbnail < first + entry.samples.size())
      prepared.thumbnail = thumbnail_png(*volume, plan.samples.sample(plan.thumbnail).slice, white);
  } catch (const DataError& e) {
    throw DataError(entry.file + ": " + e.what());
  }
  return prepared;
}

// ---- scores ----

/// The clean images of a block, read when the first condition needs them.
class BlockImages {
 public:
  BlockImages(const Plan& plan, const Block& block) : plan_(plan), block_(block) {}
  const Block& block() const { return block_; }
  void read() {
    std::call_once(once_, [this] {
      for (std::size_t image = block_.first_image; image < block_.end_image; ++image) {
        const auto& entry = plan_.samples.images()[image];
        clean.push_back(dataset::read_clean(entry, plan_.maps));
        const auto first = plan_.first_sample[image];
        whites.push_back(1);
        if (plan_.thumbnail < first || plan_.thumbnail >= first + entry.samples.size()) continue;
        const auto& shown = clean.back().source ? *clean.back().source : clean.back().volume;
        whites.back() = dataset::white_of(
            dataset::picture_of(shown, plan_.samples.sample(plan_.thumbnail).slice, thumbnail_px));
      }
    });
  }
  std::vector<dataset::CleanImage> clean;  // [images of the block]
  std::vector<float> whites;               // of the thumbnail, by image

 private:
  const Plan& plan_;
  const Block block_;
  std::once_flag once_;
};

/// One block under one condition.
struct ConditionResult {
  // [variants][samples of the block x labels]; empty where a variant adapts over images
  std::vector<std::vector<float>> scores;
  std::vector<Json> fidelity;  // [images of the block], as far as there is any
  std::string thumbnail;       // "" where another block has it
};

ConditionResult run_condition(const Plan& plan, const BlockImages& images, std::size_t condition) {
  const auto& block = images.block();
  const auto& variants = plan.networks.variants;
  ConditionResult result;
  result.scores.resize(variants.size());
  std::vector<std::vector<float>> pixels(plan.networks.preprocessings.size());
  for (std::size_t image = block.first_image; image < block.end_image; ++image) {
    const auto i = image - block.first_image;
    auto prepared = prepare(plan, images.clean[i], image, condition, images.whites[i]);
    const auto n = plan.samples.images()[image].samples.size();
    for (std::size_t v = 0; v < variants.size() && n > 0; ++v) {
      if (!variants[v].adaptation.within_image()) continue;
      const auto& own = prepared.pixels[variants[v].preprocess];
      const std::size_t each = variants[v].adaptation.policy == Policy::slice ? 1 : n;
      for (std::size_t s = 0; s < n; s += each)
        plan.networks.score(variants[v], own.data() + s * (own.size() / n), each, result.scores[v]);
    }
    for (std::size_t p = 0; p < pixels.size(); ++p)
      pixels[p].insert(pixels[p].end(), prepared.pixels[p].begin(), prepared.pixels[p].end());
    if (!prepared.fidelity.is_null()) result.fidelity.push_back(std::move(prepared.fidelity));
    if (!prepared.thumbnail.empty()) result.thumbnail = std::move(prepared.thumbnail);
  }
  const auto n = block.end_sample - block.first_sample;
  for (std::size_t v = 0; v < variants.size(); ++v)
    if (!variants[v].adaptation.within_image() && !variants[v].adaptation.over_images())
      plan.networks.score(variants[v], pixels[variants[v].preprocess].data(), n, result.scores[v]);
  return result;
}

using BlockResult = std::vector<ConditionResult>;  // [conditions]

/// Scores [variants][samples x labels] of a condition by the variants that adapt over images; empty
/// for the others. All of the condition's pixels are in memory meanwhile.
using OverImages = std::vector<std::vector<float>>;

OverImages run_over_images(const Plan& plan, std::size_t condition) {
  const auto& variants = plan.networks.variants;
  std::vector<std::vector<float>> pixels(plan.networks.preprocessings.size());
  std::size_t next = 0;
  ordered_pipeline(
      plan.options.threads,
      [&]() -> std::optional<std::size_t> {
        return next < plan.samples.images().size() ? std::optional<std::size_t>(next++)
                                                   : std::nullopt;
      },
      [&](std::size_t image) {
        const auto clean = dataset::read_clean(plan.samples.images()[image], plan.maps);
        return prepare(plan, clean, image, condition, 1).pixels;
      },
      [&](const std::vector<std::vector<float>>& own) {
        for (std::size_t p = 0; p < pixels.size(); ++p)
          pixels[p].insert(pixels[p].end(), own[p].begin(), own[p].end());
      });
  OverImages scores(variants.size());
  parallel_for(plan.options.threads, static_cast<std::int64_t>(variants.size()),
               [&](std::int64_t i) {
                 const auto v = static_cast<std::size_t>(i);
                 if (!variants[v].adaptation.over_images()) return;
                 nn::configure_thread(1);
                 scores[v] = plan.networks.score_over_images(
                     variants[v], pixels[variants[v].preprocess], plan.samples);
               });
  return scores;
}

// ---- the partial file ----

std::string pack(const std::vector<float>& values) {
  static_assert(sizeof(float) == 4);
  return base64_encode({reinterpret_cast<const char*>(values.data()), values.size() * 4});
}

std::vector<float> unpack(const std::string& text, const std::string& name) {
  const auto bytes = base64_decode(text, name);
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), values.size() * 4);
  return values;
}

Json to_json(const BlockResult& block, std::size_t index) {
  Json conditions = Json::array();
  for (const auto& condition : block) {
    Json scores = Json::array();
    for (const auto& values : condition.scores) scores.push_back(pack(values));
    conditions.push_back({{"scores", std::move(scores)},
                          {"fidelity", condition.fidelity},
                          {"thumbnail", base64_encode(condition.thumbnail)}});
  }
  return {{"block", index}, {"conditions", std::move(conditions)}};
}

BlockResult block_from_json(const Json& line, const Plan& plan, const std::string& name) {
  BlockResult block;
  for (const auto& object : member(line, "conditions", name)) {
    ConditionResult condition;
    for (const auto& text : member(object, "scores", name))
      condition.scores.push_back(unpack(text.get<std::string>(), name));
    const auto& fidelity = member(object, "fidelity", name);
    condition.fidelity.assign(fidelity.begin(), fidelity.end());
    condition.thumbnail = base64_decode(string_member(object, "thumbnail", name), name);
    block.push_back(std::move(condition));
  }
  if (block.size() != plan.conditions.size()) throw DataError(name + ": of another evaluation");
  return block;
}

Json to_json(const OverImages& scores, std::size_t condition) {
  Json packed = Json::array();
  for (const auto& values : scores) packed.push_back(pack(values));
  return {{"condition", condition}, {"over_images", std::move(packed)}};
}

OverImages over_images_from_json(const Json& line, const Plan& plan, const std::string& name) {
  OverImages scores;
  for (const auto& text : member(line, "over_images", name))
    scores.push_back(unpack(text.get<std::string>(), name));
  if (scores.size() != plan.networks.variants.size())
    throw DataError(name + ": of another evaluation");
  return scores;
}

/// Finished blocks, then conditions over images, beside the output: a line each after one that says
/// which evaluation it is.
class Partial {
 public:
  Partial(const std::string& output, const Json& identity, bool resume)
      : path_(output.empty() || output == "-" ? "" : output + ".partial"),
        head_(to_line(identity)) {
    if (path_.empty()) return;
    if (resume) read();
    out_.open(path_, resume ? std::ios::app : std::ios::trunc);
    if (!out_) throw CannotCreateError(path_ + ": cannot be created");
    if (!resume || out_.tellp() == 0) put(head_);
  }

  const std::vector<Json>& finished() const { return finished_; }
  const std::string& path() const { return path_; }

  void append(const Json& line) {
    if (!path_.empty()) put(to_line(line));
  }

  void remove() {
    if (path_.empty()) return;
    out_.close();
    std::remove(path_.c_str());
  }

 private:
  void put(const std::string& line) {
    out_ << line << '\n' << std::flush;
    if (!out_) throw IoError(path_ + ": cannot be written");
  }

  void read() {
    std::ifstream in(path_);
    std::string line;
    if (!in || !std::getline(in, line)) return;
    if (line != head_)
      throw DataError(path_ +
                      ": begun with other models, images or options; remove it to start anew");
    std::string whole = line + "\n";
    while (std::getline(in, line) && !in.eof()) {  // a last line without its end is not whole
      finished_.push_back(parse_json(line, path_));
      whole += line + "\n";
    }
    in.close();
    write_file(path_, whole, Overwrite::yes);
  }

  std::string path_, head_;
  std::vector<Json> finished_;
  std::ofstream out_;
};

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

std::vector<results::Model> describe_models(const Plan& plan) {
  std::vector<results::Model> models;
  for (const auto& variant : plan.networks.variants) {
    const auto& path = plan.options.models[variant.model];
    const auto& info = plan.networks.infos[variant.model];
    results::Model model;
    model.normalization = results::trained_as(info, path);
    model.adaptation = name(variant.adaptation);
    if (info.contains("conversion")) {
      const auto converted = string_member(info["conversion"], "to", path);
      model.adaptation = converted + (model.adaptation.empty() ? "" : "+" + model.adaptation);
    }
    model.run = integer_member(member(info, "training", path), "seed", path);
    model.sha256 = sha256_file(path);
    const auto adaptation = name(variant.adaptation);
    model.id = file_name(path) + (adaptation.empty() ? "" : "+" + adaptation);
    for (const auto& point : member(info, "operating_points", path)) {
      const auto& threshold = member(point, "threshold", path);
      model.thresholds.push_back(
          threshold.is_number() ? std::optional<double>(threshold.get<double>()) : std::nullopt);
    }
    if (model.thresholds.size() != plan.labels())
      throw DataError(path + ": operating_points: want one per label");
    model.info = info;
    if (!variant.adapted_on.is_null()) model.info["adaptation"] = variant.adapted_on;
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

results::Header make_header(const Plan& plan, const Json& provenance, Json notes) {
  results::Header header;
  header.models = describe_models(plan);
  for (const auto& label : plan.samples.label_names()) header.labels.push_back(label.name);
  header.truth.assign(plan.labels(), {});
  header.subjects = plan.samples.subjects();
  Json image_of = Json::array(), attributes = Json::array();
  for (std::size_t i = 0; i < plan.samples.size(); ++i) {
    header.sample_ids.push_back(plan.samples.id(i));
    header.sample_subject.push_back(plan.samples.subject(i));
    image_of.push_back(plan.samples.image_of(i));
    for (std::size_t l = 0; l < plan.labels(); ++l)
      header.truth[l].push_back(static_cast<std::int8_t>(plan.samples.labels(i)[l]));
  }
  for (const auto& image : plan.samples.images()) attributes.push_back(image.attributes);
  header.attributes = {{"sample_image", std::move(image_of)}, {"images", std::move(attributes)}};
  header.grid = {{"artifacts", plan.options.artifacts},
                 {"severities",
                  plan.options.artifacts.empty() ? Json::array() : Json(plan.options.severities)},
                 {"seed", plan.options.seed},
                 {"split", plan.options.split},
                 {"batch_size", plan.options.batch_size},
                 {"catalogue", ladders(plan.options)},
                 {"ladder", plan.options.ladder ? "calibrated" : "physical"}};
  header.notes = std::move(notes);
  header.provenance = provenance;
  return header;
}

/// What the report must say of these images and of what was done to them.
Json make_notes(const Plan& plan) {
  Json notes = Json::array();
  const auto& first = plan.samples.images()[0];
  const bool corrupted = !plan.options.artifacts.empty() || !first.artifacts.empty();
  if (corrupted && !image::read_image(first.file).is_complex())
    notes.push_back(
        "These are magnitude images: a magnitude image, and a cropped one all the more, has no "
        "acquired k-space. The artifacts act on the Fourier transform of the magnitude with zero "
        "phase and are proxies for what a scanner would have produced.");
  const auto& acquisition = first.acquisition;
  if (corrupted && !acquisition.contains("phase_encode_axis"))
    notes.push_back(
        "The manifest does not say which axis was phase-encoded; where the header is silent too, "
        "the rows of the image were taken.");
  for (const auto& variant : plan.networks.variants)
    if (variant.adaptation.policy == Policy::all && variant.adaptation.over_images()) {
      notes.push_back(
          "Models adapted on all samples are transductive: their samples are not independent, and "
          "the intervals take them as if they were. Each norm layer costs a pass over all images.");
      break;
    }
  return notes;
}

void write_evaluation(const Plan& plan, const std::vector<BlockResult>& blocks,
                      const std::vector<OverImages>& over_images, const results::Header& header,
                      const results::EvaluationWriter::Sink& sink) {
  results::EvaluationWriter writer(sink, header);
  const auto labels = plan.labels(), n = plan.samples.size();
  for (std::size_t c = 0; c < plan.conditions.size(); ++c) {
    std::vector<Json> fidelity;
    for (const auto& block : blocks)
      fidelity.insert(fidelity.end(), block[c].fidelity.begin(), block[c].fidelity.end());
    for (std::size_t v = 0; v < plan.networks.variants.size(); ++v) {
      results::Result result;
      result.model = v;
      result.condition = plan.conditions[c];
      result.scores.resize(labels * n);
      std::vector<float> values;  // [samples x labels]
      for (const auto& block : blocks)
        values.insert(values.end(), block[c].scores[v].begin(), block[c].scores[v].end());
      if (plan.networks.variants[v].adaptation.over_images()) values = over_images[c][v];
      for (std::size_t sample = 0; sample < n; ++sample)
        for (std::size_t l = 0; l < labels; ++l)
          result.scores[l * n + sample] = values[sample * labels + l];
      result.fidelity = median_fidelity(fidelity);
      results::measure(header, result);
      writer.write(result);
    }
  }
  for (std::size_t c = 0; c < plan.conditions.size(); ++c)
    for (const auto& block : blocks)
      if (!block[c].thumbnail.empty())
        writer.write(results::Thumbnail{plan.conditions[c], plan.samples.id(plan.thumbnail),
                                        block[c].thumbnail});
  writer.finish();
}

/// Runs what is not in `results` yet, all conditions of a block before the next block.
void run_blocks(const Plan& plan, const std::vector<Block>& blocks,
                std::vector<BlockResult>& results, Partial& partial, const Messages& messages) {
  const auto conditions = plan.conditions.size();
  struct Task {
    std::shared_ptr<BlockImages> images;
    std::size_t condition;
  };
  Progress progress(messages, "evaluating", static_cast<std::int64_t>(blocks.size() * conditions));
  progress.advance(static_cast<std::int64_t>(results.size() * conditions));
  std::size_t next = results.size() * conditions;
  std::shared_ptr<BlockImages> images;
  BlockResult block;
  ordered_pipeline(
      plan.options.threads,
      [&]() -> std::optional<Task> {
        if (next == blocks.size() * conditions) return std::nullopt;
        const auto condition = next % conditions;
        if (condition == 0) images = std::make_shared<BlockImages>(plan, blocks[next / conditions]);
        ++next;
        return Task{images, condition};
      },
      [&](const Task& task) {
        nn::configure_thread(1);
        task.images->read();
        return run_condition(plan, *task.images, task.condition);
      },
      [&](ConditionResult result) {
        block.push_back(std::move(result));
        progress.advance();
        if (block.size() < conditions) return;
        partial.append(to_json(block, results.size()));
        results.push_back(std::move(block));
        block.clear();
      });
}

/// Runs what is not in `results` yet, where a model adapts over images.
void run_conditions_over_images(const Plan& plan, std::vector<OverImages>& results,
                                Partial& partial, const Messages& messages) {
  const auto& variants = plan.networks.variants;
  if (std::none_of(variants.begin(), variants.end(),
                   [](const Variant& v) { return v.adaptation.over_images(); }))
    return;
  Progress progress(messages, "adapting over images",
                    static_cast<std::int64_t>(plan.conditions.size()));
  progress.advance(static_cast<std::int64_t>(results.size()));
  while (results.size() < plan.conditions.size()) {
    results.push_back(run_over_images(plan, results.size()));
    partial.append(to_json(results.back(), results.size() - 1));
    progress.advance();
  }
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
  Plan plan{options, samples, Networks(options, samples, loaded.splits[0], loaded.name), {}, {},
            {},      0};
  artifact::Recipe everything;
  for (const auto& artifact : options.artifacts)
    everything.steps.push_back({artifact, std::nullopt, {}});
  plan.maps = artifact::used_maps(everything);
  plan.conditions = options.artifacts.empty() ? std::vector<Condition>{condition_as_given(samples)}
                                              : grid_conditions(options);
  std::size_t first = 0;
  for (const auto& image : samples.images()) {
    plan.first_sample.push_back(first);
    first += image.samples.size();
  }
  plan.thumbnail = thumbnail_sample(samples);

  auto provenance = loaded.provenance;
  std::vector<std::pair<std::string, std::string>> inputs = {
      {file_name(loaded.name), loaded.sha256}};
  for (const auto& path : options.models) inputs.emplace_back(file_name(path), sha256_file(path));
  if (!options.protocol.empty())
    inputs.emplace_back(file_name(options.protocol), sha256_file(options.protocol));
  provenance.push_back(provenance_entry(run, inputs));

  const auto blocks = make_blocks(plan);
  Partial partial(options.output, provenance.back(), options.resume);
  std::vector<BlockResult> results;
  std::vector<OverImages> over_images;
  for (const auto& line : partial.finished())
    if (line.contains("over_images"))
      over_images.push_back(over_images_from_json(line, plan, partial.path()));
    else
      results.push_back(block_from_json(line, plan, partial.path()));
  if (results.size() > blocks.size() || over_images.size() > plan.conditions.size())
    throw DataError(partial.path() + ": of another evaluation");
  run_blocks(plan, blocks, results, partial, messages);
  run_conditions_over_images(plan, over_images, partial, messages);
  const auto header = make_header(plan, provenance, make_notes(plan));
  if (to_file) {
    AtomicFile file(options.output, options.overwrite);
    write_evaluation(plan, results, over_images, header,
                     [&](std::string_view bytes) { file.write(bytes); });
    file.commit();
  } else {
    write_evaluation(plan, results, over_images, header,
                     [](std::string_view bytes) { write_stdout(bytes); });
  }
  partial.remove();
}

}  // namespace mr::eval
