#include "train/precision.h"

#include <torch/library.h>

#include "base/error.h"
#include "nn/torch_version.h"

namespace mr::train {
namespace {

// Norms compute in float32. On the CPU autocast would leave them bfloat16 images: batch norm then
// loses clean AUROC, and group norm of LibTorch 1.13 refuses images and weights of two types.

torch::Tensor batch_norm(const torch::Tensor& images, const nn::OptionalTensor& weight,
                         const nn::OptionalTensor& bias, const nn::OptionalTensor& running_mean,
                         const nn::OptionalTensor& running_var, bool training, double momentum,
                         double eps, bool cudnn) {
  const c10::impl::ExcludeDispatchKeyGuard plain(c10::DispatchKey::AutocastCPU);
  return at::batch_norm(images.to(at::kFloat), weight, bias, running_mean, running_var, training,
                        momentum, eps, cudnn);
}

torch::Tensor group_norm(const torch::Tensor& images, std::int64_t groups,
                         const nn::OptionalTensor& weight, const nn::OptionalTensor& bias,
                         double eps, bool cudnn) {
  const c10::impl::ExcludeDispatchKeyGuard plain(c10::DispatchKey::AutocastCPU);
  return at::group_norm(images.to(at::kFloat), groups, weight, bias, eps, cudnn);
}

torch::Tensor layer_norm(const torch::Tensor& images, at::IntArrayRef shape,
                         const nn::OptionalTensor& weight, const nn::OptionalTensor& bias,
                         double eps, bool cudnn) {
  const c10::impl::ExcludeDispatchKeyGuard plain(c10::DispatchKey::AutocastCPU);
  return at::layer_norm(images.to(at::kFloat), shape, weight, bias, eps, cudnn);
}

TORCH_LIBRARY_IMPL(aten, AutocastCPU, library) {
  library.impl("batch_norm", batch_norm);
  library.impl("group_norm", group_norm);
  library.impl("layer_norm", layer_norm);
}

bool cpu_has_bfloat16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return true;
#endif
}

at::ScalarType type_of(Precision precision) {
  return precision == Precision::fp16 ? at::kHalf : at::kBFloat16;
}

}  // namespace

std::string name(Precision precision) {
  switch (precision) {
    case Precision::bf16:
      return "bf16";
    case Precision::fp16:
      return "fp16";
    case Precision::float32:
      break;
  }
  return "float32";
}

std::string check_precision(Precision precision, c10::Device device) {
  if (!device.is_cpu()) return "";
  if (precision == Precision::fp16)
    throw UsageError("--precision: fp16 wants a CUDA device; the CPU has float32 and bf16");
  if (precision == Precision::bf16 && !cpu_has_bfloat16())
    return "--precision bf16: this CPU has no avx512_bf16: emulated, slower than float32";
  return "";
}

Autocast::Autocast(Precision precision, c10::Device device)
    : on_(precision != Precision::float32), device_(device) {
  if (on_) nn::set_autocast(device_, true, type_of(precision));
}

Autocast::~Autocast() {
  if (!on_) return;
  nn::set_autocast(device_, false, at::kBFloat16);
  at::autocast::clear_cache();  // of weights, which the next step changes
}

LossScale::LossScale(Precision precision) : dynamic_(precision == Precision::fp16) {
  if (dynamic_) value = 65536;
}

bool LossScale::unscale(const torch::Tensor& gradient) {
  if (!dynamic_) return true;
  constexpr std::int64_t patience = 2000;
  const bool finite = torch::isfinite(gradient.sum()).item<bool>();
  if (finite) gradient.mul_(1 / value);
  ++steps;
  if (finite && steps < patience) return true;
  value *= finite ? 2 : 0.5;
  steps = 0;
  return finite;
}

}  // namespace mr::train
