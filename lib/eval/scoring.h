// eval/: the scores of images under conditions, block by block.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "artifact/recipe.h"
#include "base/json.h"
#include "base/run.h"
#include "dataset/loader.h"
#include "eval/networks.h"
#include "results/evaluation.h"

namespace mr::eval {

/// The share of clean images in results::clinic_mix (rounded to whole images); of the others,
/// artifacts and severities of the conditions' grid are uniform.
inline constexpr double clinic_mix_clean = 0.6;

/// Which images are scored, by which networks, under which conditions.
struct Plan {
  const dataset::SampleSet& samples;
  const Networks& networks;
  /// The parts of an artifact at a severity stand side by side: they share its corruption.
  std::vector<results::Condition> conditions;
  std::map<std::string, artifact::Recipe> recipes;  // of conditions of kind recipe, by name
  std::shared_ptr<const artifact::Ladder> ladder;   // or null
  std::uint64_t seed = 0;                           // of the artifacts
  int threads = 1;
  std::optional<std::size_t> thumbnail;  // sample whose picture is wanted
  std::set<std::size_t> distanced = {};  // conditions under which distances are wanted
};

/// Some images under one condition.
struct ConditionScores {
  // [variants][samples x labels]; empty where a variant adapts over images
  std::vector<std::vector<float>> scores;
  std::vector<std::vector<float>> distances;  // [variants][samples]; empty where not measured
  std::vector<float> intensity;               // [samples], of the first condition
  std::vector<Json> fidelity;                 // [images], as far as there is any
  std::string thumbnail;                      // PNG, "" where there is none
};

using BlockScores = std::vector<ConditionScores>;  // [conditions]

/// Scores [variants][samples x labels] of a condition by the variants that adapt over images; empty
/// for the others.
using OverImages = std::vector<std::vector<float>>;

struct Scored {
  std::vector<BlockScores> blocks;      // in the order of the images
  std::vector<OverImages> over_images;  // [conditions], where a variant adapts over images
};

/// The parts of `scored` as lines of JSON, and back.
/// throws DataError that begins with `name` where a line is of another plan
void add_finished(Scored& scored, const Json& line, const Plan& plan, const std::string& name);

/// Scores what is not in `scored` yet. Images go in blocks: one decoding and one corruption of an
/// image serve all models, in threads ahead of the network; then the conditions for variants that
/// adapt over images, all of a condition's pixels in memory. `finished` gets each part when it is
/// done, as add_finished takes it. throws InterruptedError, DataError
void score(const Plan& plan, Scored& scored, const std::function<void(const Json&)>& finished,
           const Messages& messages, const std::string& what);

/// The pixels of all samples under one condition: [preprocessings][samples x H x W].
std::vector<std::vector<float>> pixels_under(const Plan& plan, std::size_t condition);

/// [labels x samples] of [samples x labels].
std::vector<float> by_label(const std::vector<float>& scores, std::size_t labels);

/// [samples]: mean of the first network's input before standardisation, in the first condition.
std::vector<float> intensities_of(const Scored& scored);

/// [samples] of one variant under one condition; empty where not measured.
std::vector<float> distances_of(const Scored& scored, std::size_t condition, std::size_t variant);

/// [labels x samples] of one variant under one condition.
std::vector<float> scores_of(const Plan& plan, const Scored& scored, std::size_t condition,
                             std::size_t variant);

}  // namespace mr::eval
