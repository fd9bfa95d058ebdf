// The loss, and the optimiser. Parameters, gradients and moments are each one flat tensor, of which
// the network's tensors are views: a step is a handful of operations, and a checkpoint a copy.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "train/train.h"

namespace mr::train {

/// What a sample counts in the loss of a step: [2, L], in row 0 where its label is 0, in row 1
/// where it is 1: the class weight over the number of the step's samples whose label is known.
/// truth          [N, L] float32, of all samples of the step: 1, 0, or -1 where unknown
/// class_weights  [2, L]
torch::Tensor step_weights(const torch::Tensor& truth, const torch::Tensor& class_weights);

/// Sum over labels of the weighted cross-entropies of the samples whose label is known: for all
/// samples of a step their mean, for a part of them its share in it.
/// logits   [N, L], z1 - z0 of the two-logit heads: their cross-entropy is softplus(+-logit)
/// truth    [N, L], as above
/// weights  step_weights of the step
torch::Tensor masked_cross_entropy(const torch::Tensor& logits, const torch::Tensor& truth,
                                   const torch::Tensor& weights);

/// Makes `tensors` views of one new flat tensor on their device, each beginning at a multiple of 16
/// elements; the rest is 0.
torch::Tensor flatten_in_place(const std::vector<torch::Tensor>& tensors);

/// Copies a flat tensor of that layout into tensors of their own, of equal shapes and strides.
void copy_from_flat(const torch::Tensor& flat, const std::vector<torch::Tensor>& tensors);

/// AdamW (Loshchilov and Hutter 2019, algorithm 2; betas 0.9 and 0.999, eps 1e-8), or SGD with
/// momentum 0.9 (Sutskever et al. 2013 in PyTorch's form). A gradient whose L2 norm over all
/// parameters exceeds clip_norm is first scaled to it (Pascanu et al. 2013, algorithm 1).
class Optimiser {
 public:
  Optimiser(const std::vector<torch::Tensor>& parameters, const OptimiserOptions& options);
  void zero_gradient() { gradient.zero_(); }
  void step(double rate_factor);  // of the learning rate

  std::int64_t steps = 0;
  torch::Tensor parameters, gradient;  // flat
  std::vector<torch::Tensor> moments;  // flat, as many as the method has

 private:
  void step_adamw(double learning_rate);
  void step_sgd(double learning_rate);
  OptimiserOptions options_;
  torch::Tensor scratch_;
};

}  // namespace mr::train
