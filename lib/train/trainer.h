// The training loop, and its state from one step to the next.
#pragma once
#include <cstdint>
#include <string>

#include "base/json.h"
#include "dataset/loader.h"
#include "nn/model.h"
#include "train/checkpoint.h"
#include "train/optimiser.h"
#include "train/parallel.h"
#include "train/precision.h"
#include "train/sampler.h"
#include "train/train.h"
#include "train/validation.h"

namespace mr::train {

class Trainer {
 public:
  /// identity  what a checkpoint must agree in to be gone on from: settings and data
  Trainer(const Settings& settings, Json identity, c10::Device device, const Parallel& parallel,
          const dataset::SampleSet& training, const dataset::SampleSet& validation,
          const Messages& messages);

  /// Trains until `epochs` or `patience` is reached, and leaves a checkpoint in `path` after every
  /// epoch. throws InterruptedError after a signal, with the checkpoint of the step reached;
  /// DataError when a loss or score is not finite
  void run(const std::string& path);

  Checkpoint checkpoint() const;

  /// throws DataError that begins with `name` when the checkpoint is of another run
  void restore(const Checkpoint& checkpoint, const std::string& name);

  const Json& best() const { return best_; }      // {epoch, val_..., operating_points}
  const Json& epochs() const { return epochs_; }  // a line of the log for each
  torch::jit::Module best_network() const;        // of its own, on the CPU, in evaluation mode

 private:
  using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;
  bool finished() const;
  std::int64_t step_samples() const;
  void save(const std::string& path) const;
  void stop_if_requested(const std::string& path) const;
  void train_epoch(const std::string& path);
  std::vector<std::size_t> shares(const std::vector<std::size_t>& order) const;
  double train_step(const std::vector<std::size_t>& samples);
  double rate_factor(std::int64_t step) const;  // of this epoch
  std::vector<float> validate(const std::string& path);
  void close_epoch(const Validation& validation);
  torch::Tensor logits(const dataset::Batch& batch);
  torch::Tensor forward(const dataset::Batch& batch);
  torch::Tensor truth(const std::vector<std::size_t>& samples) const;
  NamedTensors tensors() const;
  [[noreturn]] void not_finite(const dataset::SampleSet& set,
                               const std::vector<std::size_t>& samples,
                               const std::string& what) const;

  Settings settings_;
  Json identity_;
  c10::Device device_;
  const Parallel& parallel_;
  const dataset::SampleSet& training_;
  const dataset::SampleSet& validation_;
  const Messages& messages_;
  Sampler sampler_;
  torch::Tensor class_weights_;  // [2, L]: of a negative, of a positive
  dataset::BatchLoader training_loader_, validation_loader_;
  torch::jit::Module network_;
  Optimiser optimiser_;
  LossScale scale_;
  torch::Tensor buffers_;  // running statistics, flat
  torch::Tensor best_parameters_, best_buffers_;
  std::int64_t epoch_ = 1, step_ = 0;  // under way; the step that comes next
  double loss_sum_ = 0;                // over the samples of this epoch so far
  double seconds_ = 0, waited_s_ = 0;  // of its steps; for images, therein
  Json best_, epochs_ = Json::array();
};

}  // namespace mr::train
