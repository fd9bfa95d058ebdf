// Weights of another model to begin with.
#pragma once
#include <torch/csrc/jit/api/module.h>

#include <string>
#include <vector>

namespace mr::nn {

struct Initialised {
  std::vector<std::string> taken;        // of the network, in its order
  std::vector<std::string> other_shape;  // "conv1.weight: [64, 3, 7, 7] for [64, 1, 7, 7]"
  std::vector<std::string> absent;       // of the network, not in the file
  std::vector<std::string> unused;       // of the file, not in the network
};

/// Copies the tensors of a file, as float32, into the parameters and running statistics of a
/// network that have the same name and shape; the rest keep what they are. path  TorchScript, or
/// safetensors (F16, BF16, F32, F64; integers are left unused) throws MissingInputError; DataError
/// where the file is neither, is cut off, or nothing in it fits
Initialised initialise(torch::jit::Module& network, const std::string& path);

}  // namespace mr::nn
