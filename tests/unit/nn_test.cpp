#include "nn/model.h"

#include <torch/script.h>

#include "base/error.h"
#include "nn/device.h"

#include "check.h"

using namespace mr::nn;

namespace {

const c10::Device cpu = configure_torch("cpu", 1);

Architecture small(Norm kind) {
  Architecture a;
  a.width = 4;
  a.blocks = {1, 2};
  a.labels = 3;
  a.normalization = {kind, 2};
  return a;
}

torch::Tensor images(int n, int height = 12, int width = 17) {
  return torch::arange(n * height * width, torch::kFloat32)
      .mul_(0.7)
      .sin_()
      .reshape({n, 1, height, width});
}

torch::Tensor run(const torch::jit::Module& network, const torch::Tensor& x) {
  const torch::NoGradGuard no_grad;
  return network.get_method("forward")({x}).toTensor();
}

double distance(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

torch::jit::Module evaluated(const Architecture& a, std::uint64_t seed = 1) {
  auto network = make_network(a, seed);
  network.eval();
  return network;
}

}  // namespace

TEST_CASE("the published network has 11,574,472 parameters, whatever its norm") {
  for (const Norm kind : {Norm::batch, Norm::group, Norm::layer}) {
    Architecture a;  // width 64, 2 blocks in each of 4 stages
    a.labels = 4;
    a.normalization = {kind, 32};
    CHECK(count_parameters(make_network(a, 1)) == 11574472);
  }
}

TEST_CASE("batch norm alone has buffers: a mean and a variance per channel") {
  const auto count = [](Norm kind) {
    std::int64_t n = 0;
    for (const auto& buffer : make_network(small(kind), 1).buffers()) n += buffer.numel();
    return n;
  };
  CHECK(count(Norm::batch) == 2 * (4 + 4 + 4 + 8 + 8 + 8));
  CHECK(count(Norm::group) == 0);
  CHECK(count(Norm::layer) == 0);
}

TEST_CASE("there is one logit per label, for any image size") {
  for (const auto kind : {Norm::batch, Norm::group, Norm::layer})
    for (const auto& x : {images(2, 12, 17), images(3, 40, 9)})
      CHECK(run(evaluated(small(kind)), x).sizes() == torch::IntArrayRef({x.size(0), 3}));
}

TEST_CASE("initial weights: Kaiming normal by fan-out, heads uniform, norms 1 and 0") {
  Architecture a = small(Norm::batch);
  a.width = 32;
  const auto network = make_network(a, 3);
  for (const auto& p : network.named_parameters()) {
    CAPTURE(p.name);
    const auto values = p.value.detach();
    const double n = static_cast<double>(values.numel());
    if (values.dim() == 4) {
      const double fan_out = static_cast<double>(values.size(0) * values.size(2) * values.size(3));
      CHECK(std::abs(values.square().mean().item<double>() * fan_out / 2 - 1) < 6 / std::sqrt(n));
    } else if (p.name == "heads.weight") {
      const double bound = 1 / std::sqrt(static_cast<double>(values.size(1)));
      CHECK(values.abs().max().item<double>() <= bound);
      CHECK(std::abs(values.square().mean().item<double>() * 3 / (bound * bound) - 1) <
            5 / std::sqrt(n));
    } else if (p.name.find("norm") != std::string::npos) {
      CHECK(values.eq(p.name.find(".weight") != std::string::npos ? 1 : 0).all().item<bool>());
    }
  }
}

TEST_CASE("the weights are a function of the seed") {
  const auto x = images(2);
  const auto a = small(Norm::group);
  CHECK(run(evaluated(a, 1), x).equal(run(evaluated(a, 1), x)));
  CHECK(distance(run(evaluated(a, 1), x), run(evaluated(a, 2), x)) > 1e-3);
}

TEST_CASE("no two convolutions begin with the same weights") {
  const auto block = evaluated(small(Norm::layer)).attr("stage1_block1").toModule();
  const auto weight = [&](const char* conv) {
    return block.attr(conv).toModule().attr("weight").toTensor().detach();
  };
  CHECK(distance(weight("conv1"), weight("conv2")) > 0.1);
}

TEST_CASE("group and layer norm score an image alike, whatever shares its batch") {
  const auto x = images(6);
  for (const auto kind : {Norm::group, Norm::layer}) {
    auto network = make_network(small(kind), 1);  // in training mode
    CHECK(distance(run(network, x).slice(0, 2, 3), run(network, x.slice(0, 2, 3))) < 1e-5);
  }
  auto network = make_network(small(Norm::batch), 1);
  CHECK(distance(run(network, x).slice(0, 2, 3), run(network, x.slice(0, 2, 3))) > 1e-3);
}

TEST_CASE("in evaluation mode a score does not depend on the batch, batch norm included") {
  const auto x = images(6);
  auto network = evaluated(small(Norm::batch));
  CHECK(distance(run(network, x).slice(0, 2, 3), run(network, x.slice(0, 2, 3))) < 1e-5);
}

TEST_CASE("a group or layer norm ignores the gain of its input, a batch norm does not") {
  const auto x = images(2, 32, 32).repeat({1, 4, 1, 1}) * 100;  // eps is small beside the variance
  for (const auto kind : {Norm::batch, Norm::group, Norm::layer}) {
    const auto network = evaluated(small(kind));
    const auto norm = network.attr("stage1_block1").toModule().attr("norm1").toModule();
    const double change = distance(run(norm, x), run(norm, 3 * x));
    CAPTURE(name({kind, 2}));
    CHECK((change < 1e-5) == (kind != Norm::batch));
  }
}

TEST_CASE("group norm normalises over its groups of channels, layer norm over all of them") {
  auto x = images(2, 8, 9).repeat({1, 4, 1, 1});
  x.slice(1, 2, 4) += 5;
  const auto norm = [](Norm kind) {
    return evaluated(small(kind)).attr("stage1_block1").toModule().attr("norm1").toModule();
  };
  const auto grouped = run(norm(Norm::group), x).reshape({2, 2, -1});  // 2 groups of 2 channels
  CHECK(grouped.mean(2).abs().max().item<double>() < 1e-5);
  const auto layered = run(norm(Norm::layer), x);
  CHECK(layered.reshape({2, -1}).mean(1).abs().max().item<double>() < 1e-5);
  CHECK(layered.reshape({2, 2, -1}).mean(2).abs().max().item<double>() > 0.5);
}

TEST_CASE("batch norm can normalise with the batch at hand, and leaves its running statistics") {
  const auto x = images(5) + 2;
  const auto bytes = encode_model({evaluated(small(Norm::batch)), {{"schema", "mr-model/1"}}});
  auto network = decode_model(bytes, "m.pt").network;
  const auto before = run(network, x);
  CHECK(set_batch_statistics(network, BatchStatistics::batch) == 6);
  const auto adapted = run(network, x);
  auto training = make_network(small(Norm::batch), 1);
  CHECK(distance(adapted, run(training, x)) < 1e-5);  // training also uses the batch at hand
  CHECK(distance(adapted, before) > 1e-3);
  set_batch_statistics(network, BatchStatistics::running);
  CHECK(run(network, x).equal(before));
  auto layer = evaluated(small(Norm::layer));
  CHECK(set_batch_statistics(layer, BatchStatistics::batch) == 0);
}

TEST_CASE("a model file keeps weights and description, and is a function of them") {
  for (const auto kind : {Norm::batch, Norm::group, Norm::layer}) {
    const Model model{evaluated(small(kind)), {{"schema", "mr-model/1"}, {"labels", {"tear"}}}};
    const auto bytes = encode_model(model);
    CHECK(bytes == encode_model({evaluated(small(kind)), model.info}));
    const auto read = decode_model(bytes, "m.pt");
    CHECK(read.info == model.info);
    CHECK(run(read.network, images(3)).equal(run(model.network, images(3))));
  }
}

TEST_CASE("a file that is no model is refused by name") {
  CHECK_THROWS_WITH_AS(decode_model("GIF89a", "cat.gif"),
                       "cat.gif: not a TorchScript archive that this LibTorch can read",
                       mr::DataError);
  const auto bytes = encode_model({evaluated(small(Norm::layer)), {{"schema", "mr-model/9"}}});
  CHECK_THROWS_AS(decode_model(bytes, "m.pt"), mr::DataError);
  CHECK_THROWS_AS(decode_model(bytes.substr(0, bytes.size() / 2), "m.pt"), mr::DataError);
}

TEST_CASE("groups that do not divide the channels are refused") {
  auto a = small(Norm::group);
  a.normalization.groups = 3;
  CHECK_THROWS_WITH_AS(make_network(a, 1), "group(3): 4 channels do not divide into 3 groups",
                       mr::UsageError);
}

TEST_CASE("an absent or misspelt device is refused") {
  CHECK_THROWS_AS(configure_torch("gpu", 1), mr::UsageError);
  CHECK_THROWS_AS(configure_torch("cuda:", 1), mr::UsageError);
  CHECK_THROWS_AS(configure_torch("cuda:99", 1), mr::UsageError);
}
