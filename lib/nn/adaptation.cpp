#include "nn/adaptation.h"

#include <torch/script.h>

#include <cmath>

#include "base/error.h"

namespace mr::nn {
namespace {

using torch::jit::Module;

void record(Module& layer, bool on) {
  layer.setattr("recording", on);
  layer.setattr("recorded", c10::List<torch::Tensor>());
}

/// Mean and biased variance [C] over all that `layer` recorded: rows count, mean, variance of each
/// batch. Chan et al. 1979, eq. 2.1, in double precision.
Statistics pooled(const Module& layer) {
  const auto list = layer.attr("recorded").toTensorVector();
  const auto all = torch::stack(list).to(torch::kFloat64);  // [batches, 3, C]
  const auto count = all.select(1, 0), mean = all.select(1, 1), variance = all.select(1, 2);
  const auto total = count.sum(0);
  const auto centre = (count * mean).sum(0) / total;
  const auto spread = (count * (variance + (mean - centre).square())).sum(0) / total;
  return {centre, spread};
}

bool adaptable(const Module& module) {
  return module.hasattr("prior") && !module.attr("frozen").toBool();
}

bool records(const Module& module) {
  return module.hasattr("recording") && (!module.hasattr("frozen") || adaptable(module));
}

using Predicate = bool (*)(const Module&);

std::vector<Module> layers_where(const Module& network, Predicate wanted) {
  std::vector<Module> layers;
  for (const auto& module : network.modules())
    if (wanted(module)) layers.push_back(module);
  return layers;
}

std::vector<std::string> names_where(const Module& network, Predicate wanted) {
  std::vector<std::string> names;
  for (const auto& module : network.named_modules())
    if (wanted(module.value)) names.push_back(module.name);
  return names;
}

void replace_statistics(Module& layer, double prior, double images, Replaced replaced) {
  const auto [mean, variance] = pooled(layer);
  record(layer, false);
  const auto mix = [&](const char* name, const torch::Tensor& target) {
    auto running = layer.attr(name).toTensor();
    running.copy_((prior * running.to(torch::kFloat64) + images * target) / (prior + images));
  };
  if (replaced != Replaced::variance) mix("running_mean", mean);
  if (replaced != Replaced::mean) mix("running_var", variance);
}

/// softplus(-a) + a sigmoid(-a), a = |z|: of the two forms the one that keeps the small entropies
/// and gradients of large logits.
torch::Tensor mean_entropy(const torch::Tensor& logits) {
  const auto a = logits.abs();
  return (torch::softplus(-a) + a * torch::sigmoid(-a)).mean();
}

}  // namespace

std::vector<Module> batch_norms(const Module& network) {
  return layers_where(network, adaptable);
}

std::vector<std::string> batch_norm_names(const Module& network) {
  return names_where(network, adaptable);
}

std::vector<Module> norms(const Module& network) {
  return layers_where(network, records);
}

std::vector<std::string> norm_names(const Module& network) {
  return names_where(network, records);
}

void freeze(Module& network) {
  for (auto& layer : batch_norms(network)) layer.setattr("frozen", true);
}

void set_prior(Module& network, double prior) {
  for (auto& layer : batch_norms(network)) layer.setattr("prior", prior);
}

std::vector<Statistics> input_statistics(Module& network,
                                         const std::vector<torch::Tensor>& batches) {
  const torch::NoGradGuard no_grad;
  auto layers = norms(network);
  set_prior(network, running_statistics);
  for (auto& layer : layers) record(layer, true);
  for (const auto& batch : batches) network.forward({batch});
  std::vector<Statistics> all;
  for (auto& layer : layers) {
    all.push_back(pooled(layer));
    record(layer, false);
  }
  return all;
}

std::vector<float> statistics_distances(Module& network, const torch::Tensor& images) {
  const torch::NoGradGuard no_grad;
  auto layers = batch_norms(network);
  set_prior(network, running_statistics);
  std::vector<float> distances;
  for (std::int64_t i = 0; i < images.size(0); ++i) {
    for (auto& layer : layers) record(layer, true);
    network.forward({images.narrow(0, i, 1)});
    double sum = 0;
    for (const auto& layer : layers) {
      const auto [mean, variance] = pooled(layer);
      const auto running = layer.attr("running_var").toTensor().to(torch::kFloat64);
      const auto moved = mean - layer.attr("running_mean").toTensor();
      const auto widened = variance.sqrt() - running.sqrt();
      sum += ((moved.square() + widened.square()) / (running + layer.attr("eps").toDouble()))
                 .mean()
                 .item<double>();
    }
    distances.push_back(static_cast<float>(std::sqrt(sum / static_cast<double>(layers.size()))));
  }
  for (auto& layer : layers) record(layer, false);
  return distances;
}

void recalibrate(Module& network, const std::vector<torch::Tensor>& batches, double prior,
                 Replaced replaced) {
  const torch::NoGradGuard no_grad;
  auto layers = batch_norms(network);
  std::int64_t images = 0;
  for (const auto& batch : batches) images += batch.size(0);
  const auto n = static_cast<double>(images);
  const bool together = batches.size() == 1 && replaced == Replaced::both;
  set_prior(network, together ? prior : running_statistics);
  if (together) {
    for (auto& layer : layers) record(layer, true);
    network.forward({batches.front()});
  }
  for (auto& layer : layers) {
    if (!together) {
      record(layer, true);
      for (const auto& batch : batches) network.forward({batch});
    }
    replace_statistics(layer, prior, n, replaced);
  }
  set_prior(network, running_statistics);
}

Module tent(const Module& network, const torch::Tensor& batch, double learning_rate, int steps) {
  constexpr double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  const auto copy = [&] {
    const torch::NoGradGuard no_grad;  // copies are leaves, and want no gradient
    return network.deepcopy();
  };
  auto adapted = copy();
  set_prior(adapted, batch_statistics);
  std::vector<torch::Tensor> learnt, first, second;
  for (const auto& layer : batch_norms(adapted))
    for (const auto* name : {"weight", "bias"}) {
      learnt.push_back(layer.attr(name).toTensor().set_requires_grad(true));
      first.push_back(torch::zeros_like(learnt.back()));
      second.push_back(torch::zeros_like(learnt.back()));
    }
  for (int t = 1; t <= steps; ++t) {
    for (auto& tensor : learnt) tensor.mutable_grad().reset();
    const auto entropy = mean_entropy(adapted.forward({batch}).toTensor());
    if (!std::isfinite(entropy.item<double>())) throw DataError("TENT: the entropy is not finite");
    entropy.backward();
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < learnt.size(); ++i) {
      const auto& gradient = learnt[i].grad();
      if (!gradient.defined()) continue;
      first[i].mul_(beta1).add_(gradient, 1 - beta1);
      second[i].mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
      const auto scale = (second[i] / (1 - std::pow(beta2, t))).sqrt().add_(eps);
      learnt[i].addcdiv_(first[i], scale, -learning_rate / (1 - std::pow(beta1, t)));
    }
  }
  return adapted;
}

}  // namespace mr::nn
