#include <torch/torch.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "train/checkpoint.h"
#include "train/optimiser.h"
#include "train/parallel.h"
#include "train/precision.h"
#include "train/sampler.h"
#include "train/schedule.h"
#include "train/validation.h"

#include "check.h"

using namespace mr::train;
using mr::Json;

namespace {

/// One image with one sample per row of labels.
mr::dataset::SampleSet samples_of(const std::vector<std::vector<int>>& labels) {
  std::vector<mr::dataset::Label> names;
  for (std::size_t l = 0; l < labels.front().size(); ++l)
    names.push_back({"label" + std::to_string(l), {"0", "1"}});
  mr::dataset::SampleSet samples(names);
  mr::dataset::ImageEntry image;
  image.id = "a";
  image.subject = "s";
  for (std::size_t i = 0; i < labels.size(); ++i)
    image.samples.push_back({mr::dataset::Slice{2, static_cast<std::int64_t>(i)}, labels[i]});
  samples.add(image);
  return samples;
}

double distance(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

/// Environment variables for the length of a test; all that tell of other processes are unset else.
class Environment {
 public:
  explicit Environment(const std::vector<std::pair<const char*, const char*>>& variables) {
    clear();
    for (const auto& [name, value] : variables) ::setenv(name, value, 1);
  }
  ~Environment() { clear(); }

 private:
  static void clear() {
    for (const char* name :
         {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
          "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_JOB_NODELIST",
          "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RESTART_COUNT"})
      ::unsetenv(name);
  }
};

const mr::Messages quiet("test", mr::Verbosity::quiet);

}  // namespace

TEST_CASE("the loss is the sum over labels of the two-logit cross-entropy, gradient included") {
  const auto z = (torch::arange(5 * 3 * 2, torch::kFloat32) * 1.3).sin().mul(4).reshape({5, 3, 2});
  const auto truth = torch::tensor({1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0, 1, 0, 0}).reshape({5, 3});
  const auto two = z.clone().requires_grad_();
  auto want = torch::zeros({});
  for (int l = 0; l < 3; ++l)
    want = want + torch::nn::functional::cross_entropy(two.select(1, l), truth.select(1, l));
  want.backward();
  const auto ours = z.clone().requires_grad_();
  const auto known = truth.to(torch::kFloat32);
  const auto got = masked_cross_entropy(ours.select(2, 1) - ours.select(2, 0), known,
                                        step_weights(known, torch::ones({2, 3})));
  got.backward();
  CHECK(distance(got, want) < 1e-6);
  CHECK(distance(ours.grad(), two.grad()) < 1e-6);
}

TEST_CASE("an unknown label adds nothing: the mean goes over the known ones") {
  const auto logits = torch::tensor({1.0f, -2.0f, 0.5f, 3.0f}).reshape({4, 1}).requires_grad_();
  const auto truth = torch::tensor({1.0f, -1.0f, 0.0f, -1.0f}).reshape({4, 1});
  const auto ones = torch::ones({2, 1});
  const auto loss = masked_cross_entropy(logits, truth, step_weights(truth, ones));
  const double want = (std::log1p(std::exp(-1.0)) + std::log1p(std::exp(0.5))) / 2;
  CHECK(loss.item<double>() == doctest::Approx(want).epsilon(1e-6));
  loss.backward();
  CHECK(logits.grad()[1].item<double>() == 0);
  CHECK(logits.grad()[3].item<double>() == 0);
  CHECK(logits.grad()[0].item<double>() < 0);
  const auto none = torch::full({4, 1}, -1.0f);
  CHECK(masked_cross_entropy(logits, none, step_weights(none, ones)).item<double>() == 0);
}

TEST_CASE("flat parameters take the steps of LibTorch's own optimisers") {
  const auto begin = [] {
    std::vector<torch::Tensor> p = {torch::arange(24, torch::kFloat32).sin().reshape({2, 3, 2, 2}),
                                    torch::arange(5, torch::kFloat32).cos()};
    p[0] = p[0].contiguous(torch::MemoryFormat::ChannelsLast);
    for (auto& tensor : p) tensor.requires_grad_();
    return p;
  };
  const auto loss = [](const std::vector<torch::Tensor>& p) {
    return (p[0].sin() * 3).sum() + (p[0].sum() * p[1].square()).sum();
  };
  for (const auto method : {Method::adamw, Method::sgd}) {
    CAPTURE(name(method));
    auto ours = begin(), theirs = begin();
    Optimiser optimiser(ours, {method, 0.01, 0.1});
    std::unique_ptr<torch::optim::Optimizer> reference;
    if (method == Method::adamw)
      reference = std::make_unique<torch::optim::AdamW>(
          theirs, torch::optim::AdamWOptions(0.01).weight_decay(0.1));
    else
      reference = std::make_unique<torch::optim::SGD>(
          theirs, torch::optim::SGDOptions(0.01).weight_decay(0.1).momentum(0.9));
    for (int step = 0; step < 10; ++step) {
      optimiser.zero_gradient();
      loss(ours).backward();
      optimiser.step(1);
      reference->zero_grad();
      loss(theirs).backward();
      reference->step();
    }
    CHECK(distance(ours[0].detach(), begin()[0].detach()) > 0.01);
    for (std::size_t i = 0; i < ours.size(); ++i)
      CHECK(distance(ours[i].detach(), theirs[i].detach()) <
            2e-6 * theirs[i].abs().max().item<double>());  // ten roundings of float32
  }
}

TEST_CASE("a schedule's factor multiplies the learning rate, in the weight decay too") {
  for (const auto method : {Method::adamw, Method::sgd}) {
    CAPTURE(name(method));
    std::vector<torch::Tensor> results;
    for (const double factor : {0.25, 1.0}) {
      std::vector<torch::Tensor> p = {torch::arange(24, torch::kFloat32).sin().requires_grad_()};
      Optimiser optimiser(p, {method, 0.01 / factor, 0.1});
      for (int step = 0; step < 3; ++step) {
        optimiser.zero_gradient();
        p[0].square().sum().backward();
        optimiser.step(factor);
      }
      results.push_back(p[0].detach().clone());
    }
    CHECK(distance(results[0], results[1]) == 0);
  }
}

TEST_CASE("a gradient beyond the clipping norm is scaled to it, a smaller one is left alone") {
  const auto stepped = [](float scale, double clip_norm) {
    std::vector<torch::Tensor> p = {torch::zeros({2, 2}), torch::zeros({3})};
    for (auto& tensor : p) tensor.requires_grad_();
    Optimiser optimiser(p, {Method::sgd, 1, 0, clip_norm});  // a step of the gradient itself
    optimiser.zero_gradient();
    (scale * (2 * p[0].sum() + 3 * p[1].sum())).backward();  // of norm scale * sqrt(4 * 4 + 3 * 9)
    optimiser.step(1);
    return -torch::cat({p[0].detach().flatten(), p[1].detach()});
  };
  const auto free = stepped(1, 0);
  CHECK(free.norm().item<double>() == doctest::Approx(std::sqrt(43)));
  CHECK(stepped(1, 7).equal(free));
  CHECK(stepped(0, 7).equal(0 * free));
  const auto clipped = stepped(50, 2);
  CHECK(clipped.norm().item<double>() == doctest::Approx(2));
  CHECK(distance(clipped, free * (2 / std::sqrt(43))) < 1e-6);
}

TEST_CASE("flattening keeps values and layout, and a copy from the flat tensor gives them back") {
  std::vector<torch::Tensor> tensors = {torch::arange(12, torch::kFloat32)
                                            .reshape({1, 3, 2, 2})
                                            .contiguous(torch::MemoryFormat::ChannelsLast),
                                        torch::arange(7, torch::kFloat32)};
  const std::vector<torch::Tensor> before = {tensors[0].clone(), tensors[1].clone()};
  const auto flat = flatten_in_place(tensors);
  CHECK(tensors[0].equal(before[0]));
  CHECK(tensors[0].strides() == before[0].strides());
  CHECK(flat.numel() == 32);  // each begins at a multiple of 16
  flat.add_(1);
  CHECK(tensors[1].equal(before[1] + 1));
  std::vector<torch::Tensor> copies = {torch::zeros_like(before[0]), torch::zeros({7})};
  copy_from_flat(flat, copies);
  CHECK(copies[0].equal(before[0] + 1));
  CHECK(copies[1].equal(before[1] + 1));
}

TEST_CASE("every sum of labels is drawn equally often, and within it every sample") {
  std::vector<std::vector<int>> labels(60, {0, 0});
  for (int i = 0; i < 10; ++i)
    labels[static_cast<std::size_t>(i)] = {1, mr::dataset::unknown_label};
  labels[10] = labels[11] = {1, 1};
  const Sampler sampler(Sampling::balanced, samples_of(labels), 7);
  const std::size_t draws = 30000;
  std::vector<int> count(60);
  for (const auto i : sampler.order(1, draws)) ++count[i];
  const auto near = [](double got, double want) {
    return std::abs(got - want) < 5 * std::sqrt(want);
  };
  for (std::size_t i = 0; i < 60; ++i) {
    CAPTURE(i);
    const double members = i < 10 ? 10 : i < 12 ? 2 : 48;
    CHECK(near(count[i], static_cast<double>(draws) / 3 / members));
  }
}

TEST_CASE("the draws are a function of seed and epoch") {
  const auto samples = samples_of({{0}, {1}, {0}, {1}, {0}});
  for (const auto sampling : {Sampling::balanced, Sampling::natural}) {
    CAPTURE(name(sampling));
    const auto draws = [&](std::uint64_t seed, std::int64_t epoch) {
      return Sampler(sampling, samples, seed).order(epoch, 50);
    };
    CHECK(draws(1, 3) == draws(1, 3));
    CHECK(draws(1, 3) != draws(1, 4));
    CHECK(draws(1, 3) != draws(2, 3));
  }
}

TEST_CASE("natural draws are whole permutations, each another, and a part of one at the end") {
  const Sampler sampler(Sampling::natural,
                        samples_of({{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {1}}), 7);
  const auto order = sampler.order(2, 22);
  REQUIRE(order.size() == 22);
  std::vector<std::vector<std::size_t>> rounds;
  for (const auto begin : {0, 9, 18})
    rounds.emplace_back(order.begin() + begin, order.begin() + std::min(begin + 9, 22));
  CHECK(rounds[0] != rounds[1]);
  for (const auto& round : rounds)
    CHECK(std::set<std::size_t>(round.begin(), round.end()).size() == round.size());
}

TEST_CASE("inverse class weights give both classes of a label the same sum of weights") {
  std::vector<std::vector<int>> labels(10, {0, mr::dataset::unknown_label});
  labels[0] = labels[1] = {1, 1};
  labels[2] = {0, 0};
  const auto weights = label_weights(samples_of(labels), ClassWeights::inverse);
  CHECK(weights[0].positive == doctest::Approx(10.0 / (2 * 2)));
  CHECK(weights[0].negative == doctest::Approx(10.0 / (2 * 8)));
  CHECK(weights[1].positive == doctest::Approx(3.0 / (2 * 2)));
  CHECK(weights[1].negative == doctest::Approx(3.0 / (2 * 1)));
  const auto plain = label_weights(samples_of(labels), ClassWeights::none);
  CHECK(plain[0].positive == 1);
  CHECK(plain[1].negative == 1);
}

TEST_CASE("class weights multiply each sample's cross-entropy; the mean stays over known samples") {
  const auto logits = torch::tensor({1.0f, -2.0f, 0.5f, 3.0f}).reshape({4, 1});
  const auto truth = torch::tensor({1.0f, -1.0f, 0.0f, 0.0f}).reshape({4, 1});
  const auto weights = step_weights(truth, torch::tensor({0.75f, 1.5f}).reshape({2, 1}));
  const auto softplus = [](double x) { return std::log1p(std::exp(x)); };
  const double want = (1.5 * softplus(-1) + 0.75 * (softplus(0.5) + softplus(3))) / 3;
  CHECK(masked_cross_entropy(logits, truth, weights).item<double>() ==
        doctest::Approx(want).epsilon(1e-6));
}

TEST_CASE("products are bfloat16 while autocast lives, and norms give float32 or bfloat16") {
  const auto images = torch::arange(2 * 4 * 3 * 3, torch::kFloat32).sin().reshape({2, 4, 3, 3});
  const auto weight = torch::arange(16, torch::kFloat32).cos().reshape({4, 4, 1, 1});
  const auto ones = torch::ones({4}), zeros = torch::zeros({4});
  const auto normed = [&](const torch::Tensor& x) { return torch::group_norm(x, 2, ones, zeros); };
  const auto want = normed(torch::conv2d(images, weight));
  {
    const Autocast autocast(Precision::bf16, c10::kCPU);
    const auto product = torch::conv2d(images, weight);
    CHECK((product.scalar_type() == torch::kBFloat16));
    CHECK(distance(normed(product).to(torch::kFloat32), want) < 0.02);  // 8 bits of mantissa
  }
  CHECK((torch::conv2d(images, weight).scalar_type() == torch::kFloat32));
  {
    const Autocast none(Precision::float32, c10::kCPU);
    CHECK((torch::conv2d(images, weight).scalar_type() == torch::kFloat32));
  }
  CHECK_THROWS_AS(check_precision(Precision::fp16, c10::kCPU), mr::UsageError);
}

TEST_CASE(
    "the scale of the loss halves on an overflow, which leaves the step out, and grows again") {
  const auto huge = torch::full({2}, INFINITY);
  LossScale scale(Precision::fp16);
  CHECK(scale.value == 65536);
  const auto gradient = torch::full({2}, 3 * 65536.0f);
  CHECK(scale.unscale(gradient));
  CHECK(gradient.equal(torch::full({2}, 3.0f)));
  CHECK(!scale.unscale(huge));
  CHECK(!scale.unscale(torch::tensor({INFINITY, -INFINITY})));
  CHECK(scale.value == 16384);
  for (int step = 0; step < 1999; ++step) CHECK(scale.unscale(torch::ones({2})));
  CHECK(scale.value == 16384);
  CHECK(scale.unscale(gradient.fill_(16384)));  // with the scale that the loss had
  CHECK(gradient.equal(torch::ones({2})));
  CHECK(scale.value == 32768);
  for (int step = 0; step < 15; ++step) scale.unscale(huge);
  CHECK(!scale.exhausted());
  scale.unscale(huge);
  CHECK(scale.exhausted());
  LossScale none(Precision::bf16);
  CHECK(none.unscale(huge));  // a loss that is not finite ends the run
  CHECK(none.value == 1);
}

TEST_CASE("schedules: warm-up, cosine, steps and plateaus") {
  const auto at = [](std::int64_t step, std::vector<double> aurocs = {}) {
    return Progression{step, 4, 10, std::move(aurocs)};  // 4 steps per epoch, 10 epochs
  };
  ScheduleOptions o;
  CHECK(rate_factor(o, at(0)) == 1);
  CHECK(rate_factor(o, at(39)) == 1);
  o.warmup_epochs = 1.25;  // 5 steps
  for (int step = 0; step < 5; ++step) CHECK(rate_factor(o, at(step)) == (step + 1) / 5.0);
  CHECK(rate_factor(o, at(5)) == 1);

  o.kind = Schedule::cosine;
  CHECK(rate_factor(o, at(3)) == 0.8);
  CHECK(rate_factor(o, at(5)) == 1);
  o.warmup_epochs = 0;
  CHECK(rate_factor(o, at(0)) == 1);
  CHECK(rate_factor(o, at(10)) == doctest::Approx((1 + std::sqrt(0.5)) / 2));
  CHECK(rate_factor(o, at(20)) == doctest::Approx(0.5));
  CHECK(rate_factor(o, at(40)) == doctest::Approx(0));
  for (int step = 0; step < 39; ++step)
    CHECK(rate_factor(o, at(step)) > rate_factor(o, at(step + 1)));

  o.kind = Schedule::step;
  o.step_epochs = 3;
  o.factor = 0.5;
  CHECK(rate_factor(o, at(11)) == 1);
  CHECK(rate_factor(o, at(12)) == 0.5);
  CHECK(rate_factor(o, at(24)) == 0.25);

  o.kind = Schedule::plateau;
  o.plateau_patience = 2;
  CHECK(rate_factor(o, at(8, {0.5, 0.6})) == 1);
  CHECK(rate_factor(o, at(12, {0.5, 0.6, 0.6})) == 1);  // as good is not better
  CHECK(rate_factor(o, at(16, {0.5, 0.6, 0.6, 0.55})) == 0.5);
  CHECK(rate_factor(o, at(20, {0.5, 0.6, 0.6, 0.55, 0.6})) == 0.5);  // counted anew
  CHECK(rate_factor(o, at(24, {0.5, 0.6, 0.6, 0.55, 0.6, 0.6})) == 0.25);
  CHECK(rate_factor(o, at(24, {0.5, 0.6, 0.6, 0.55, 0.6, 0.7})) == 0.5);
}

TEST_CASE("the processes of a run are those that torchrun or srun tell of") {
  {
    const Environment torchrun({{"RANK", "3"},
                                {"WORLD_SIZE", "4"},
                                {"LOCAL_RANK", "1"},
                                {"LOCAL_WORLD_SIZE", "2"},
                                {"MASTER_ADDR", "knee01"},
                                {"MASTER_PORT", "29500"},
                                {"SLURM_PROCID", "0"}});
    const auto world = world_of_environment();
    CHECK(world.rank == 3);
    CHECK(world.size == 4);
    CHECK(world.local_rank == 1);
    CHECK(world.local_size == 2);
    CHECK(world.address == "knee01");
    CHECK(world.port == 29500);
  }
  {
    const Environment slurm({{"SLURM_PROCID", "5"},
                             {"SLURM_NTASKS", "8"},
                             {"SLURM_LOCALID", "1"},
                             {"SLURM_JOB_NODELIST", "knee[07-09,12],brain"},
                             {"MASTER_PORT", "29500"}});
    const auto world = world_of_environment();
    CHECK(world.rank == 5);
    CHECK(world.size == 8);
    CHECK(world.local_rank == 1);
    CHECK(world.address == "knee07");
  }
  {
    const Environment wrong({{"RANK", "4"}, {"WORLD_SIZE", "4"}});
    CHECK_THROWS_WITH_AS(world_of_environment(),
                         "--parallel: RANK: want a number from 0 to 3, got '4'", mr::UsageError);
  }
  const Environment none({});
  CHECK_THROWS_WITH_AS(
      world_of_environment(),
      "--parallel: WORLD_SIZE is not set; start the processes with torchrun or srun",
      mr::UsageError);
}

TEST_CASE("the first host of a Slurm list") {
  CHECK(first_host("knee") == "knee");
  CHECK(first_host("knee1,knee2") == "knee1");
  CHECK(first_host("knee[3,5-9]") == "knee3");
  CHECK(first_host("rack[1-2]node[08,09]-ib,brain[1-4]") == "rack1node08-ib");
}

TEST_CASE("alone, a process is the first and has the whole of everything") {
  const Parallel alone;
  CHECK(alone.first());
  CHECK(alone.size() == 1);
  CHECK(alone.share(7) == std::pair<std::int64_t, std::int64_t>(0, 7));
  const auto values = torch::arange(3);
  alone.sum(values);
  CHECK(values.equal(torch::arange(3)));
  CHECK(alone.any(true));
  CHECK(!alone.any(false));
  CHECK(alone.from_first("bytes") == "bytes");
}

TEST_CASE("validation: the loss skips unknown labels, a label of one class has no AUROC") {
  const auto samples = samples_of({{1, 0}, {0, 0}, {mr::dataset::unknown_label, 0}, {1, 0}});
  const std::vector<float> scores = {2, -1, 1, -1, 9, -1, 0.5, -1};  // [N, L]
  const auto v = judge(samples, scores, {});
  const auto softplus = [](double x) { return std::log1p(std::exp(x)); };
  CHECK(v.line["val_loss"].get<double>() ==
        doctest::Approx((softplus(-2) + softplus(1) + softplus(-0.5)) / 3 + softplus(-1)));
  CHECK(v.line["val_auroc"]["label0"] == 0.5);  // 2 above 1, 0.5 below it
  CHECK(v.line["val_auroc"]["label1"].is_null());
  CHECK(v.auroc_mean == 0.5);
  const auto& point = v.operating_points[0];  // both positives must be called: threshold 0.5
  CHECK(point["threshold"] == 0.5);
  CHECK(point["sensitivity"] == 1);
  CHECK(point["specificity"] == 0);
  CHECK(v.operating_points[1]["threshold"].is_null());
  CHECK(v.operating_points[1]["reason"].get<std::string>() != "");
}

TEST_CASE("what cannot be learnt is refused by name") {
  const auto good = samples_of({{0}, {1}});
  CHECK_NOTHROW(check_labels("m.json", good, good, quiet));
  CHECK_THROWS_WITH_AS(
      check_labels("m.json", samples_of({{1}, {mr::dataset::unknown_label}}), good, quiet),
      "m.json: label 'label0': want known 0 and 1 in split 'train', got one of them or none",
      mr::DataError);
  CHECK_THROWS_WITH_AS(check_labels("m.json", good, samples_of({{0}, {0}}), quiet),
                       "m.json: want a label with known 0 and 1 in split 'val', got none",
                       mr::DataError);
  mr::dataset::SampleSet graded({{"grade", {"0", "1", "2"}}});
  CHECK_THROWS_WITH_AS(check_labels("m.json", graded, graded, quiet),
                       "m.json: label 'grade': want 2 values, got 3", mr::DataError);
}

TEST_CASE("a checkpoint keeps state and tensors; a part of one is refused") {
  const auto path = (std::filesystem::temp_directory_path() /
                     ("mr-train-test-" + std::to_string(::getpid()) + ".checkpoint"))
                        .string();
  const double third = 1.0 / 3;
  const auto values = torch::arange(37, torch::kFloat32).sqrt();
  write_checkpoint(path, {{{"loss_sum", third}}, {{"a", values}, {"b", torch::empty({0})}}});
  const auto read = decode_checkpoint(mr::read_all(path), path);
  CHECK(read.state["loss_sum"].get<double>() == third);
  REQUIRE(read.tensors.size() == 2);
  CHECK(read.tensors[0].first == "a");
  CHECK(read.tensors[0].second.equal(values));
  CHECK(read.tensors[1].second.numel() == 0);
  auto bytes = mr::read_all(path);
  bytes.pop_back();
  CHECK_THROWS_AS(decode_checkpoint(bytes, path), mr::DataError);
  CHECK_THROWS_AS(decode_checkpoint("no checkpoint", path), mr::DataError);
  std::filesystem::remove(path);
}
