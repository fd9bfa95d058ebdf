#include "nn/convolution.h"

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/ops/_convolution_native.h>
#include <ATen/ops/convolution_backward_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "nn/torch_version.h"
#include "nn/winograd.h"

namespace mr::nn {
namespace {

using at::IntArrayRef;
using at::Tensor;

/// Both `wanted`, said once or for each axis.
bool all(IntArrayRef values, std::int64_t wanted) {
  return (values.size() == 1 || values.size() == 2) &&
         std::all_of(values.begin(), values.end(), [&](auto value) { return value == wanted; });
}

bool plain(const Tensor& t) {
  return t.scalar_type() == at::kFloat && t.layout() == at::kStrided && t.dim() == 4 &&
         t.is_contiguous();
}

Convolution3x3 sizes(const Tensor& x, const Tensor& w) {
  return {x.size(0), x.size(1), w.size(0), x.size(2), x.size(3)};
}

bool suits(const Tensor& x, const Tensor& w, IntArrayRef stride, IntArrayRef padding,
           IntArrayRef dilation, bool transposed, IntArrayRef output_padding, std::int64_t groups) {
  return plain(x) && plain(w) && w.size(1) == x.size(1) && w.size(2) == 3 && w.size(3) == 3 &&
         all(stride, 1) && all(padding, 1) && all(dilation, 1) && !transposed &&
         all(output_padding, 0) && groups == 1 && x.size(0) > 0 && suits_winograd(sizes(x, w));
}

/// LibTorch's. Its template parallel_for would be compiled here, and so need the OpenMP library
/// that LibTorch brings; its loops over a tensor's elements are compiled there.
Threads threads() {
  const auto ranges = [](std::int64_t n, const Threads::Range& work) {
    if (n == 1 || at::get_num_threads() == 1) return work(0, n);
    const auto bytes = at::empty({n}, at::kByte);
    auto loop = at::TensorIteratorConfig()
                    .check_all_same_dtype(false)
                    .resize_outputs(false)
                    .add_output(bytes)
                    .build();
    const auto* start = static_cast<const char*>(bytes.data_ptr());
    const auto part = [&](char** data, const std::int64_t*, std::int64_t some, std::int64_t) {
      work(data[0] - start, data[0] - start + some);
    };
    loop.for_each(part, 1);
  };
  return {at::get_num_threads(), ranges};
}

Tensor convolution(const Tensor& x, const Tensor& w, const OptionalTensor& bias, IntArrayRef stride,
                   IntArrayRef padding, IntArrayRef dilation, bool transposed,
                   IntArrayRef output_padding, std::int64_t groups, bool benchmark,
                   bool deterministic, bool cudnn, bool tf32) {
  const bool biased = bias.has_value() && bias->defined();
  if (!suits(x, w, stride, padding, dilation, transposed, output_padding, groups) ||
      (biased && (bias->scalar_type() != at::kFloat || !bias->is_contiguous() ||
                  bias->sizes() != IntArrayRef({w.size(0)}))))
    return at::native::_convolution(x, w, bias, stride, padding, dilation, transposed,
                                    output_padding, groups, benchmark, deterministic, cudnn, tf32);
  const auto c = sizes(x, w);
  auto y = at::empty({c.images, c.out, c.height, c.width}, x.options());
  winograd_convolve(c, x.data_ptr<float>(), w.data_ptr<float>(),
                    biased ? bias->data_ptr<float>() : nullptr, y.data_ptr<float>(), threads());
  return y;
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(
    const Tensor& given_dy, const Tensor& x, const Tensor& w, at::OptionalIntArrayRef bias_sizes,
    IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation, bool transposed,
    IntArrayRef output_padding, std::int64_t groups, std::array<bool, 3> wanted) {
  if (!suits(x, w, stride, padding, dilation, transposed, output_padding, groups) ||
      given_dy.scalar_type() != at::kFloat ||
      given_dy.sizes() != IntArrayRef({x.size(0), w.size(0), x.size(2), x.size(3)}))
    return at::native::convolution_backward(given_dy, x, w, bias_sizes, stride, padding, dilation,
                                            transposed, output_padding, groups, wanted);
  const auto c = sizes(x, w);
  const auto dy = given_dy.contiguous();
  Tensor dx, dw, db;
  if (wanted[0]) {
    dx = at::empty_like(x);
    winograd_image_gradient(c, dy.data_ptr<float>(), w.data_ptr<float>(), dx.data_ptr<float>(),
                            threads());
  }
  if (wanted[1]) {
    dw = at::empty_like(w);
    winograd_filter_gradient(c, x.data_ptr<float>(), dy.data_ptr<float>(), dw.data_ptr<float>(),
                             threads());
  }
  if (wanted[2]) db = dy.sum({0, 2, 3});
  return {dx, dw, db};
}

}  // namespace

void use_winograd() {
  // LibTorch has kernels of these operators for all devices together, none for the CPU alone. All
  // convolutions come by _convolution, which is also what a traced network calls. The library is
  // never given back: a network may still run as the process ends.
  static const auto* const registered = [] {
    auto* library =
        new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
    library->impl("_convolution", TORCH_FN(convolution));
    library->impl("convolution_backward", TORCH_FN(convolution_backward));
    return library;
  }();
  static_cast<void>(registered);
}

}  // namespace mr::nn
