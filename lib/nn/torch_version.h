// What differs between LibTorch's versions, 1.13 to the newest 2.x.
#pragma once
#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <torch/version.h>

#include <optional>

#define MR_TORCH_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) ||     \
   (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

namespace mr::nn {

/// As operators take it.
#if MR_TORCH_AT_LEAST(2, 4)
using OptionalTensor = std::optional<at::Tensor>;
#else
using OptionalTensor = c10::optional<at::Tensor>;
#endif

/// Operators of this thread that autocast knows compute in that type from now on, or no longer.
inline void set_autocast(c10::Device device, bool on, at::ScalarType type) {
#if MR_TORCH_AT_LEAST(2, 4)
  at::autocast::set_autocast_dtype(device.type(), type);
  at::autocast::set_autocast_enabled(device.type(), on);
#else
  if (device.is_cuda()) {
    at::autocast::set_autocast_gpu_dtype(type);
    at::autocast::set_enabled(on);
  } else {
    at::autocast::set_autocast_cpu_dtype(type);
    at::autocast::set_cpu_enabled(on);
  }
#endif
}

/// Of a c10d::TCPStore: the server that every build has; it and the other talk alike.
template <typename StoreOptions>
void use_plain_server([[maybe_unused]] StoreOptions& options) {
#if MR_TORCH_AT_LEAST(2, 4)
  options.useLibUV = false;
#endif
}

}  // namespace mr::nn
