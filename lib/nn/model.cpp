#include "nn/model.h"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/frozen_ops_to_mkldnn.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <sstream>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "nn/winograd.h"

namespace mr::nn {
namespace {

const char* const info_file = "mr.json";

std::vector<torch::jit::Node*> nodes_of(torch::jit::Graph& graph, c10::Symbol kind) {
  return torch::jit::findAllNodes(graph, kind, true);
}

/// Whether most of a frozen network's filters are those that winograd.h does faster than oneDNN,
/// unless a pooling after the first has made the maps small.
bool suits_own_convolutions(torch::jit::Graph& graph) {
  using c10::Symbol;
  if (!nodes_of(graph, Symbol::aten("max_pool2d")).empty()) return false;
  constexpr std::int64_t side = 64;  // of maps that are large enough
  std::int64_t own = 0, all = 0;
  for (const auto& kind : {Symbol::aten("conv2d"), Symbol::aten("_convolution")})
    for (const auto* node : nodes_of(graph, kind)) {
      const auto weight = torch::jit::toIValue(node->input(1));
      if (!weight || !weight->isTensor()) return false;
      const auto& w = weight->toTensor();
      all += w.numel();
      const auto ones = [&](std::size_t input) {
        const auto value = torch::jit::toIValue(node->input(input));
        return value && value->isIntList() &&
               value->toIntVector() == std::vector<std::int64_t>{1, 1};
      };
      const bool square = w.dim() == 4 && w.size(2) == 3 && w.size(3) == 3;
      const auto groups = torch::jit::toIValue(node->input(kind == Symbol::aten("conv2d") ? 6 : 8));
      if (square && ones(3) && ones(4) && ones(5) && groups && groups->toInt() == 1 &&
          suits_winograd({1, w.size(1), w.size(0), side, side}))
        own += w.numel();
    }
  return 3 * own > 2 * all;
}

/// Whether a frozen network is convolutions and what oneDNN has in its blocked layout: batch norm,
/// ReLU, sums. Others would leave that layout and return to it at each norm, which takes longer
/// than what it gains.
bool suits_blocked_layout(torch::jit::Graph& graph) {
  using c10::Symbol;
  for (const auto& kind :
       {Symbol::aten("group_norm"), Symbol::aten("layer_norm"), Symbol::aten("instance_norm"),
        Symbol::aten("mean"), Symbol::aten("var"), c10::prim::GetAttr})
    if (!nodes_of(graph, kind).empty()) return false;
  return !suits_own_convolutions(graph);
}

void use_blocked_layout(std::shared_ptr<torch::jit::Graph> graph) {
  // oneDNN's own adaptive pooling takes only sizes that divide.
  for (const std::string pool : {"adaptive_avg_pool2d", "adaptive_avg_pool3d"})
    for (auto* node : nodes_of(*graph, c10::Symbol::aten(pool))) {
      node->replaceWithNewSymbol(c10::Symbol::aten("_" + pool));
      node->destroy();
    }
  torch::jit::ConvertFrozenOpsToMKLDNN(graph);
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

torch::jit::Module for_inference(const torch::jit::Module& network) {
  // Freezing inlines calls of calls only where the executor may optimise.
  const torch::jit::GraphOptimizerEnabledGuard optimise(true);
  auto frozen = torch::jit::freeze(network);
  const auto graph = frozen.get_method("forward").graph();
  const bool on_cpu = (*network.parameters().begin()).is_cpu();
  if (on_cpu && suits_blocked_layout(*graph)) use_blocked_layout(graph);
  return frozen;
}

std::string encode_model(const Model& model) {
  std::ostringstream stream;  // save(path) would write the file's name into the archive
  model.network.save(stream, {{info_file, model.info.dump(2) + "\n"}});
  return stream.str();
}

}  // namespace mr::nn
