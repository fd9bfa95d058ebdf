#include "train/optimiser.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

namespace mr::train {
namespace {

std::int64_t padded(std::int64_t elements) {
  return (elements + 15) / 16 * 16;
}

/// Views of `flat` with the shapes and strides of `tensors`, in the layout of flatten_in_place.
std::vector<torch::Tensor> views(const torch::Tensor& flat,
                                 const std::vector<torch::Tensor>& tensors) {
  std::vector<torch::Tensor> out;
  std::int64_t begin = 0;
  for (const auto& tensor : tensors) {
    out.push_back(flat.as_strided(tensor.sizes(), tensor.strides(), begin));
    begin += padded(tensor.numel());
  }
  return out;
}

}  // namespace

torch::Tensor step_weights(const torch::Tensor& truth, const torch::Tensor& class_weights) {
  return class_weights / truth.ge(0).sum(0).clamp_min(1);
}

torch::Tensor masked_cross_entropy(const torch::Tensor& logits, const torch::Tensor& truth,
                                   const torch::Tensor& weights) {
  const auto weight = truth.eq(0) * weights[0] + truth.eq(1) * weights[1];
  return (torch::softplus((1 - 2 * truth) * logits) * weight).sum();
}

torch::Tensor flatten_in_place(const std::vector<torch::Tensor>& tensors) {
  const torch::NoGradGuard no_grad;
  std::int64_t elements = 0;
  for (const auto& tensor : tensors) elements += padded(tensor.numel());
  const auto device = tensors.empty() ? torch::Device(torch::kCPU) : tensors.front().device();
  auto flat = torch::zeros({elements}, torch::dtype(torch::kFloat32).device(device));
  const auto parts = views(flat, tensors);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    parts[i].copy_(tensors[i]);
    auto tensor = tensors[i];
    tensor.set_data(parts[i]);
  }
  return flat;
}

void copy_from_flat(const torch::Tensor& flat, const std::vector<torch::Tensor>& tensors) {
  const torch::NoGradGuard no_grad;
  const auto parts = views(flat, tensors);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    auto tensor = tensors[i];
    tensor.copy_(parts[i]);
  }
}

std::string name(Method method) {
  return method == Method::adamw ? "adamw" : "sgd";
}

Optimiser::Optimiser(const std::vector<torch::Tensor>& tensors, const OptimiserOptions& options)
    : parameters(flatten_in_place(tensors)), options_(options) {
  gradient = torch::zeros_like(parameters);
  const auto gradients = views(gradient, tensors);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    auto tensor = tensors[i];
    tensor.mutable_grad() = gradients[i];
  }
  moments.push_back(torch::zeros_like(parameters));
  if (options.method == Method::adamw) {
    moments.push_back(torch::zeros_like(parameters));
    scratch_ = torch::empty_like(parameters);
  }
}

void Optimiser::step(double rate_factor) {
  const torch::NoGradGuard no_grad;
  ++steps;
  if (options_.clip_norm > 0) gradient.mul_((options_.clip_norm / gradient.norm()).clamp_max(1));
  const double learning_rate = options_.learning_rate * rate_factor;
  if (options_.method == Method::adamw)
    step_adamw(learning_rate);
  else
    step_sgd(learning_rate);
}

void Optimiser::step_adamw(double learning_rate) {
  constexpr double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  const double t = static_cast<double>(steps);
  const double correction1 = 1 - std::pow(beta1, t), correction2 = 1 - std::pow(beta2, t);
  parameters.mul_(1 - learning_rate * options_.weight_decay);
  moments[0].mul_(beta1).add_(gradient, 1 - beta1);
  moments[1].mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
  torch::sqrt_out(scratch_, moments[1]).div_(std::sqrt(correction2)).add_(eps);
  parameters.addcdiv_(moments[0], scratch_, -learning_rate / correction1);
}

void Optimiser::step_sgd(double learning_rate) {
  constexpr double momentum = 0.9;
  moments[0].mul_(momentum).add_(gradient).add_(parameters, options_.weight_decay);
  parameters.add_(moments[0], -learning_rate);
}

}  // namespace mr::train
