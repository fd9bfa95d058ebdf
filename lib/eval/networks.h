// The models of an evaluation, as they are and adapted, and their scores.
#pragma once
#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dataset/loader.h"
#include "eval/adaptation.h"
#include "eval/evaluate.h"
#include "eval/foreign.h"

namespace mr::eval {

/// A model file as it is used: plain, or adapted in one way.
struct Variant {
  std::size_t model;       // index into Options::models
  std::size_t preprocess;  // index into Networks::preprocessings
  Adaptation adaptation;
  Json adapted_on;  // what the result says of the adaptation; null where there is none
  torch::jit::Module network;
  bool keeps_statistics = false;  // it is plain and has batch norm
};

class Networks {
 public:
  /// Reads the models. Those with batch norm are there once more for each adaptation; and, where
  /// controls are wanted and there is a split train, recalibrated.
  /// images  of the manifest, all splits: recalibrate takes those of split train
  /// throws UsageError when there is an adaptation but no model with batch norm, DataError when a
  ///        model's labels are not those of `samples`, or there is no split train to recalibrate on
  Networks(const Options& options, const dataset::SampleSet& samples,
           const dataset::SampleSet& images, const std::string& manifest);

  /// Adds scores [n, L] of pixels [n, H, W] to `scores`. An adapted variant adapts on just these
  /// samples; another one runs them in batches of one shape, whose last is padded.
  void score(const Variant& variant, const float* pixels, std::size_t n,
             std::vector<float>& scores) const;

  /// How far the statistics of each sample are from those of training (nn::statistics_distances).
  std::vector<float> distances(const Variant& variant, const float* pixels, std::size_t n) const;

  /// Scores [N, L] of all samples of a condition by a variant that adapts over images.
  std::vector<float> score_over_images(const Variant& variant, const std::vector<float>& pixels,
                                       const dataset::SampleSet& samples) const;

  /// Pixels of one sample.
  std::size_t pixels_of(const Variant& variant) const;

  /// Those of a set of samples, indices into pixels [N, H, W].
  std::vector<float> gather(const Variant& variant, const std::vector<float>& pixels,
                            const std::vector<std::size_t>& set) const;

  /// Samples as a tensor on the device; `pad_to` > n repeats the last one.
  at::Tensor batch(const Variant& variant, const float* pixels, std::size_t n,
                   std::size_t pad_to) const;

  /// Adds scores [n, L] of the first n samples of `input` to `scores`. network: the variant's own,
  /// or a changed copy of it.
  void run(const Variant& variant, torch::jit::Module network, const at::Tensor& input,
           std::size_t n, std::vector<float>& scores) const;

  /// To be held while a network runs: one at a time on CUDA.
  std::unique_lock<std::mutex> device_lock() const;

  std::size_t labels() const { return labels_; }
  std::size_t batch_size() const { return batch_; }

  std::vector<std::string> sha256;                  // of each model's file
  std::vector<Json> infos;                          // mr.json of each model
  std::vector<dataset::Preprocess> preprocessings;  // the distinct ones
  std::vector<Variant> variants;
  std::vector<torch::jit::Module>
      trained;  // of each model, as loaded; empty unless explained or asked for distances

 private:
  void add_model(const Options& options, const dataset::SampleSet& samples,
                 const dataset::SampleSet& images, const std::string& manifest, std::size_t index);
  void add_recalibrated(const Options& options, const dataset::SampleSet& training,
                        const Variant& plain);
  torch::jit::Module adapted_on(const Variant& variant, const std::vector<float>& pixels,
                                std::size_t n) const;
  std::vector<float> score_mixed(const Variant& variant, const std::vector<float>& pixels,
                                 std::size_t n) const;

  at::Tensor logits(const Variant& variant, const c10::IValue& output, std::size_t n) const;

  std::vector<std::string> names_;  // of the model files
  std::vector<Output> outputs_;     // likewise
  std::vector<int> channels_;       // likewise
  std::vector<std::string> keys_;   // of the preprocessings
  std::size_t labels_ = 0, batch_ = 0;
  std::uint64_t seed_ = 0;
  c10::Device device_ = c10::kCPU;
  std::unique_ptr<std::mutex> alone_ =
      std::make_unique<std::mutex>();  // one network at a time on CUDA
};

}  // namespace mr::eval
