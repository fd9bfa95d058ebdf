// eval/: runs trained models over a manifest's images under every condition, and keeps every score.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "artifact/recipe.h"
#include "base/file.h"
#include "base/run.h"
#include "eval/adaptation.h"
#include "results/evaluation.h"

namespace mr::eval {

struct Options {
  std::vector<std::string> models;      // files
  std::vector<Adaptation> adaptations;  // beside the models as they are, where they have BN
  std::string manifest, root;
  std::string foreign;                 // file that describes models without mr.json; "": none
  std::string protocol;                // file that the provenance records; "": none
  std::string split = "test";          // "all": every image, also where none is split
  std::vector<std::string> artifacts;  // grid; empty: the manifest as it stands
  std::vector<double> severities = {1, 2, 3, 4, 5};
  /// Beside each artifact at a severity, its gain and its structure alone; and clean validation
  /// images under it.
  bool decompose = false;
  /// Clean and under each artifact's highest severity, how far the statistics of each sample are
  /// from those that models with batch norm were trained on.
  bool distance = false;
  std::map<std::string, artifact::Recipe> recipes;  // by name: a condition each
  bool clinic_mix = false;                          // of the grid: a condition
  /// What every study of a grid should hold beside it (analysis.md 5): the clinic mix, gains alone
  /// at the grid's severities, and models with batch norm recalibrated on clean training images.
  bool controls = false;
  std::vector<std::string> explain;  // conditions, by results::name
  std::shared_ptr<const artifact::Ladder>
      ladder;  // severities in place of the catalogue's; or null
  std::string device = "cpu";
  int batch_size = 32;  // recorded: the shape that scores belong to
  int threads = 1;
  std::uint64_t seed = 1;  // of the artifacts
  std::string output;      // "" or "-": standard output
  Overwrite overwrite = Overwrite::no;
  bool resume = false;
};

/// Artifacts of a grid: "study", or names separated by commas. throws UsageError
std::vector<std::string> parse_grid(const std::string& text);

/// Scores of the split under every condition, and of the clean images of split val, which operating
/// points and calibration are fitted on; and why the models do so under the conditions to explain.
/// A finished block is appended to OUTPUT.partial; --resume goes on there. throws DataError (labels
/// of model and manifest differ, no batch norm to adapt, ...), InterruptedError
void evaluate(const Options& options, const Run& run, const Messages& messages);

}  // namespace mr::eval
