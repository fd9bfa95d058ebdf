#include "eval/scoring.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "base/threads.h"
#include "dataset/corrupt.h"
#include "dataset/picture.h"
#include "image/png.h"
#include "nn/device.h"

namespace mr::eval {
namespace {

using results::Condition;
using results::Kind;
using results::Part;

constexpr std::size_t block_samples = 256;  // a block is the images that reach this many samples
constexpr int thumbnail_px = 96;

// ---- images ----

/// The maps that the conditions' artifacts take.
std::vector<artifact::Map> maps_of(const Plan& plan) {
  artifact::Recipe everything;
  for (const auto& condition : plan.conditions)
    if (condition.kind == Kind::artifact)
      everything.steps.push_back({condition.artifact, std::nullopt, {}});
  for (const auto& [name, recipe] : plan.recipes)
    everything.steps.insert(everything.steps.end(), recipe.steps.begin(), recipe.steps.end());
  return artifact::used_maps(everything);
}

artifact::Recipe single_step(const Plan& plan, const Condition& condition) {
  artifact::Recipe recipe;
  recipe.steps.emplace_back();
  recipe.steps[0].artifact = condition.artifact;
  recipe.steps[0].severity = condition.severity;
  recipe.ladder = plan.ladder;
  return recipe;
}

/// What the clinic mix does to each image, by its id; nothing to the others. The share of clean
/// ones is exact (rounded), so that a small test set is no unlucky draw of it.
std::map<std::string, artifact::Recipe> draw_mix(const Plan& plan) {
  std::vector<std::string> artifacts;
  std::map<std::string, std::vector<Condition>> of_artifact;
  for (const auto& condition : plan.conditions) {
    if (condition.kind != Kind::artifact || condition.part != Part::all) continue;
    auto& cells = of_artifact[condition.artifact];
    if (cells.empty()) artifacts.push_back(condition.artifact);
    cells.push_back(condition);
  }
  std::map<std::string, artifact::Recipe> mix;
  if (artifacts.empty()) return mix;
  std::vector<std::string> images;
  for (const auto& image : plan.samples.images()) images.push_back(image.id);
  shuffle(random_key(plan.seed, {results::clinic_mix, "images"}), images);
  const auto clean =
      static_cast<std::size_t>(std::lround(clinic_mix_clean * static_cast<double>(images.size())));
  for (std::size_t i = clean; i < images.size(); ++i) {
    const auto key = random_key(plan.seed, {results::clinic_mix, images[i]});
    const auto& cells = of_artifact.at(artifacts[below(key, 0, artifacts.size())]);
    mix[images[i]] = single_step(plan, cells[below(key, 1, cells.size())]);
  }
  return mix;
}

/// What stays the same over all blocks of a plan.
struct Work {
  explicit Work(const Plan& p) : plan(p), maps(maps_of(p)), mix(draw_mix(p)) {
    std::size_t first = 0;
    for (const auto& image : plan.samples.images()) {
      first_sample.push_back(first);
      first += image.samples.size();
    }
    for (std::size_t c = 0; c < plan.conditions.size(); ++c)
      if (plan.conditions[c].part == Part::all) groups.push_back(c);
  }
  bool shows(std::size_t image) const {
    return plan.thumbnail && plan.samples.image_of(*plan.thumbnail) == image;
  }
  /// What a condition does to an image; none where it stays as it is.
  std::optional<artifact::Recipe> recipe_of(const Condition& condition,
                                            const std::string& image) const {
    if (condition.kind == Kind::artifact) return single_step(plan, condition);
    if (condition.kind != Kind::recipe) return {};
    if (condition.artifact != results::clinic_mix) return plan.recipes.at(condition.artifact);
    const auto drawn = mix.find(image);
    return drawn == mix.end() ? std::nullopt : std::optional(drawn->second);
  }
  /// One past the conditions that share a corruption with the first of them.
  std::size_t end_of_group(std::size_t group) const {
    return group + 1 < groups.size() ? groups[group + 1] : plan.conditions.size();
  }

  const Plan& plan;
  std::vector<artifact::Map> maps;
  std::map<std::string, artifact::Recipe> mix;  // of the clinic mix, by the image's id
  std::vector<std::size_t> first_sample;        // per image, in the SampleSet
  std::vector<std::size_t> groups;              // the first condition of each
};

struct Block {
  std::size_t first_image, end_image, first_sample, end_sample;
};

std::vector<Block> make_blocks(const Work& work) {
  std::vector<Block> blocks;
  const auto& images = work.plan.samples.images();
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

std::vector<std::vector<float>> pixels_of(const Work& work, const image::Volume& volume,
                                          std::size_t image) {
  const auto& entry = work.plan.samples.images()[image];
  std::vector<std::vector<float>> pixels;  // [preprocessings][samples x H x W]
  for (const auto& preprocess : work.plan.networks.preprocessings) {
    const auto scaling = dataset::measure_scaling(volume, preprocess);
    const auto size = dataset::input_elements(preprocess);
    pixels.emplace_back(size * entry.samples.size());
    for (std::size_t s = 0; s < entry.samples.size(); ++s)
      dataset::extract(volume, entry.samples[s].slice, scaling, preprocess,
                       pixels.back().data() + s * size);
  }
  return pixels;
}

/// Means of the first preprocessing's input, but not standardised. [samples]
std::vector<float> intensities(const Work& work, const image::Volume& volume, std::size_t image) {
  auto plain = work.plan.networks.preprocessings.front();
  plain.standardisation = dataset::Standardisation::none;
  std::vector<float> pixels(dataset::input_elements(plain)), means;
  for (const auto& sample : work.plan.samples.images()[image].samples) {
    dataset::extract(volume, sample.slice, {}, plain, pixels.data());
    double sum = 0;
    for (const float pixel : pixels) sum += static_cast<double>(pixel);
    means.push_back(static_cast<float>(sum / static_cast<double>(pixels.size())));
  }
  return means;
}

std::string thumbnail_png(const image::Volume& volume, const std::optional<dataset::Slice>& slice,
                          float white) {
  const auto picture = dataset::picture_of(volume, slice, thumbnail_px);
  return image::encode_png(dataset::to_grey(picture, 0, white), picture.columns, picture.rows);
}

/// The pixels of one image's samples under one condition, per distinct preprocessing.
struct Prepared {
  std::vector<std::vector<float>> pixels;  // [preprocessings][samples x H x W]
  Json fidelity;
  std::string thumbnail;
  std::vector<float> intensity;  // of the first condition
};

/// One image under the conditions of a group.
std::vector<Prepared> prepare(const Work& work, const dataset::CleanImage& clean, std::size_t image,
                              std::size_t group, float white) {
  throw_if_stopped();
  const auto& plan = work.plan;
  const auto& entry = plan.samples.images()[image];
  const auto first = work.groups[group], end = work.end_of_group(group);
  const auto& wanted = plan.conditions[first];
  std::vector<Prepared> all;
  const auto add = [&](const image::Volume& volume, Json fidelity) {
    try {
      all.push_back({pixels_of(work, volume, image), std::move(fidelity), "", {}});
      if (group == 0 && all.size() == 1) all.back().intensity = intensities(work, volume, image);
      if (all.size() == 1 && work.shows(image))
        all.back().thumbnail =
            thumbnail_png(volume, plan.samples.sample(*plan.thumbnail).slice, white);
    } catch (const DataError& e) {
      throw DataError(entry.file + ": " + e.what());
    }
  };
  const auto recipe = work.recipe_of(wanted, entry.id);
  if (!recipe) {
    add(clean.volume, wanted.kind == Kind::as_given && entry.extra.contains("fidelity")
                          ? entry.extra["fidelity"]
                          : Json());
    return all;
  }
  const auto draw = dataset::draw_of(entry, *recipe, recipe->seed.value_or(plan.seed));
  const auto corrupted = dataset::corrupt_image(clean, *recipe, draw, entry.file, end > first + 1);
  add(corrupted.volume, artifact::to_json(corrupted.fidelity));
  for (auto c = first + 1; c < end; ++c)
    add(plan.conditions[c].part == Part::structure ? *corrupted.structure : *corrupted.gain, {});
  return all;
}

/// [conditions][preprocessings][samples x H x W] of a group.
using GroupPixels = std::vector<std::vector<std::vector<float>>>;

GroupPixels no_pixels(const Work& work, std::size_t group) {
  return GroupPixels(work.end_of_group(group) - work.groups[group],
                     std::vector<std::vector<float>>(work.plan.networks.preprocessings.size()));
}

void append(GroupPixels& pixels, const std::vector<Prepared>& image) {
  for (std::size_t c = 0; c < pixels.size(); ++c)
    for (std::size_t p = 0; p < pixels[c].size(); ++p)
      pixels[c][p].insert(pixels[c][p].end(), image[c].pixels[p].begin(), image[c].pixels[p].end());
}

// ---- scores ----

/// The clean images of a block, read when the first condition needs them.
class BlockImages {
 public:
  BlockImages(const Work& work, const Block& block) : work_(work), block_(block) {}
  const Block& block() const { return block_; }
  void read() {
    std::call_once(once_, [this] {
      const auto& samples = work_.plan.samples;
      for (std::size_t image = block_.first_image; image < block_.end_image; ++image) {
        clean.push_back(dataset::read_clean(samples.images()[image], work_.maps));
        whites.push_back(1);
        if (!work_.shows(image)) continue;
        const auto& shown = clean.back().source ? *clean.back().source : clean.back().volume;
        whites.back() = dataset::white_of(
            dataset::picture_of(shown, samples.sample(*work_.plan.thumbnail).slice, thumbnail_px));
      }
    });
  }
  std::vector<dataset::CleanImage> clean;  // [images of the block]
  std::vector<float> whites;               // of the thumbnail, by image

 private:
  const Work& work_;
  const Block block_;
  std::once_flag once_;
};

/// One block under the conditions of a group.
BlockScores run_group(const Work& work, const BlockImages& images, std::size_t group) {
  const auto& plan = work.plan;
  const auto& block = images.block();
  const auto& variants = plan.networks.variants;
  auto pixels = no_pixels(work, group);
  const auto conditions = pixels.size();
  BlockScores results(conditions);
  for (auto& result : results) {
    result.scores.resize(variants.size());
    result.distances.resize(variants.size());
  }
  for (std::size_t image = block.first_image; image < block.end_image; ++image) {
    const auto i = image - block.first_image;
    auto prepared = prepare(work, images.clean[i], image, group, images.whites[i]);
    append(pixels, prepared);
    const auto n = plan.samples.images()[image].samples.size();
    for (std::size_t c = 0; c < conditions; ++c) {
      auto& result = results[c];
      for (std::size_t v = 0; v < variants.size() && n > 0; ++v) {
        if (!variants[v].adaptation.within_image()) continue;
        const auto& own = prepared[c].pixels[variants[v].preprocess];
        const std::size_t each = variants[v].adaptation.policy == Policy::slice ? 1 : n;
        for (std::size_t s = 0; s < n; s += each)
          plan.networks.score(variants[v], own.data() + s * (own.size() / n), each,
                              result.scores[v]);
      }
      result.intensity.insert(result.intensity.end(), prepared[c].intensity.begin(),
                              prepared[c].intensity.end());
      if (!prepared[c].fidelity.is_null())
        result.fidelity.push_back(std::move(prepared[c].fidelity));
      if (!prepared[c].thumbnail.empty()) result.thumbnail = std::move(prepared[c].thumbnail);
    }
  }
  const auto n = block.end_sample - block.first_sample;
  for (std::size_t c = 0; c < conditions; ++c)
    for (std::size_t v = 0; v < variants.size(); ++v)
      if (!variants[v].adaptation.within_image() && !variants[v].adaptation.over_images())
        plan.networks.score(variants[v], pixels[c][variants[v].preprocess].data(), n,
                            results[c].scores[v]);
  for (std::size_t c = 0; c < conditions; ++c)
    for (std::size_t v = 0; v < variants.size(); ++v)
      if (variants[v].keeps_statistics && plan.distanced.count(work.groups[group] + c) != 0)
        results[c].distances[v] =
            plan.networks.distances(variants[v], pixels[c][variants[v].preprocess].data(), n);
  return results;
}

/// All pixels under a group of conditions.
GroupPixels pixels_of_group(const Work& work, std::size_t group) {
  const auto& plan = work.plan;
  auto pixels = no_pixels(work, group);
  std::size_t next = 0;
  ordered_pipeline(
      plan.threads,
      [&]() -> std::optional<std::size_t> {
        return next < plan.samples.images().size() ? std::optional<std::size_t>(next++)
                                                   : std::nullopt;
      },
      [&](std::size_t image) {
        const auto clean = dataset::read_clean(plan.samples.images()[image], work.maps);
        return prepare(work, clean, image, group, 1);
      },
      [&](const std::vector<Prepared>& prepared) { append(pixels, prepared); });
  return pixels;
}

/// A group of conditions by the variants that adapt over images: OverImages of each.
std::vector<OverImages> run_over_images(const Work& work, std::size_t group) {
  const auto& plan = work.plan;
  const auto& variants = plan.networks.variants;
  const auto pixels = pixels_of_group(work, group);
  const auto conditions = pixels.size();
  std::vector<OverImages> scores(conditions, OverImages(variants.size()));
  const auto tasks = conditions * variants.size();
  parallel_for(plan.threads, static_cast<std::int64_t>(tasks), [&](std::int64_t i) {
    const auto c = static_cast<std::size_t>(i) / variants.size();
    const auto v = static_cast<std::size_t>(i) % variants.size();
    if (!variants[v].adaptation.over_images()) return;
    nn::configure_thread(1);
    scores[c][v] = plan.networks.score_over_images(variants[v], pixels[c][variants[v].preprocess],
                                                   plan.samples);
  });
  return scores;
}

// ---- to JSON and back ----

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

Json packed(const std::vector<std::vector<float>>& lists) {
  Json all = Json::array();
  for (const auto& values : lists) all.push_back(pack(values));
  return all;
}

std::vector<std::vector<float>> unpacked(const Json& all, const std::string& name) {
  std::vector<std::vector<float>> lists;
  for (const auto& text : all) lists.push_back(unpack(text.get<std::string>(), name));
  return lists;
}

Json to_json(const BlockScores& block, std::size_t index) {
  Json conditions = Json::array();
  for (const auto& condition : block)
    conditions.push_back({{"scores", packed(condition.scores)},
                          {"distances", packed(condition.distances)},
                          {"intensity", pack(condition.intensity)},
                          {"fidelity", condition.fidelity},
                          {"thumbnail", base64_encode(condition.thumbnail)}});
  return {{"block", index}, {"conditions", std::move(conditions)}};
}

BlockScores block_from_json(const Json& line, const Plan& plan, const std::string& name) {
  BlockScores block;
  for (const auto& object : member(line, "conditions", name)) {
    ConditionScores condition;
    condition.scores = unpacked(member(object, "scores", name), name);
    condition.distances = unpacked(member(object, "distances", name), name);
    condition.intensity = unpack(string_member(object, "intensity", name), name);
    const auto& fidelity = member(object, "fidelity", name);
    condition.fidelity.assign(fidelity.begin(), fidelity.end());
    condition.thumbnail = base64_decode(string_member(object, "thumbnail", name), name);
    block.push_back(std::move(condition));
  }
  if (block.size() != plan.conditions.size()) throw DataError(name + ": of another evaluation");
  return block;
}

Json to_json(const std::vector<OverImages>& conditions, std::size_t group) {
  Json all = Json::array();
  for (const auto& scores : conditions) all.push_back(packed(scores));
  return {{"group", group}, {"over_images", std::move(all)}};
}

std::vector<OverImages> over_images_from_json(const Json& line, const Plan& plan,
                                              const std::string& name) {
  std::vector<OverImages> conditions;
  for (const auto& lists : member(line, "over_images", name)) {
    conditions.push_back(unpacked(lists, name));
    if (conditions.back().size() != plan.networks.variants.size())
      throw DataError(name + ": of another evaluation");
  }
  return conditions;
}

bool adapts_over_images(const Plan& plan) {
  const auto& variants = plan.networks.variants;
  return std::any_of(variants.begin(), variants.end(),
                     [](const Variant& v) { return v.adaptation.over_images(); });
}

}  // namespace

void add_finished(Scored& scored, const Json& line, const Plan& plan, const std::string& name) {
  if (line.contains("over_images"))
    for (auto& condition : over_images_from_json(line, plan, name))
      scored.over_images.push_back(std::move(condition));
  else
    scored.blocks.push_back(block_from_json(line, plan, name));
  if (scored.over_images.size() > plan.conditions.size())
    throw DataError(name + ": of another evaluation");
}

void score(const Plan& plan, Scored& scored, const std::function<void(const Json&)>& finished,
           const Messages& messages, const std::string& what) {
  const Work work(plan);
  const auto blocks = make_blocks(work);
  if (scored.blocks.size() > blocks.size())
    throw DataError("scores: more blocks than the images make");
  const auto groups = work.groups.size();
  struct Task {
    std::shared_ptr<BlockImages> images;
    std::size_t group;
  };
  Progress progress(messages, what, static_cast<std::int64_t>(blocks.size() * groups));
  progress.advance(static_cast<std::int64_t>(scored.blocks.size() * groups));
  std::size_t next = scored.blocks.size() * groups;
  std::shared_ptr<BlockImages> images;
  BlockScores block;
  ordered_pipeline(
      plan.threads,
      [&]() -> std::optional<Task> {
        if (next == blocks.size() * groups) return std::nullopt;
        const auto group = next % groups;
        if (group == 0) images = std::make_shared<BlockImages>(work, blocks[next / groups]);
        ++next;
        return Task{images, group};
      },
      [&](const Task& task) {
        nn::configure_thread(1);
        task.images->read();
        return run_group(work, *task.images, task.group);
      },
      [&](BlockScores conditions) {
        for (auto& condition : conditions) block.push_back(std::move(condition));
        progress.advance();
        if (block.size() < plan.conditions.size()) return;
        finished(to_json(block, scored.blocks.size()));
        scored.blocks.push_back(std::move(block));
        block.clear();
      });
  if (!adapts_over_images(plan)) return;
  Progress over(messages, what + ", adapting over images", static_cast<std::int64_t>(groups));
  for (std::size_t group = 0; group < groups; ++group) {
    if (scored.over_images.size() < work.end_of_group(group)) {
      auto conditions = run_over_images(work, group);
      finished(to_json(conditions, group));
      for (auto& condition : conditions) scored.over_images.push_back(std::move(condition));
    }
    over.advance();
  }
}

std::vector<std::vector<float>> pixels_under(const Plan& plan, std::size_t condition) {
  const Work work(plan);
  const auto after = std::upper_bound(work.groups.begin(), work.groups.end(), condition);
  const auto group = static_cast<std::size_t>(after - work.groups.begin()) - 1;
  return pixels_of_group(work, group)[condition - work.groups[group]];
}

std::vector<float> by_label(const std::vector<float>& scores, std::size_t labels) {
  const auto n = scores.size() / labels;
  std::vector<float> turned(scores.size());
  for (std::size_t sample = 0; sample < n; ++sample)
    for (std::size_t l = 0; l < labels; ++l) turned[l * n + sample] = scores[sample * labels + l];
  return turned;
}

std::vector<float> intensities_of(const Scored& scored) {
  std::vector<float> values;
  for (const auto& block : scored.blocks)
    values.insert(values.end(), block.front().intensity.begin(), block.front().intensity.end());
  return values;
}

std::vector<float> distances_of(const Scored& scored, std::size_t condition, std::size_t variant) {
  std::vector<float> values;
  for (const auto& block : scored.blocks) {
    const auto& own = block[condition].distances[variant];
    values.insert(values.end(), own.begin(), own.end());
  }
  return values;
}

std::vector<float> scores_of(const Plan& plan, const Scored& scored, std::size_t condition,
                             std::size_t variant) {
  std::vector<float> values;  // [samples x labels]
  if (plan.networks.variants[variant].adaptation.over_images())
    values = scored.over_images[condition][variant];
  else
    for (const auto& block : scored.blocks) {
      const auto& own = block[condition].scores[variant];
      values.insert(values.end(), own.begin(), own.end());
    }
  return by_label(values, plan.samples.label_names().size());
}

}  // namespace mr::eval
