// results/: the evaluation file mr-eval/1 (JSON Lines): reader, writer, contrasts over it.
// Line 1 is the header; then the models' scores on clean validation images, one line per model and
// condition, explanations, thumbnails, and an end line.
// Shapes: L labels, N samples, P subjects; V samples of the clean validation images.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "results/explanation.h"

namespace mr::results {

/// How a test-time scheme changed a model ("" none, "batch-stats:slice", "batch-stats:volume").
struct Model {
  std::string id;             // unique in the file: "batch-s1", "batch-s1+batch-stats:volume"
  std::string normalization;  // how it was trained: as Training::name
  std::string adaptation;     // "" or as above
  std::int64_t run = 0;       // the training seed
  std::string sha256;         // of the model file
  std::vector<std::optional<double>> thresholds;  // L, logit scale, from clean validation
  Json info = Json::object();                     // architecture, preprocessing, training, ...
};

/// What sets trained networks apart in contrasts.
struct Training {
  std::string norm;             // "batch", "group(8)"
  std::string standardisation;  // of the input
  std::string augmentation;     // the recipe's name; "" none

  /// NORM[:STANDARDISATION][/AUGMENTATION], without the standardisation that is mr-train's default:
  /// "batch", "group(8):scale:500/gain".
  std::string name() const;
};
inline constexpr const char* default_standardisation = "volume-percentile";

/// Of a description of training (mr.json, or a log's header).
/// throws DataError that begins with `where`
Training trained_as(const Json& description, const std::string& where);

/// Of a Model::normalization; the inverse of Training::name.
Training parse_training(const std::string& name);

/// The arm a model belongs to in contrasts: normalization, plus "+adaptation" where there is one.
std::string arm(const Model& model);

struct Samples {
  std::vector<std::string> sample_ids;          // N
  std::vector<std::int32_t> sample_subject;     // N, index into subjects
  std::vector<std::string> subjects;            // P
  std::vector<std::vector<std::int8_t>> truth;  // L x N: 0, 1, -1 unknown
  // Facts of the images: {"sample_image": [N, index into images], "image_ids": [id],
  // "images": [{attribute: value}]}.
  Json attributes = Json::object();
};

struct Header : Samples {
  std::vector<Model> models;
  std::vector<std::string> labels;  // L
  /// Those whose scores operating points and calibration are fitted on; empty where there are none.
  Samples validation;
  Json grid = Json::object();  // what was asked: artifacts, severities, seed
  Json notes = Json::array();  // statements the report must repeat (e.g. proxies)
  Json provenance = Json::array();
};

enum class Kind { clean, artifact, recipe, as_given };

/// Which part of what an artifact did is in the images. g: least-squares gain of the corrupted
/// image y on the clean x in the foreground, of each volume in 3-D, of each slice in 2-D.
enum class Part {
  all,        // y, as drawn
  structure,  // y / g: gain-matched, an oracle that no scanner has
  gain        // g x
};

struct Condition {
  Kind kind = Kind::clean;
  std::string artifact;  // name, or the recipe's name
  double severity = 0;
  Part part = Part::all;
  bool operator==(const Condition& o) const {
    return kind == o.kind && artifact == o.artifact && severity == o.severity && part == o.part;
  }
};
/// Conditions of kind recipe that mr-eval has names of its own for. The clinic mix: most images are
/// clean, the others have an artifact of the grid. The controls of the gain: an artifact at a
/// severity ("gain-random:3") that is no part of the endpoint.
inline constexpr const char* clinic_mix = "clinic-mix";
inline constexpr const char* gain_controls[] = {"gain-common", "gain-random"};
Condition gain_control(const std::string& artifact, double severity);
struct GainControl {
  std::string name, severity;
};
std::optional<GainControl> parse_gain_control(const Condition& condition);  // none of another
bool is_own_name(const std::string& recipe);                                // of one of these

std::string name(const Condition& condition);  // "clean", "motion:3", "motion:3 gain-matched", ...

struct Result {
  std::size_t model = 0;  // index into header.models
  Condition condition;
  std::vector<float> scores;       // L x N logits, row-major
  std::vector<float> distance;     // N, nn::statistics_distances; empty where not measured
  std::vector<double> influence;   // L x P, U_p of stats/; zeros where undefined
  Json metrics = Json::object();   // label -> ...; see measure.h
  Json fidelity = Json::object();  // medians over images: {gain, nrmse, nrmse_matched, ...}
};

/// Scores of a model on the validation images.
struct ValidationScores {
  std::size_t model = 0;  // index into header.models
  Condition condition;
  std::vector<float> scores;  // L x V logits, row-major
};

/// Why a model does as it does under a condition.
struct Explanation {
  std::size_t model = 0;  // index into header.models
  Condition condition;
  Findings findings;
};

struct Thumbnail {
  Condition condition;
  std::string sample_id;
  std::string png;  // bytes
};

/// Writes line after line to a sink; each call of the sink gets one whole line.
class EvaluationWriter {
 public:
  using Sink = std::function<void(std::string_view)>;
  EvaluationWriter(Sink sink, const Header& header);  // throws DataError where lengths disagree
  void write(const ValidationScores& scores);         // likewise; before the results
  void write(const Result& result);                   // likewise
  void write(const Explanation& explanation);
  void write(const Thumbnail& thumbnail);
  void finish();

 private:
  void write_line(const Json& line);

  Sink sink_;
  Header header_;
  std::int64_t validations_ = 0, results_ = 0, explanations_ = 0, thumbnails_ = 0;
};

/// What a reader does with each part, in the order of the file; a part without one is passed over.
struct Visitor {
  std::function<void(const Header&)> header;
  std::function<void(ValidationScores&&)> validation;
  std::function<void(Result&&)> result;
  std::function<void(Explanation&&)> explanation;
  std::function<void(Thumbnail&&)> thumbnail;
};

/// Streams an evaluation, one line in memory beside the header. "-" is standard input.
/// throws  MissingInputError; DataError that names the line: not an evaluation, a version we do
///         not read, a syntax error (line and column), lengths that disagree, no end line
void read_evaluation(const std::string& path, const Visitor& visitor);

}  // namespace mr::results
