// Training steps and inference of the study's network on noise, as train.py does with PyTorch:
// 1x64x64, batch 32, four labels, AdamW. Prints a line of JSON for each normalization; the peak
// of memory is that of the process so far.
//
//   network_speed WIDTH THREADS NORM...
#include <sys/resource.h>
#include <torch/script.h>
#include <torch/utils.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "nn/device.h"
#include "nn/model.h"
#include "train/optimiser.h"

namespace {

template <typename Work>
double median_ms(int repetitions, const Work& work) {
  work();
  std::vector<double> ms;
  for (int i = 0; i < repetitions; ++i) {
    const auto began = std::chrono::steady_clock::now();
    work();
    ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
                     .count());
  }
  std::sort(ms.begin(), ms.end());
  return ms[ms.size() / 2];
}

/// Of this process so far.
double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: network_speed WIDTH THREADS NORM...\n";
    return 64;
  }
  const int threads = std::stoi(argv[2]);
  mr::nn::configure_torch("cpu", threads);
  torch::manual_seed(0);
  const auto x = torch::randn({32, 1, 64, 64});
  const auto truth = torch::randint(0, 2, {32, 4}).to(torch::kFloat32);
  const auto weights = mr::train::step_weights(truth, torch::ones({2, 4}));
  for (int i = 3; i < argc; ++i) {
    mr::nn::Architecture architecture;
    architecture.width = std::stoi(argv[1]);
    architecture.labels = 4;
    architecture.normalization = mr::nn::parse_normalization(argv[i]);
    if (mr::nn::has_groups(architecture.normalization))
      mr::nn::set_groups(architecture.normalization, std::min(32, architecture.width));
    auto network = mr::nn::make_network(architecture, 1);
    std::vector<torch::Tensor> parameters;
    for (const auto& p : network.parameters()) parameters.push_back(p);
    mr::train::OptimiserOptions options;
    options.learning_rate = 1e-4;
    mr::train::Optimiser optimiser(parameters, options);
    const double step = median_ms(5, [&] {
      optimiser.zero_gradient();
      mr::train::masked_cross_entropy(network.forward({x}).toTensor(), truth, weights).backward();
      optimiser.step(1);
    });
    const double peak = peak_mib();
    // As it is scored: read from a model file.
    const auto bytes =
        mr::nn::encode_model({mr::nn::make_network(architecture, 1), {{"schema", "mr-model/1"}}});
    auto frozen = mr::nn::for_inference(mr::nn::decode_model(bytes, argv[i]).network);
    const c10::InferenceMode in_inference;
    const double inference = median_ms(5, [&] { frozen.forward({x}); });
    std::cout << mr::Json({{"norm", argv[i]},
                           {"width", architecture.width},
                           {"threads", threads},
                           {"train_img_s", 32e3 / step},
                           {"infer_img_s", 32e3 / inference},
                           {"train_peak_mib", peak}})
                     .dump()
              << std::endl;
  }
}
