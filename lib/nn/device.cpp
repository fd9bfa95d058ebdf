#include "nn/device.h"

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/cuda.h>
#include <torch/utils.h>

#include "base/error.h"
#include "nn/convolution.h"

#ifdef MR_JEMALLOC
/// What jemalloc reads as it starts. A step frees what it allocates, and the next allocates the
/// same again: what keep_freed_memory() asks of malloc, whose heap falls into fragments with blocks
/// of this size. Asked for later, it would not hold for the arenas that exist.
extern "C" const char* malloc_conf;
const char* malloc_conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1";
#endif

namespace mr::nn {
namespace {

c10::Device choose_device(const std::string& name) {
  const auto devices =
      torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  if (name == "cpu" || (name == "auto" && devices == 0)) return c10::kCPU;
  const bool numbered = name.rfind("cuda:", 0) == 0 && name.size() > 5 && name.size() < 9 &&
                        name.find_first_not_of("0123456789", 5) == std::string::npos;
  if (name != "auto" && name != "cuda" && !numbered)
    throw UsageError("--device: want cpu, cuda, cuda:N or auto, got '" + name + "'");
  const int index = numbered ? std::stoi(name.substr(5)) : 0;
  if (index >= devices)
    throw UsageError("--device: " + name + " asked for, but LibTorch sees " +
                     std::to_string(devices) + " CUDA devices");
  return {c10::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

}  // namespace

c10::Device configure_torch(const std::string& device, int threads) {
  const auto chosen = choose_device(device);
  torch::jit::getProfilingMode() = false;
  torch::jit::getExecutorMode() = false;
  configure_thread(threads);
  use_winograd();
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  return chosen;
}

void configure_thread(int threads) {
  thread_local int configured = 0;
  if (configured == threads) return;
  configured = threads;
  torch::set_num_threads(threads);
  torch::jit::setGraphExecutorOptimize(false);  // runs the operators as written
}

}  // namespace mr::nn
