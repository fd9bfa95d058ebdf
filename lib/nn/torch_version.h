// MR_TORCH_AT_LEAST(major, minor): how the few lines ask that differ between LibTorch's versions.
#pragma once
#include <torch/version.h>

#define MR_TORCH_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) ||     \
   (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))
