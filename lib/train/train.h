// The training loop.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "artifact/recipe.h"
#include "base/file.h"
#include "base/run.h"
#include "dataset/preprocess.h"
#include "nn/architecture.h"
#include "stats/threshold.h"

namespace mr::train {

enum class Method { adamw, sgd };
std::string name(Method method);

enum class Sampling { balanced, natural };
std::string name(Sampling sampling);
enum class ClassWeights { none, inverse };

struct OptimiserOptions {
  Method method = Method::adamw;
  double learning_rate = 1e-3;
  double weight_decay = 1e-2;  // AdamW: decoupled; SGD: L2
  double clip_norm = 0;        // of the gradient; 0: any
};

enum class Schedule { constant, cosine, step, plateau };
std::string name(Schedule schedule);

struct ScheduleOptions {
  Schedule kind = Schedule::constant;
  double warmup_epochs = 0;
  double factor = 0.1;       // of step and plateau
  int step_epochs = 30;      // of step: how often
  int plateau_patience = 3;  // of plateau: epochs without a better mean validation AUROC
};

/// Of convolutions and matrix products in training; all else, and validation, is float32.
enum class Precision { float32, bf16, fp16 };
std::string name(Precision precision);

struct Settings {
  nn::Architecture architecture;  // its labels are counted in the manifest
  dataset::Preprocess preprocess;
  OptimiserOptions optimiser;
  ScheduleOptions schedule;  // of the learning rate
  Sampling sampling = Sampling::balanced;
  ClassWeights class_weights = ClassWeights::none;
  int batch = 32;                  // images that go through the network together
  int accumulate = 1;              // batches whose gradients make one step
  std::int64_t epoch_samples = 0;  // draws per epoch; 0: as many as there are training samples
  int epochs = 200;                // at most
  int patience = 5;                // epochs without a better mean validation AUROC
  std::string init;                         // file of weights to begin with; "": drawn by the seed
  std::string augment_name;                 // that an arm of a study is called by
  std::optional<artifact::Recipe> augment;  // of training images, drawn anew in each epoch
  stats::OperatingRule rule;                // of the thresholds, on clean validation images
  std::uint64_t seed = 1;
  std::string device = "cpu";
  Precision precision = Precision::float32;
  bool parallel = false;         // with the other processes that the environment tells of
  bool sync_batch_norm = false;  // batch norm over the batch of all processes
  int threads = 0;               // 0: what the machine allows, shared among its processes
};

struct Files {
  std::string manifest = "-", root;    // root: where relative paths of a manifest on "-" start
  std::string model, log, checkpoint;  // written
  Overwrite overwrite = Overwrite::no;
  bool resume = false;  // go on from the checkpoint where there is one
};

/// Trains on split "train", keeps the epoch with the best mean AUROC on split "val", and writes the
/// model (TorchScript with mr.json, mr-model/1) and the log (JSON Lines, mr-train-log/1). Each
/// finished epoch is in the checkpoint, which goes when the model is there. Of several processes
/// the first alone writes and talks; what ends all is an Error without text in the others.
/// throws UsageError    settings that do not go together
///        DataError     the manifest cannot be trained on; a loss is not finite
///        CannotCreateError  model, log or checkpoint exist
///        InterruptedError   stopped by a signal; the checkpoint holds the very step
void train(const Settings& settings, const Files& files, const Run& run, const Messages& messages);

}  // namespace mr::train
