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

torch::jit::Module for_inference(const torch::jit::Module& network) {
  // Freezing inlines calls of calls only where the executor may optimise.
  const torch::jit::GraphOptimizerEnabledGuard optimise(true);
  return torch::jit::freeze(network);
}

std::string encode_model(const Model& model) {
  std::ostringstream stream;  // save(path) would write the file's name into the archive
  model.network.save(stream, {{info_file, model.info.dump(2) + "\n"}});
  return stream.str();
}

}  // namespace mr::nn
