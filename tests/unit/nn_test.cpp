#include "nn/adaptation.h"
#include "nn/model.h"

#include <torch/autograd.h>
#include <torch/script.h>

#include "base/error.h"
#include "nn/device.h"

#include "check.h"

using namespace mr::nn;

namespace {

const c10::Device cpu = configure_torch("cpu", 1);

Architecture small(const std::string& scheme) {
  Architecture a;
  a.width = 4;
  a.blocks = {1, 2};
  a.labels = 3;
  a.normalization = parse_normalization(scheme);
  set_groups(a.normalization, 2);
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

torch::Tensor scored(const torch::jit::Module& frozen, const torch::Tensor& x) {
  const c10::InferenceMode inference;
  return frozen.get_method("forward")({x}).toTensor();
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
  for (const std::string kind : {"batch", "group", "layer_chw"}) {
    Architecture a;  // width 64, 2 blocks in each of 4 stages
    a.labels = 4;
    a.normalization.scheme = kind;
    CHECK(count_parameters(make_network(a, 1)) == 11574472);
  }
}

/// Parameters of a pre-activation ResNet, counted from the paper's figure: no norm after the last
/// block, an average pool to 10 x 10 before the heads.
std::int64_t counted(const std::vector<int>& blocks, bool bottleneck, std::int64_t labels) {
  std::int64_t in = 64, sum = 9 * in;
  for (std::size_t s = 0; s < blocks.size(); ++s)
    for (int b = 0; b < blocks[s]; ++b) {
      const std::int64_t c = 64 << s, out = bottleneck ? 4 * c : c;
      sum += bottleneck ? in * c + 9 * c * c + c * out : 9 * in * c + 9 * c * c;
      sum += 2 * (bottleneck ? in + 2 * c : in + c);  // norms before the convolutions
      if (in != out) sum += in * out;
      in = out;
    }
  return sum + 2 * labels * (100 * in + 1);
}

TEST_CASE("deeper pre-activation networks have the parameters of their layers") {
  for (const auto& [shape, blocks, bottleneck] :
       {std::tuple<std::string, std::vector<int>, bool>{"preact-resnet18", {2, 2, 2, 2}, false},
        {"preact-resnet34", {3, 4, 6, 3}, false},
        {"preact-resnet50", {3, 4, 6, 3}, true}}) {
    CAPTURE(shape);
    auto a = find_architecture(shape);
    a.labels = 4;
    CHECK(count_parameters(make_network(a, 1)) == counted(blocks, bottleneck, 4));
  }
  CHECK(counted({2, 2, 2, 2}, false, 4) == 11574472);
}

TEST_CASE("batch norm alone has buffers: a mean and a variance per channel") {
  const auto count = [](const std::string& kind) {
    std::int64_t n = 0;
    for (const auto& buffer : make_network(small(kind), 1).buffers()) n += buffer.numel();
    return n;
  };
  CHECK(count("batch") == 2 * (4 + 4 + 4 + 8 + 8 + 8));
  CHECK(count("group") == 0);
  CHECK(count("layer_chw") == 0);
}

TEST_CASE("there is one logit per label, for any image size") {
  for (const std::string kind : {"batch", "group", "layer_chw"})
    for (const auto& x : {images(2, 12, 17), images(3, 40, 9)})
      CHECK(run(evaluated(small(kind)), x).sizes() == torch::IntArrayRef({x.size(0), 3}));
}

TEST_CASE("initial weights: Kaiming normal by fan-out, heads uniform, norms 1 and 0") {
  Architecture a = small("batch");
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
  const auto a = small("group");
  CHECK(run(evaluated(a, 1), x).equal(run(evaluated(a, 1), x)));
  CHECK(distance(run(evaluated(a, 1), x), run(evaluated(a, 2), x)) > 1e-3);
}

TEST_CASE("no two convolutions begin with the same weights") {
  const auto block = evaluated(small("layer_chw")).attr("stage1_block1").toModule();
  const auto weight = [&](const char* conv) {
    return block.attr(conv).toModule().attr("weight").toTensor().detach();
  };
  CHECK(distance(weight("conv1"), weight("conv2")) > 0.1);
}

TEST_CASE("group and layer norm score an image alike, whatever shares its batch") {
  const auto x = images(6);
  for (const std::string kind : {"group", "layer_chw"}) {
    auto network = make_network(small(kind), 1);  // in training mode
    CHECK(distance(run(network, x).slice(0, 2, 3), run(network, x.slice(0, 2, 3))) < 1e-5);
  }
  auto network = make_network(small("batch"), 1);
  CHECK(distance(run(network, x).slice(0, 2, 3), run(network, x.slice(0, 2, 3))) > 1e-3);
}

TEST_CASE("in evaluation mode a score does not depend on the batch, batch norm included") {
  const auto x = images(6);
  auto network = evaluated(small("batch"));
  CHECK(distance(run(network, x).slice(0, 2, 3), run(network, x.slice(0, 2, 3))) < 1e-5);
}

TEST_CASE("a group or layer norm ignores the gain of its input, a batch norm does not") {
  const auto x = images(2, 32, 32).repeat({1, 4, 1, 1}) * 100;  // eps is small beside the variance
  for (const std::string kind : {"batch", "group", "layer_chw"}) {
    const auto network = evaluated(small(kind));
    const auto norm = network.attr("stage1_block1").toModule().attr("norm1").toModule();
    const double change = distance(run(norm, x), run(norm, 3 * x));
    CAPTURE(kind);
    CHECK((change < 1e-5) == (kind != "batch"));
  }
}

TEST_CASE("group norm normalises over its groups of channels, layer norm over all of them") {
  auto x = images(2, 8, 9).repeat({1, 4, 1, 1});
  x.slice(1, 2, 4) += 5;
  const auto norm = [](const std::string& kind) {
    auto module = evaluated(small(kind)).attr("stage1_block1").toModule().attr("norm1").toModule();
    module.setattr("relu", false);
    return module;
  };
  const auto grouped = run(norm("group"), x).reshape({2, 2, -1});  // 2 groups of 2 channels
  CHECK(grouped.mean(2).abs().max().item<double>() < 1e-5);
  const auto layered = run(norm("layer_chw"), x);
  CHECK(layered.reshape({2, -1}).mean(1).abs().max().item<double>() < 1e-5);
  CHECK(layered.reshape({2, 2, -1}).mean(2).abs().max().item<double>() > 0.5);
}

TEST_CASE("every scheme gives finite scores and gradients in every family that it is defined for") {
  int networks = 0;
  for (const auto& scheme : schemes())
    for (const auto& shape : architecture_names())
      for (const int dimensions : {2, 3}) {
        auto a = find_architecture(shape);
        a.normalization.scheme = scheme.name;
        set_groups(a.normalization, 2);
        a.width = 4;
        a.growth = 4;
        a.blocks = {1, 2};
        a.labels = 3;
        a.dimensions = dimensions;
        CAPTURE(shape);
        CAPTURE(scheme.name);
        CAPTURE(dimensions);
        const bool defined =
            a.family == Family::preact_resnet ||
            (a.family == Family::resnet && scheme.name != "nf" && scheme.name != "fixup" &&
             scheme.name != "evonorm-s0") ||
            (a.family == Family::densenet && scheme.name != "nf" && scheme.name != "fixup" &&
             scheme.name != "cnsn" && scheme.name != "ibn");
        if (!defined) {
          CHECK_THROWS_AS(make_network(a, 1), mr::UsageError);
          continue;
        }
        ++networks;
        auto network = make_network(a, 1);
        auto x = images(4, 24, 20);
        if (dimensions == 3) x = x.unsqueeze(2).repeat({1, 1, 8, 1, 1});
        const auto y = network.forward({x}).toTensor();
        CHECK(y.sizes() == torch::IntArrayRef({4, 3}));
        y.square().sum().backward();
        for (const auto& p : network.named_parameters()) {
          CAPTURE(p.name);
          // Fixup begins with heads of 0, through which no gradient passes.
          if (scheme.name == "fixup" && !p.value.grad().defined()) continue;
          REQUIRE(p.value.grad().defined());
          CHECK(torch::isfinite(p.value.grad()).all().item<bool>());
        }
      }
  CHECK(networks == 2 * (3 * 13 + 2 * 10 + 9));
}

TEST_CASE("a batch-free scheme scores an image in training as in a batch; the table says which") {
  const auto x = images(6);
  for (const auto& scheme : schemes()) {
    CAPTURE(scheme.name);
    auto network = make_network(small(scheme.name), 1);
    for (const auto& p : network.named_parameters())  // fixup's first scores are 0
      if (scheme.name == "fixup" && p.value.dim() > 1) {
        const torch::NoGradGuard no_grad;
        p.value.add_(0.01);
      }
    const auto whole = run(network, x).slice(0, 2, 4);
    const double change = distance(whole, run(network, x.slice(0, 2, 4)));
    CHECK((change < 1e-5) == scheme.batch_free);
    network.eval();
    CHECK(distance(run(network, x).slice(0, 2, 3), run(network, x.slice(0, 2, 3))) < 1e-5);
    CHECK(batch_norms(network).empty() == !scheme.running);
  }
}

TEST_CASE("names of schemes: parameters said come back, others are left out, groups always stand") {
  CHECK(name(parse_normalization("group")) == "group(32)");
  CHECK(name(parse_normalization("layer")) == "layer_chw");
  CHECK(name(parse_normalization("batch-renorm:r_max=2,d_max=5")) == "batch-renorm(r_max=2)");
  CHECK(name(parse_normalization("evonorm-s0:groups=8,eps=0.001")) == "evonorm-s0(8,eps=0.001)");
  CHECK(parse_normalization("nf").value("alpha") == 0.2);
  CHECK_THROWS_WITH_AS(parse_normalization("grup"),
                       "unknown normalization 'grup'; did you mean 'group'?", mr::UsageError);
  CHECK_THROWS_WITH_AS(parse_normalization("nf:alpa=1"),
                       "nf: unknown parameter 'alpa'; did you mean 'alpha'?", mr::UsageError);
  CHECK_THROWS_AS(parse_normalization("group:groups=2.5"), mr::UsageError);
  CHECK_THROWS_AS(parse_normalization("batch:eps=0"), mr::UsageError);
  CHECK_THROWS_AS(parse_normalization("batch:eps"), mr::UsageError);
}

namespace {

/// One norm layer of a small network, in training mode.
torch::jit::Module layer(const std::string& scheme, int groups = 2,
                         const std::string& place = "norm1") {
  auto a = small(scheme);
  set_groups(a.normalization, groups);
  return make_network(a, 1).attr("stage1_block1").toModule().attr(place).toModule();
}

torch::Tensor features(double scale = 1) {
  return images(12, 8, 9).reshape({3, 4, 8, 9}).mul(scale).add(0.3);
}

}  // namespace

TEST_CASE("identities: renorm bound to r = 1 and d = 0 is batch norm; C groups are instance norm") {
  const auto x = features();
  auto batch = layer("batch:momentum=0.1"),
       renorm = layer("batch-renorm:r_max=1,d_max=0,momentum=0.1");
  for (int step = 0; step < 3; ++step)
    CHECK(distance(run(batch, x * (step + 1)), run(renorm, x * (step + 1))) < 1e-5);
  for (const auto* buffer : {"running_mean", "running_var"})
    CHECK(distance(batch.attr(buffer).toTensor(), renorm.attr(buffer).toTensor()) < 1e-5);
  batch.eval();
  renorm.eval();
  CHECK(distance(run(batch, x), run(renorm, x)) < 1e-5);
  CHECK(distance(run(layer("group", 4), x), run(layer("instance"), x)) < 1e-5);
  CHECK(distance(run(layer("group", 1), x), run(layer("layer_chw"), x)) == 0);
}

TEST_CASE("batch renorm uses its running statistics once its bounds have opened") {
  auto renorm = layer("batch-renorm:steps=2,r_max=100,d_max=100,momentum=0");
  const auto x = features();
  CHECK(distance(run(renorm, x), run(layer("batch"), x)) < 1e-5);  // bounds 1 and 0
  run(renorm, x);
  const auto opened = run(renorm, x);  // r and d are free: running mean 0 and variance 1
  CHECK(distance(opened, torch::relu(x)) < 1e-4);
}

TEST_CASE("invariance to a gain and to an offset of the input, exact where a scheme has it") {
  struct Row {
    std::string scheme;
    bool gain, offset;
  };
  for (const Row& row :
       {Row{"batch", true, true}, Row{"group", true, true}, Row{"layer_chw", true, true},
        Row{"layer_c", true, true}, Row{"instance", true, true}, Row{"ws+group", true, true},
        Row{"ibn", true, true}, Row{"cnsn", true, true}, Row{"batch-renorm", false, false},
        Row{"frn", true, false}, Row{"evonorm-s0", false, false}, Row{"nf", false, false},
        Row{"fixup", false, false}}) {
    CAPTURE(row.scheme);
    // eps is little beside a variance of up to 1e6; a sigmoid is not a step for values about 1.
    const auto x = features(row.gain ? 1e3 : 1).to(torch::kDouble);
    // Batch norms in training: statistics of the batch. IBN-a has its own after a convolution.
    auto norm = layer(row.scheme, 2, row.scheme == "ibn" ? "norm2" : "norm1");
    norm.to(torch::kDouble);
    const auto y = run(norm, x);
    const double size = y.abs().max().item<double>();
    CHECK((distance(run(norm, 3 * x), y) < 1e-7 * size) == row.gain);
    CHECK((distance(run(norm, x + (row.gain ? 500 : 0.5)), y) < 1e-9 * size) == row.offset);
  }
}

TEST_CASE("standardised weights: a filter's gain and offset do not matter") {
  for (const std::string scheme : {"ws+group", "nf"}) {
    auto conv = make_network(small(scheme), 1).attr("stem").toModule();
    const auto x = images(2);
    const auto y = run(conv, x);
    const torch::NoGradGuard no_grad;
    conv.attr("weight").toTensor().mul_(5).add_(0.7);
    CHECK(distance(run(conv, x), y) < 2e-4);
  }
}

TEST_CASE("CrossNorm gives an image the means and deviations of its partner, in training alone") {
  auto join =
      make_network(small("cnsn"), 1).attr("stage1_block1").toModule().attr("join").toModule();
  const auto x = features(), zero = torch::zeros_like(x);
  const auto call = [&] {
    const torch::NoGradGuard no_grad;
    return join.get_method("forward")({x.clone(), zero}).toTensor();
  };
  // A gate of weight 0 and bias 0 is 1/2 everywhere.
  const torch::NoGradGuard no_grad;
  join.attr("g_bn").toModule().attr("weight").toTensor().zero_();
  CHECK(distance(call() * 2, x) < 1e-6);
  join.setattr("partner", c10::List<std::int64_t>({2, 0, 1}));
  const auto y = call() * 2;
  const auto moved = torch::stack({x[2], x[0], x[1]});
  CHECK(distance(y.mean({2, 3}), moved.mean({2, 3})) < 1e-5);
  CHECK(distance(y.std({2, 3}), moved.std({2, 3})) < 1e-4);
  join.eval();
  CHECK(distance(call() * 2, x) < 1e-6);
}

TEST_CASE("batch norm can normalise with the batch at hand, and leaves its running statistics") {
  const auto x = images(5) + 2;
  const auto bytes = encode_model({evaluated(small("batch")), {{"schema", "mr-model/1"}}});
  auto network = decode_model(bytes, "m.pt").network;
  const auto before = run(network, x);
  CHECK(batch_norms(network).size() == 6);
  set_prior(network, batch_statistics);
  const auto adapted = run(network, x);
  auto training = make_network(small("batch"), 1);
  CHECK(distance(adapted, run(training, x)) < 1e-5);  // training also uses the batch at hand
  CHECK(distance(adapted, before) > 1e-3);
  set_prior(network, running_statistics);
  CHECK(run(network, x).equal(before));
}

TEST_CASE("a prior of N images mixes running statistics and those of n images as N : n") {
  auto norm = layer("batch");
  norm.eval();
  const auto x = features() * 2;
  const double prior = 5, n = 3;
  norm.setattr("prior", prior);
  const auto mean = n * x.mean({0, 2, 3}) / (prior + n);
  const auto variance = (prior + n * x.var({0, 2, 3}, false)) / (prior + n);
  const auto want =
      torch::relu((x - mean.view({1, -1, 1, 1})) / (variance.view({1, -1, 1, 1}) + 1e-5).sqrt());
  CHECK(distance(run(norm, x), want) < 1e-5);
}

TEST_CASE("recalibration: many batches leave what one batch of all images would") {
  const auto x = images(12) + 1;
  for (const std::string scheme : {"batch", "ibn", "cnsn", "batch-renorm"})
    for (const double prior : {0.0, 4.0}) {
      CAPTURE(scheme);
      auto one = evaluated(small(scheme)), many = evaluated(small(scheme));
      recalibrate(one, {x}, prior);
      recalibrate(many, {x.slice(0, 0, 5), x.slice(0, 5, 6), x.slice(0, 6, 12)}, prior);
      CHECK(distance(run(one, x), run(many, x)) < 2e-4);
      auto at_hand = evaluated(small(scheme));
      set_prior(at_hand, prior);
      CHECK(distance(run(one, x), run(at_hand, x)) < 2e-4);
      CHECK(distance(run(one, x), run(evaluated(small(scheme)), x)) > 1e-3);
      for (const auto& norm : batch_norms(one))
        CHECK(norm.attr("recorded").toTensorVector().empty());
    }
}

TEST_CASE(
    "TENT lowers the entropy, moves affine maps of batch norms alone, and leaves its source") {
  const auto x = images(8) + 1;
  const auto entropy = [](const torch::Tensor& z) {
    const auto p = torch::sigmoid(z.to(torch::kFloat64));
    return (-p * p.log() - (1 - p) * (1 - p).log()).mean().item<double>();
  };
  auto source = evaluated(small("batch"));
  const auto before = run(source, x);
  auto at_hand = source.deepcopy();
  set_prior(at_hand, batch_statistics);
  const auto adapted = tent(source, x, 1e-3, 1);
  CHECK(run(source, x).equal(before));
  CHECK(entropy(run(adapted, x)) < entropy(run(at_hand, x)));
  CHECK(distance(run(tent(source, x, 1e-3, 0), x), run(at_hand, x)) == 0);
  const auto names = source.named_parameters();
  auto theirs = adapted.named_parameters().begin();
  for (const auto& p : names) {
    const double moved = distance(p.value.detach(), (*theirs).value.detach());
    const bool affine = p.name.find("norm") != std::string::npos;
    CHECK((moved > 0) == affine);
    if (affine) CHECK(moved < 1.001e-3);  // Adam's first step is the learning rate
    ++theirs;
  }
}

TEST_CASE("a model file keeps weights and description, and is a function of them") {
  for (const std::string kind : {"batch", "group", "layer_chw"}) {
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
  const auto bytes = encode_model({evaluated(small("layer_chw")), {{"schema", "mr-model/9"}}});
  CHECK_THROWS_AS(decode_model(bytes, "m.pt"), mr::DataError);
  CHECK_THROWS_AS(decode_model(bytes.substr(0, bytes.size() / 2), "m.pt"), mr::DataError);
}

TEST_CASE("groups that do not divide the channels are refused") {
  auto a = small("group");
  set_groups(a.normalization, 3);
  CHECK_THROWS_WITH_AS(make_network(a, 1), "group(3): 4 channels do not divide into 3 groups",
                       mr::UsageError);
}

TEST_CASE("an absent or misspelt device is refused") {
  CHECK_THROWS_AS(configure_torch("gpu", 1), mr::UsageError);
  CHECK_THROWS_AS(configure_torch("cuda:", 1), mr::UsageError);
  CHECK_THROWS_AS(configure_torch("cuda:99", 1), mr::UsageError);
}

TEST_CASE("frozen batch norm keeps its statistics in training, and cannot be adapted") {
  auto network = make_network(small("batch"), 1);
  const auto x = images(4) + 1;
  run(network, x);  // moves the running statistics
  freeze(network);
  CHECK(batch_norms(network).empty());
  network.eval();
  const auto evaluated_scores = run(network, x);
  network.train();
  CHECK(run(network, x * 2).defined());
  CHECK(run(network, x).equal(evaluated_scores));
}

TEST_CASE("CrossNorm is drawn with its probability, one block a step, from the key alone") {
  const auto a = small("cnsn:probability=0.25");
  auto network = make_network(a, 1);
  const auto draw = [&](std::uint64_t step) {
    draw_cross_norm(network, a.normalization,
                    mr::random_key(3, {"cross-norm", std::to_string(step)}), 4);
    std::vector<std::int64_t> found;
    int blocks = 0;
    for (const auto& module : network.modules())
      if (module.hasattr("partner") && !module.attr("partner").toIntVector().empty()) {
        found = module.attr("partner").toIntVector();
        ++blocks;
      }
    CHECK(blocks <= 1);
    return found;
  };
  int steps = 0;
  for (std::uint64_t step = 0; step < 400; ++step) {
    const auto found = draw(step);
    CHECK(found == draw(step));
    steps += !found.empty();
  }
  CHECK(std::abs(steps - 100) < 4 * std::sqrt(400 * 0.25 * 0.75));
}

TEST_CASE("inputs that a network cannot be trained on are refused") {
  auto a = find_architecture("resnet18");
  CHECK_NOTHROW(require_trainable(a, {64, 64}, 2));
  CHECK_THROWS_WITH_AS(require_trainable(a, {64, 7}, 2),
                       "network: an imagenet stem takes images of at least 8 pixels in each "
                       "direction, got 7",
                       mr::UsageError);
  CHECK_NOTHROW(require_trainable(a, {64, 64}, 1));  // 2 x 2 positions in the last stage
  CHECK_THROWS_AS(require_trainable(a, {32, 32}, 1), mr::UsageError);
  a.normalization.scheme = "instance";
  CHECK_THROWS_AS(require_trainable(a, {32, 32}, 8), mr::UsageError);
  a.normalization.scheme = "group";
  CHECK_NOTHROW(require_trainable(a, {32, 32}, 1));
  a.normalization.scheme = "cnsn";
  CHECK_THROWS_AS(require_trainable(a, {64, 64}, 1), mr::UsageError);
  CHECK_THROWS_AS(require_trainable(find_architecture("densenet121"), {16, 16}, 8), mr::UsageError);
}

TEST_CASE("attention over slices: padding does not count, order does not, one slice is itself") {
  auto a = small("group");
  a.attention = true;
  const auto network = evaluated(a);
  const auto x = images(12, 16, 12).reshape({3, 1, 4, 16, 12});
  const auto y = run(network, x);
  CHECK(y.sizes() == torch::IntArrayRef({3, 3}));
  const auto padded =
      torch::cat({torch::zeros({3, 1, 2, 16, 12}), x, torch::zeros({3, 1, 1, 16, 12})}, 2);
  CHECK(distance(run(network, padded), y) < 1e-5);
  CHECK(distance(run(network, x.flip({2})), y) < 1e-5);
  CHECK(distance(run(network, x.slice(2, 0, 1)), y) > 1e-4);
  const auto twice = torch::cat({x.slice(2, 0, 1), x.slice(2, 0, 1)}, 2);
  CHECK(distance(run(network, twice), run(network, x.slice(2, 0, 1))) < 1e-5);
  CHECK(torch::isfinite(run(network, torch::zeros({2, 1, 3, 16, 12}))).all().item<bool>());
}

TEST_CASE("attention is that of Ilse et al. 2018, eq. 9, gradient included") {
  auto a = small("layer_chw");
  a.attention = true;
  a.labels = 1;
  auto network = make_network(a, 5);
  network.to(torch::kFloat64);
  const auto x = images(6, 16, 12).to(torch::kFloat64).reshape({2, 1, 3, 16, 12}).requires_grad_();
  const auto of = [&](const char* name) { return network.attr(name).toTensor(); };
  auto features = network.attr("features").toModule();
  std::vector<torch::Tensor> pooled;
  for (int image = 0; image < 2; ++image) {
    const auto h = features.forward({x[image].transpose(0, 1)}).toTensor().flatten(1);
    const auto v = torch::tanh(torch::matmul(h, of("value_weight").t()) + of("value_bias"));
    const auto u = torch::sigmoid(torch::matmul(h, of("gate_weight").t()) + of("gate_bias"));
    const auto weights = torch::softmax(torch::matmul(v * u, of("score_weight").t()).squeeze(1), 0);
    pooled.push_back(torch::matmul(weights, h));
  }
  const auto want = network.attr("heads").toModule().forward({torch::stack(pooled)}).toTensor();
  const auto got = network.forward({x}).toTensor();
  CHECK(distance(got.detach(), want.detach()) < 1e-10);
  const auto gradient = [&](const torch::Tensor& y) {
    return torch::autograd::grad({y.sum()}, {x, of("value_weight"), of("score_weight")});
  };
  const auto theirs = gradient(want), ours = gradient(got);
  for (std::size_t i = 0; i < ours.size(); ++i) CHECK(distance(ours[i], theirs[i]) < 1e-10);
}

TEST_CASE("a network of volumes to score with gives the same scores") {
  for (const bool attention : {false, true})
    for (const auto stem : {Stem::cifar, Stem::imagenet}) {
      auto a = small("batch");
      a.attention = attention;
      a.dimensions = attention ? 2 : 3;
      a.stem = stem;
      auto network = evaluated(a);
      const auto x = images(10, 16, 12).reshape({2, 1, 5, 16, 12}).repeat({1, 1, 2, 1, 1});
      auto frozen = for_inference(network);
      CHECK(distance(scored(frozen, x), run(network, x)) < 1e-5);
    }
}

TEST_CASE("a network to score with gives the same scores, and leaves its source") {
  const std::set<std::string> preact_only = {"nf", "fixup", "evonorm-s0"},
                              not_dense = {"cnsn", "ibn"};
  for (const auto& scheme : schemes())
    for (const std::string shape : {"preact-resnet18", "resnet18", "densenet121"}) {
      if (shape != "preact-resnet18" && preact_only.count(scheme.name)) continue;
      if (shape == "densenet121" && not_dense.count(scheme.name)) continue;
      CAPTURE(scheme.name);
      CAPTURE(shape);
      auto a = find_architecture(shape);
      a.width = 4;
      a.blocks = {1, 2};
      a.labels = 3;
      a.normalization.scheme = scheme.name;
      set_groups(a.normalization, 2);
      auto network = make_network(a, 1);
      const auto x = images(5, 24, 20);
      run(network, x);  // moves the running statistics
      network.eval();
      const auto want = run(network, x);
      const auto bytes = encode_model({network, {{"schema", "mr-model/1"}}});
      auto frozen = for_inference(decode_model(bytes, "m.pt").network);
      const auto got = scored(frozen, x);
      CHECK(distance(got, want) < 1e-5 * std::max(1.0, want.abs().max().item<double>()));
      CHECK(run(network, x).equal(want));
      CHECK(scored(frozen, x.slice(0, 1, 2)).sizes() == torch::IntArrayRef({1, 3}));
    }
}
