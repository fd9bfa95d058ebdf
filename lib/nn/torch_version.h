// MR_TORCH_AT_LEAST(major, minor): how the few lines ask that differ between LibTorch's versions.
#pragma once
#include <ATen/core/Tensor.h>
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

}  // namespace mr::nn
