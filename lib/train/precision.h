// Training in less than float32: which operations, and the scale of the loss that float16 needs.
// What LibTorch's versions say differently about it stands here alone.
#pragma once
#include <c10/core/Device.h>
#include <torch/types.h>

#include <cstdint>
#include <string>

#include "train/train.h"

namespace mr::train {

/// throws UsageError for fp16 on the CPU. Returns a warning where it will be slow, else "".
std::string check_precision(Precision precision, c10::Device device);

/// While it lives, networks on the calling thread run convolutions and matrix products in the lower
/// precision, and what needs the range in float32 (LibTorch's autocast). With float32, nothing.
class Autocast {
 public:
  Autocast(Precision precision, c10::Device device);
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;
  ~Autocast();

 private:
  bool on_;
  c10::Device device_;
};

/// The factor of the loss that keeps small gradients within float16: halved when a gradient
/// overflows, doubled after 2000 steps without (Micikevicius et al. 2018, section 3.2; the numbers
/// are PyTorch's). Other precisions have the range of float32: their scale is 1 and stays so.
class LossScale {
 public:
  explicit LossScale(Precision precision);
  /// Divides the gradient by the scale, in place. False where it is not finite: the step is to be
  /// left out.
  bool unscale(const torch::Tensor& gradient);
  /// No smaller scale would help.
  bool exhausted() const { return value < 1; }

  double value = 1;
  std::int64_t steps = 0;  // since it changed

 private:
  bool dynamic_;
};

}  // namespace mr::train
