// Networks and the model file: TorchScript, forward(float32 [N, C, H, W]) -> float32 [N, L] logits,
// with the description of the model in the extra file mr.json (mr-model/1).
#pragma once
#include <torch/csrc/jit/api/module.h>

#include <cstdint>
#include <string>

#include "base/json.h"
#include "nn/architecture.h"

namespace mr::nn {

/// A new network in training mode on the CPU. Convolutions: Kaiming normal, fan-out (He et al.
/// 2015); heads: uniform in +-1/sqrt(fan-in); norms 1 and 0. The weights are a function of the seed
/// and their names. forward gives z1 - z0 of each label's two logits.
/// throws UsageError when a number is not positive or the groups do not divide the channels
torch::jit::Module make_network(const Architecture& architecture, std::uint64_t seed);

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

/// Bytes of the model file: the same model, the same bytes.
std::string encode_model(const Model& model);

/// What batch norm normalises with in evaluation mode: the running statistics of training, or those
/// of the batch at hand (prediction-time batch norm: Nado et al. 2020; Schneider et al. 2020). The
/// running statistics are not touched. Returns the number of batch norm layers, 0 where there is
/// nothing to adapt.
enum class BatchStatistics { running, batch };
int set_batch_statistics(torch::jit::Module& network, BatchStatistics statistics);

}  // namespace mr::nn
