// Networks and the model file: TorchScript, forward(float32 [N, C, H, W]) -> float32 [N, L] logits,
// with the description of the model in the extra file mr.json (mr-model/1).
#pragma once
#include <torch/csrc/jit/api/module.h>

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/random.h"
#include "nn/architecture.h"

namespace mr::nn {

/// A new network in training mode on the CPU. Convolutions: Kaiming normal, fan-out (He et al.
/// 2015); heads: uniform in +-1/sqrt(fan-in); norms 1 and 0; what a scheme has beside or instead is
/// in schemes(). The weights are a function of the seed and their names. forward gives z1 - z0 of
/// each label's two logits.
/// throws UsageError when a number is not positive, the groups do not divide the channels, or the
///        scheme is not defined for the family
torch::jit::Module make_network(const Architecture& architecture, std::uint64_t seed);

/// Refuses an input that a network cannot be trained on: fewer than 8 pixels in a direction before
/// a stem that is 7 wide; a last feature map of one position where a norm needs a variance over
/// positions; batches of one image where it needs one over images.
/// size   pixels in each direction
/// batch  images of the smallest batch
/// throws UsageError
void require_trainable(const Architecture& architecture, const std::vector<int>& size,
                       std::int64_t batch);

/// Scheme cnsn: draws whether CrossNorm acts in a training step, in which block, and the
/// permutation of the step's images; else nothing.
void draw_cross_norm(torch::jit::Module& network, const Normalization& normalization,
                     const RandomKey& key, std::int64_t images);

std::int64_t count_parameters(const torch::jit::Module& network);

struct Model {
  torch::jit::Module network;
  Json info;  // mr.json; null in a TorchScript file that another program made
};

/// Reads a model file, in evaluation mode. `name` is for messages.
/// throws MissingInputError, DataError (no TorchScript archive, no mr-model/1)
Model load_model(const std::string& path, c10::Device device = c10::kCPU);
Model decode_model(const std::string& bytes, const std::string& name,
                   c10::Device device = c10::kCPU);

/// A copy to score with, whose weights are constants: batch norm is folded into the convolution
/// before it where nothing lies between them, and on a CPU oneDNN's own layout is kept from layer
/// to layer where it is faster. Scores agree to float32's rounding. `network` is in evaluation mode
/// and stays as it is. The copy runs under c10::InferenceMode: from LibTorch 2 on, batch norm in
/// that layout has no other way.
torch::jit::Module for_inference(const torch::jit::Module& network);

/// Bytes of the model file: the same model, the same bytes.
std::string encode_model(const Model& model);

}  // namespace mr::nn
