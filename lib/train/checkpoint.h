// The state of a run, for --resume: a line of JSON (mr-checkpoint/1), then the tensors as
// little-endian float32 in the order of its member "tensors".
#pragma once
#include <torch/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace mr::train {

struct Checkpoint {
  Json state;                                                  // the caller's
  std::vector<std::pair<std::string, torch::Tensor>> tensors;  // flat float32, any device
};

/// Replaces what is there, whole or not at all.
void write_checkpoint(const std::string& path, const Checkpoint& checkpoint);

/// Tensors on the CPU; `name` is for messages.
/// throws DataError when `bytes` is no checkpoint, or is cut off
Checkpoint decode_checkpoint(const std::string& bytes, const std::string& name);

}  // namespace mr::train
