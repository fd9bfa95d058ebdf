// The loss, and the optimiser. Parameters, gradients and moments are each one flat tensor, of which
// the network's tensors are views: a step is a handful of operations, and a checkpoint a copy.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "train/train.h"

namespace mr::train {

/// Sum over labels of the mean cross-entropy over the samples whose label is known.
/// logits  [N, L], z1 - z0 of the two-logit heads: their cross-entropy is softplus(+-logit)
/// truth   [N, L] float32: 1, 0, or -1 where unknown
torch::Tensor masked_cross_entropy(const torch::Tensor& logits, const torch::Tensor& truth);

/// Makes `tensors` views of one new flat tensor on their device, each beginning at a multiple of 16
/// elements; the rest is 0.
torch::Tensor flatten_in_place(const std::vector<torch::Tensor>& tensors);

/// Copies a flat tensor of that layout into tensors of their own, of equal shapes and strides.
void copy_from_flat(const torch::Tensor& flat, const std::vector<torch::Tensor>& tensors);

/// AdamW (Loshchilov and Hutter 2019, algorithm 2; betas 0.9 and 0.999, eps 1e-8), or SGD with
/// momentum 0.9 (Sutskever et al. 2013 in PyTorch's form).
class Optimiser {
 public:
  Optimiser(const std::vector<torch::Tensor>& parameters, const OptimiserOptions& options);
  void zero_gradient() { gradient_.zero_(); }
  void step();

  std::int64_t steps = 0;
  torch::Tensor parameters;            // flat
  std::vector<torch::Tensor> moments;  // flat, as many as the method has

 private:
  void step_adamw();
  void step_sgd();
  OptimiserOptions options_;
  torch::Tensor gradient_, scratch_;
};

}  // namespace mr::train
