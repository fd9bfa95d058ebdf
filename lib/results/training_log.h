// results/: the training log mr-train-log/1 (JSON Lines): a header, a line per epoch, an end line.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace mr::results {

struct Epoch {
  std::int64_t epoch = 0;  // from 1
  double train_loss = 0, val_loss = 0;
  double val_auroc_mean = 0;  // over the labels that have one
};

/// One training from its beginning to its end.
struct TrainingLog {
  std::string path;
  Json header;  // architecture, normalization, labels, preprocessing, training, provenance
  std::string normalization;  // as Training::name: "batch", "batch/gain"
  std::uint64_t seed = 0;
  double learning_rate = 0, weight_decay = 0;
  std::vector<Epoch> epochs;  // 1, 2, ...
  std::int64_t best_epoch = 0;
  std::string stopped;  // "epochs" or "patience"

  const Epoch& best() const { return epochs[static_cast<std::size_t>(best_epoch - 1)]; }
};

/// Whether a file calls itself such a log, of any version, in its first bytes; false where it
/// cannot be read, so that whoever reads it next says why.
bool is_training_log(const std::string& path);

/// throws  MissingInputError; DataError that names the file: not a training log, a version that is
///         not read, a syntax error, no end line, epochs that are not 1, 2, ..., a best epoch that
///         is none of them
TrainingLog read_training_log(const std::string& path);

}  // namespace mr::results
