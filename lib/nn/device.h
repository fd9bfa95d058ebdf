// nn/: networks and normalization layers, the model file, and how LibTorch is set up. Networks and
// norms exist once, as TorchScript source; Python opens what is saved here. Tensors are
// [N, C, H, W] float32.
#pragma once
#include <c10/core/Device.h>

#include <string>

namespace mr::nn {

/// Sets LibTorch up, and the calling thread for running networks with `threads` intra-op threads:
/// deterministic float32 kernels, and no profiling executor, whose first run rounds differently
/// from the later ones. The process keeps the memory that it frees, for the next step.
/// device  "cpu", "cuda", "cuda:N" or "auto" (CUDA where there is one)
/// throws  UsageError for another word, or when a CUDA device is asked for and absent
c10::Device configure_torch(const std::string& device, int threads);

/// Sets another thread up for running networks, after configure_torch and with as many intra-op
/// threads. Cheap when called again.
void configure_thread(int threads);

}  // namespace mr::nn
