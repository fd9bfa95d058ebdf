#include "nn/convolution.h"

#include <torch/autograd.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "nn/winograd.h"

#include "check.h"

using torch::Tensor;

namespace {

/// Convolved with `w`, and the gradients, by images, filters and bias, of the sum of squares.
struct Results {
  Tensor y, dx, dw, db;

  Results(const Tensor& images, const Tensor& filters, const Tensor& offsets, int stride = 1,
          int padding = 1, int dilation = 1, int groups = 1) {
    const auto x = images.detach().requires_grad_(), w = filters.detach().requires_grad_(),
               b = offsets.detach().requires_grad_();
    y = at::conv2d(x, w, b, stride, padding, dilation, groups);
    const auto gradients = torch::autograd::grad({y.square().sum()}, {x, w, b});
    dx = gradients[0], dw = gradients[1], db = gradients[2];
    y = y.detach();
  }
};

/// Of the largest value.
double error(const Tensor& a, const Tensor& reference) {
  return ((a.to(torch::kDouble) - reference).abs().max() / reference.abs().max()).item<double>();
}

void check_against_double(const Tensor& x, const Tensor& w, const Tensor& b, int stride = 1,
                          int padding = 1, int dilation = 1, int groups = 1) {
  CAPTURE(x.sizes());
  CAPTURE(w.sizes());
  const auto in_double = [](const Tensor& t) { return t.to(torch::kDouble); };
  const Results got(x, w, b, stride, padding, dilation, groups),
      want(in_double(x), in_double(w), in_double(b), stride, padding, dilation, groups);
  CHECK(error(got.y, want.y) < 2e-6);
  CHECK(error(got.dx, want.dx) < 4e-6);
  CHECK(error(got.dw, want.dw) < 4e-6);
  CHECK(error(got.db, want.db) < 4e-6);
}

struct Drawn {
  Tensor x, w, b;
  Drawn(std::int64_t n, std::int64_t in, std::int64_t out, std::int64_t height, std::int64_t width,
        std::int64_t kernel = 3) {
    torch::manual_seed(in + out + height + width);
    x = torch::randn({n, in, height, width});
    w = torch::randn({out, in, kernel, kernel});
    b = torch::randn({out});
  }
};

/// Where the vector instructions or the compiler lack, convolutions are LibTorch's.
bool skipped() {
  if (mr::nn::suits_winograd({32, 16, 16, 64, 64})) return false;
  std::puts("skipped: this build or machine has no convolutions of its own");
  return true;
}

void use_threads(int n) {
  mr::nn::use_winograd();
  torch::set_num_threads(n);
}

}  // namespace

TEST_CASE("3x3 convolutions and their gradients are those of the definition, of any size") {
  for (const int threads : {1, 2}) {
    use_threads(threads);
    for (const auto& [n, in, out, height, width] : {std::tuple{1, 8, 8, 8, 8},
                                                    {3, 8, 8, 8, 8},
                                                    {2, 16, 16, 64, 64},
                                                    {5, 9, 13, 7, 7},
                                                    {2, 17, 8, 33, 47},
                                                    {7, 8, 40, 9, 15},
                                                    {1, 24, 8, 6, 91},
                                                    {1, 8, 12, 91, 6},
                                                    {4, 16, 16, 14, 14},
                                                    {3, 32, 24, 12, 12},
                                                    {1, 8, 8, 3, 200},
                                                    {2, 70, 66, 8, 10},
                                                    {40, 8, 8, 8, 8},
                                                    {1, 8, 8, 5, 6},
                                                    {2, 8, 9, 1, 1},
                                                    {1, 300, 8, 16, 16}}) {
      const Drawn d(n, in, out, height, width);
      check_against_double(d.x, d.w, d.b);
    }
  }
}

TEST_CASE("tiles of 2x2 are used where they pay") {
  if (skipped()) return;
  CHECK(mr::nn::suits_winograd({32, 16, 16, 64, 64}));
  CHECK(mr::nn::suits_winograd({1, 512, 512, 8, 8}));
  CHECK_FALSE(mr::nn::suits_winograd({32, 1, 16, 64, 64}));
  CHECK_FALSE(mr::nn::suits_winograd({32, 512, 512, 2, 2}));
  CHECK_FALSE(mr::nn::suits_winograd({1, 2048, 8, 2, 1000}));
}

TEST_CASE("other convolutions are LibTorch's") {
  use_threads(2);
  const Drawn d(2, 8, 8, 20, 18), one(2, 8, 8, 20, 18, 1), grouped(2, 4, 8, 20, 18);
  check_against_double(d.x, d.w, d.b, 2);
  check_against_double(d.x, d.w, d.b, 1, 0);
  check_against_double(d.x, d.w, d.b, 1, 1, 2);
  check_against_double(d.x, grouped.w, d.b, 1, 1, 1, 2);
  check_against_double(one.x, one.w, one.b, 1, 0);
  check_against_double(d.x.to(at::MemoryFormat::ChannelsLast), d.w, d.b);
  check_against_double(d.x.transpose(2, 3), d.w, d.b);
  CHECK(at::conv2d(d.x.slice(0, 0, 0), d.w, d.b, 1, 1).sizes() ==
        torch::IntArrayRef({0, 8, 20, 18}));
}

TEST_CASE("filters of more maps than the threads' sums may hold at once are taken in parts") {
  use_threads(64);
  const Drawn d(1, 128, 516, 8, 8);  // 512 at once
  check_against_double(d.x, d.w, d.b);
}

TEST_CASE("sizes that do not fit are refused as LibTorch does") {
  use_threads(2);
  const Drawn d(2, 8, 8, 16, 16);
  const auto refused = [](const auto& work) { CHECK_THROWS(work()); };
  for (const auto& bias : {torch::zeros({4}), torch::zeros({20}), torch::zeros({1, 8, 1, 1})})
    refused([&] { at::conv2d(d.x, d.w, bias, 1, 1); });
  refused([&] { at::conv2d(d.x.slice(1, 0, 7), d.w, d.b, 1, 1); });
  refused([&] { at::conv2d(d.x, d.w, d.b, {1, 1, 1}, 1); });
  for (const std::vector<std::int64_t>& sizes :
       {std::vector<std::int64_t>{2, 8, 15, 16}, {2, 4, 16, 16}, {1, 8, 16, 16}})
    refused([&] {
      at::convolution_backward(torch::zeros(sizes), d.x, d.w, {}, {1, 1}, {1, 1}, {1, 1}, false,
                               {0, 0}, 1, {true, true, false});
    });
}

TEST_CASE("a traced convolution is a convolution") {
  use_threads(1);
  const Drawn d(2, 8, 8, 16, 16);
  const auto traced = torch::jit::tracer::trace(
      {d.x},
      [&](const torch::jit::Stack& inputs) {
        return torch::jit::Stack{at::conv2d(inputs[0].toTensor(), d.w, d.b, 1, 1)};
      },
      [](const torch::autograd::Variable&) { return ""; });
  torch::jit::GraphFunction function("traced", traced.first->graph, nullptr);
  CHECK(function({2 * d.x}).toTensor().equal(at::conv2d(2 * d.x, d.w, d.b, 1, 1)));
}

TEST_CASE("3x3 convolutions: an image gives the same bits alone, in a batch and on any threads") {
  if (skipped()) return;
  const Drawn d(9, 16, 24, 20, 12);
  use_threads(1);
  const Results one(d.x, d.w, d.b);
  use_threads(2);
  const Results two(d.x, d.w, d.b), again(d.x, d.w, d.b);
  const Results alone(d.x.slice(0, 7, 8), d.w, d.b);
  CHECK(one.y.equal(two.y));
  CHECK(one.dx.equal(two.dx));
  CHECK(again.dw.equal(two.dw));
  CHECK(alone.y.equal(two.y.slice(0, 7, 8)));
  CHECK(alone.dx.equal(two.dx.slice(0, 7, 8)));
}

TEST_CASE("3x3 convolutions have second derivatives, and gradients that were expanded") {
  use_threads(2);
  const Drawn d(2, 8, 8, 8, 8);
  const auto second = [&](torch::ScalarType type) {
    const auto x = d.x.detach().to(type).requires_grad_(),
               w = d.w.detach().to(type).requires_grad_();
    const auto y = at::conv2d(x, w, {}, 1, 1);
    const auto first = torch::autograd::grad({y.tanh().sum()}, {x}, {}, true, true);
    return torch::autograd::grad({first[0].square().sum()}, {w})[0];
  };
  CHECK(error(second(torch::kFloat), second(torch::kDouble)) < 1e-5);
  const auto w = d.w.detach().requires_grad_();
  at::conv2d(d.x, w, {}, 1, 1).sum().backward();  // of one number, seen at every place
  const auto v = d.w.detach().to(torch::kDouble).requires_grad_();
  at::conv2d(d.x.to(torch::kDouble), v, {}, 1, 1).sum().backward();
  CHECK(error(w.grad(), v.grad()) < 4e-6);
}

TEST_CASE("3x3 convolutions are right on machines of less: AVX2, and no vectors of ours") {
  if (std::getenv("ATEN_CPU_CAPABILITY") != nullptr) return;
  const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto passes = [&](const std::string& capability, const std::string& tests) {
    return std::system(("ATEN_CPU_CAPABILITY=" + capability + " '" + self + "' --test-case='" +
                        tests + "' > /dev/null")
                           .c_str()) == 0;
  };
  CHECK(passes("avx2", "3x3 convolutions*"));
  CHECK(passes("default", "3x3 convolutions and*,3x3 convolutions have*"));
}
