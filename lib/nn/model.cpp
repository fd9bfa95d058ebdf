#include "nn/model.h"

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace mr::nn {
namespace {

const char* const info_file = "mr.json";

/// of_slices, of_volumes: formats of weights of 2-D and 3-D convolutions
void set_format(torch::jit::Module& network, torch::MemoryFormat of_slices,
                torch::MemoryFormat of_volumes) {
  const torch::NoGradGuard no_grad;
  for (auto parameter : network.parameters())
    if (parameter.dim() >= 4)
      parameter.set_data(parameter.contiguous(parameter.dim() == 4 ? of_slices : of_volumes));
}

void put_channels_last(torch::jit::Module& network) {
  set_format(network, torch::MemoryFormat::ChannelsLast, torch::MemoryFormat::ChannelsLast3d);
}

}  // namespace

std::int64_t count_parameters(const torch::jit::Module& network) {
  std::int64_t n = 0;
  for (const auto& parameter : network.parameters()) n += parameter.numel();
  return n;
}

Model load_model(const std::string& path, c10::Device device) {
  return decode_model(read_all(path), path, device);
}

Model decode_model(const std::string& bytes, const std::string& name, c10::Device device) {
  Model model;
  torch::jit::ExtraFilesMap extra = {{info_file, ""}};
  std::istringstream stream(bytes);
  try {
    model.network = torch::jit::load(stream, device, extra);
  } catch (const c10::Error&) {
    throw DataError(name + ": not a TorchScript archive that this LibTorch can read");
  }
  model.network.eval();
  if (!extra[info_file].empty()) {
    model.info = parse_json(extra[info_file], name + ": " + info_file);
    require_schema(model.info, "mr-model/1", name);
  }
  return model;
}

void set_training_layout(torch::jit::Module& network, const Normalization& normalization) {
  if (find_scheme(normalization.scheme).channels_last) put_channels_last(network);
}

void set_contiguous(torch::jit::Module& network) {
  set_format(network, torch::MemoryFormat::Contiguous, torch::MemoryFormat::Contiguous);
}

torch::jit::Module for_inference(const torch::jit::Module& network) {
  // Freezing inlines calls of calls only where the executor may optimise.
  const torch::jit::GraphOptimizerEnabledGuard optimise(true);
  auto copy = network.deepcopy();
  put_channels_last(copy);
  return torch::jit::freeze(copy);
}

std::string encode_model(const Model& model) {
  std::ostringstream stream;  // save(path) would write the file's name into the archive
  model.network.save(stream, {{info_file, model.info.dump(2) + "\n"}});
  return stream.str();
}

}  // namespace mr::nn
