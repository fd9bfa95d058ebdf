#include "nn/device.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/cuda.h>
#include <torch/utils.h>

#include "base/error.h"

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

/// Activations of a step are freed and allocated again in the next; those of 32 MB and more would
/// come from mmap each time, and the kernel's zeroing of their pages takes a fifth of a step.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif
}

}  // namespace

c10::Device configure_torch(const std::string& device, int threads) {
  const auto chosen = choose_device(device);
  torch::jit::getProfilingMode() = false;
  torch::jit::getExecutorMode() = false;
  configure_thread(threads);
  keep_freed_memory();
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
