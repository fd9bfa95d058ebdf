#include "nn/layers.h"

#include <torch/script.h>

#include <cmath>

namespace mr::nn {
namespace {

using torch::jit::Module;

// ---- convolutions ----

std::string convolution(const std::string& weight, const std::string& bias, int dimensions) {
  const auto d = std::to_string(dimensions);
  return "    return torch.conv" + d + "d(x, " + weight + ", " + bias +
         ", self.stride, self.padding)\n";
}

const char* const standardised_source = R"(
def forward(self, x):
    w = torch.flatten(self.weight, 1)
    variance, mean = torch.var_mean(w, [1], False, True)
    w = ((w - mean) * torch.rsqrt(variance + 1e-6)).view_as(self.weight)
)";

// The largest of K var and 1e-4, as in the authors' program.
const char* const scaled_standardised_source = R"(
def forward(self, x):
    w = torch.flatten(self.weight, 1)
    variance, mean = torch.var_mean(w, [1], False, True)
    scale = self.gain * torch.rsqrt(torch.clamp_min(variance * w.size(1), 1e-4))
    w = ((w - mean) * scale).view_as(self.weight)
)";

// ---- norms. relu_ overwrites an output that no backward pass reads. ----

// Adds the batch's count, mean and biased variance of each channel to a list.
const char* const recorder = R"(
def record(self, x):
    variance, mean = torch.var_mean(x, self.all_dims, False)
    count = float(x.numel() // x.size(1))
    self.recorded.append(torch.stack([torch.full_like(mean, count), mean, variance]))
)";

// In evaluation: prior < 0 running statistics; 0 those of the batch; N > 0 the mix of both in which
// the running ones count as N images (Schneider et al. 2020, eq. 2).
const char* const evaluated_batch_norm = R"(
def evaluated(self, x, weight: Tensor, bias: Tensor):
    if self.recording:
        self.record(x)
    if self.prior > 0.0:
        variance, mean = torch.var_mean(x, self.all_dims, False)
        total = self.prior + float(x.size(0))
        mean = (self.prior * self.running_mean + float(x.size(0)) * mean) / total
        variance = (self.prior * self.running_var + float(x.size(0)) * variance) / total
        return torch.batch_norm(x, weight, bias, mean, variance, False, 0.0, self.eps, True)
    if self.prior == 0.0:
        return torch.batch_norm(x, weight, bias, None, None, True, 0.0, self.eps, True)
    return torch.batch_norm(x, weight, bias, self.running_mean, self.running_var, False, 0.0,
                            self.eps, True)
)";

const char* const batch_norm_source = R"(
def forward(self, x):
    if self.training and not self.frozen:
        y = torch.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, True,
                             self.momentum, self.eps, True)
    else:
        y = self.evaluated(x, self.weight, self.bias)
    return torch.relu_(y) if self.relu else y
)";

// r and d fold into the affine map: w (r z + d) + b = (w r) z + (w d + b).
const char* const batch_renorm_source = R"(
def forward(self, x):
    if self.training and not self.frozen:
        count = float(x.numel() // x.size(1))
        variance, mean = torch.var_mean(x.detach(), self.all_dims, False)
        part = 1.0
        if self.steps > 0.0:
            part = min(1.0, float(self.seen) / self.steps)
        r_max = 1.0 + (self.r_max - 1.0) * part
        d_max = self.d_max * part
        running = torch.sqrt(self.running_var + self.eps)
        r = torch.clamp(torch.sqrt(variance + self.eps) / running, 1.0 / r_max, r_max)
        d = torch.clamp((mean - self.running_mean) / running, -d_max, d_max)
        self.running_mean.add_((mean - self.running_mean) * self.momentum)
        self.running_var.add_((variance * (count / (count - 1.0)) - self.running_var) *
                              self.momentum)
        self.seen.add_(1.0)
        y = torch.batch_norm(x, self.weight * r, self.weight * d + self.bias, None, None, True, 0.0,
                             self.eps, True)
    else:
        y = self.evaluated(x, self.weight, self.bias)
    return torch.relu_(y) if self.relu else y
)";

const char* const group_norm_source = R"(
def forward(self, x):
    if self.recording:
        self.record(x)
    y = torch.group_norm(x, self.groups, self.weight, self.bias, self.eps, True)
    return torch.relu_(y) if self.relu else y
)";

// layer_norm over the last axis is the channels' when they are put there.
const char* const channel_norm_source = R"(
def forward(self, x):
    if self.recording:
        self.record(x)
    y = torch.layer_norm(torch.movedim(x, 1, -1), [x.size(1)], self.weight, self.bias, self.eps, True)
    y = torch.movedim(y, -1, 1)
    return torch.relu_(y) if self.relu else y
)";

const char* const instance_norm_source = R"(
def forward(self, x):
    if self.recording:
        self.record(x)
    y = torch.instance_norm(x, self.weight, self.bias, None, None, True, 0.0, self.eps, True)
    return torch.relu_(y) if self.relu else y
)";

const char* const ibn_source = R"(
def forward(self, x):
    half = x.size(1) // 2
    y = torch.cat([self.IN.forward(x[:, :half]), self.BN.forward(x[:, half:])], 1)
    return torch.relu_(y) if self.relu else y
)";

const char* const filter_response_norm_source = R"(
def normalised(self, x):
    if self.recording:
        self.record(x)
    scale = torch.rsqrt(torch.mean(x * x, self.dims, True) + self.eps) * self.weight.view(self.shape)
    return x * scale + self.bias.view(self.shape)
)";

const char* const linear_source = R"(
def forward(self, x):
    return self.normalised(x)
)";

const char* const thresholded_source = R"(
def forward(self, x):
    return torch.max(self.normalised(x), self.threshold.view(self.shape))
)";

const char* const evonorm_s0_source = R"(
def forward(self, x):
    if self.recording:
        self.record(x)
    grouped = x.reshape([x.size(0), self.groups, -1])
    variance = torch.var(grouped, [2], False, True)
    y = (x * torch.sigmoid(self.v.view(self.shape) * x)).reshape_as(grouped)
    y = (y * torch.rsqrt(variance + self.eps)).reshape_as(x)
    return y * self.weight.view(self.shape) + self.bias.view(self.shape)
)";

// sqrt(2 / (1 - 1/pi)): the standard deviation of a ReLU of a normal deviate becomes 1.
const char* const scaled_relu_source = R"(
def forward(self, x):
    return torch.relu(x * self.scale) * 1.7128585504496627
)";

const char* const fixup_relu_source = R"(
def forward(self, x):
    return torch.relu(x + self.bias1) + self.bias2
)";

// ---- the end of a block ----

// add_ overwrites y, which no backward pass reads.
const char* const add_source = R"(
def forward(self, y, x):
    return y.add_(x)
)";

const char* const scaled_add_source = R"(
def forward(self, y, x):
    return x + y * self.alpha
)";

const char* const fixup_add_source = R"(
def forward(self, y, x):
    return x + (y * self.scale + self.bias)
)";

// `partner` is the permutation of CrossNorm in this step, empty where it rests. Standard deviations
// are unbiased, their guards 1e-5 and 1e-12, as in the authors' program.
const char* const cross_norm_self_norm_source = R"(
def forward(self, y, x):
    x = y.add_(x)
    if self.training and len(self.partner) > 0:
        variance, mean = torch.var_mean(x, self.dims, True, True)
        deviation = torch.sqrt(variance + 1e-5)
        partner = torch.tensor(self.partner, device=x.device)
        x = (x - mean) / deviation * deviation[partner] + mean[partner]
    variance, mean = torch.var_mean(x, self.dims, True, True)
    z = mean * self.g_mean.view(self.shape)
    z = z + torch.sqrt(variance + 1e-12) * self.g_deviation.view(self.shape)
    return x * torch.sigmoid(self.g_bn.forward(z))
)";

// ---- heads ----

// Rows 2l and 2l + 1 of the weight are the two logits of label l.
const char* const heads_source = R"(
def forward(self, x):
    z = torch.linear(torch.flatten(x, 1), self.weight, self.bias)
    z = z.reshape([x.size(0), self.labels, 2])
    return z.select(2, 1) - z.select(2, 0)
)";

// Slices of padding are 0 throughout: they get no weight, and no norm sees them. Of an image of
// nothing the first slice is taken.
const char* const attention_source = R"(
def forward(self, x):
    images, depth = x.size(0), x.size(2)
    slices = torch.flatten(torch.transpose(x, 1, 2), 0, 1)
    seen = torch.flatten(slices, 1).ne(0).any(1).view([images, depth])
    first = torch.arange(depth, device=x.device).eq(0)
    seen = torch.logical_or(seen, torch.logical_and(first, seen.any(1, True).logical_not()))
    index = torch.nonzero(torch.flatten(seen)).squeeze(1)
    h = torch.flatten(self.features.forward(slices.index_select(0, index)), 1)
    gate = torch.sigmoid(torch.linear(h, self.gate_weight, self.gate_bias))
    a = torch.linear(torch.tanh(torch.linear(h, self.value_weight, self.value_bias)) * gate,
                     self.score_weight).squeeze(1)
    scores = torch.full_like(torch.flatten(seen), -1e30, dtype=a.dtype).index_copy(0, index, a)
    weights = torch.flatten(torch.softmax(scores.view([images, depth]), 1)).index_select(0, index)
    pooled = torch.zeros([images, h.size(1)], dtype=h.dtype, device=h.device)
    image = torch.div(index, depth, rounding_mode="floor")
    return self.HEADS.forward(pooled.index_add(0, image, h * weights.unsqueeze(1)))
)";

template <typename Value>
void set(Module& m, const std::string& attribute, const Value& value) {
  const c10::IValue wrapped(value);
  m.register_attribute(attribute, wrapped.type(), wrapped);
}

void set_list(Module& m, const std::string& attribute, const std::vector<std::int64_t>& values) {
  m.register_attribute(attribute, c10::ListType::ofInts(), c10::List<std::int64_t>(values));
}

void parameter(Module& m, const std::string& name, torch::Tensor value) {
  m.register_parameter(name, value.requires_grad_(), false);
}

void affine(Module& m, int channels) {
  parameter(m, "weight", torch::ones({channels}));
  parameter(m, "bias", torch::zeros({channels}));
}

}  // namespace

LayerBuilder::LayerBuilder(const Normalization& normalization, int dimensions, std::uint64_t seed)
    : normalization_(normalization),
      dimensions_(dimensions),
      seed_(seed),
      unit_(std::make_shared<torch::jit::CompilationUnit>()) {}

RandomKey LayerBuilder::key(const std::string& name) const {
  return random_key(seed_, {"weights", name});
}

std::vector<std::int64_t> LayerBuilder::per_channel(int channels) const {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(dimensions_) + 2, 1);
  shape[1] = channels;
  return shape;
}

std::vector<std::int64_t> LayerBuilder::axes(std::int64_t first) const {
  std::vector<std::int64_t> list = {2, 3, 4};
  list.resize(static_cast<std::size_t>(dimensions_));
  if (first == 0) list.insert(list.begin(), 0);
  return list;
}

Module LayerBuilder::conv(const std::string& name, int in, int out, int kernel, int stride,
                          double gain) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(dimensions_) + 2, kernel);
  shape[0] = out;
  shape[1] = in;
  auto weight = torch::empty(shape);
  const auto n = static_cast<std::size_t>(weight.numel());
  fill_normal(key(name + ".weight"), 0, weight.data_ptr<float>(), n);
  weight.mul_(gain * std::sqrt(2.0 / (out * std::pow(kernel, dimensions_))));
  const bool scaled = normalization_.scheme == "nf";
  const bool standardised = normalization_.scheme == "ws+group";
  const std::string class_name = std::string(scaled         ? "ScaledStandardised"
                                             : standardised ? "Standardised"
                                                            : "") +
                                 "Conv" + std::to_string(dimensions_) + "d";
  const std::string source =
      scaled         ? scaled_standardised_source + convolution("w", "self.bias", dimensions_)
      : standardised ? standardised_source + convolution("w", "None", dimensions_)
                     : "def forward(self, x):\n" + convolution("self.weight", "None", dimensions_);
  return make(class_name, source, [&](Module& m) {
    parameter(m, "weight", weight);
    if (scaled) {
      parameter(m, "gain", torch::ones({out, 1}));
      parameter(m, "bias", torch::zeros({out}));
    }
    const auto n_axes = static_cast<std::size_t>(dimensions_);
    set_list(m, "stride", std::vector<std::int64_t>(n_axes, stride));
    set_list(m, "padding", std::vector<std::int64_t>(n_axes, kernel / 2));
  });
}

void LayerBuilder::recording(Module& m) const {
  set_list(m, "all_dims", axes(0));
  set(m, "recording", false);
  m.register_attribute("recorded", c10::ListType::ofTensors(), c10::List<torch::Tensor>());
}

Module LayerBuilder::batch_norm(int channels, Activation activation) {
  const bool renorm = normalization_.scheme == "batch-renorm";
  return make(renorm ? "BatchRenorm" : "BatchNorm",
              std::string(recorder) + evaluated_batch_norm +
                  (renorm ? batch_renorm_source : batch_norm_source),
              [&](Module& m) {
                affine(m, channels);
                m.register_buffer("running_mean", torch::zeros({channels}));
                m.register_buffer("running_var", torch::ones({channels}));
                set(m, "eps", normalization_.value("eps"));
                set(m, "momentum", normalization_.value("momentum"));
                set(m, "relu", activation == Activation::relu);
                recording(m);
                set(m, "frozen", false);
                set(m, "prior", -1.0);
                if (!renorm) return;
                m.register_buffer("seen", torch::zeros({1}));
                for (const auto* bound : {"r_max", "d_max", "steps"})
                  set(m, bound, normalization_.value(bound));
              });
}

Module LayerBuilder::instance_norm(int channels, Activation activation) {
  return make("InstanceNorm", std::string(recorder) + instance_norm_source, [&](Module& m) {
    affine(m, channels);
    recording(m);
    set(m, "eps", normalization_.value("eps"));
    set(m, "relu", activation == Activation::relu);
  });
}

Module LayerBuilder::norm(int channels, Activation activation, double scale) {
  const auto& scheme = normalization_.scheme;
  const auto grouped = [&](Module& m) {
    const bool all = scheme == "layer_chw";
    set(m, "groups",
        all ? std::int64_t{1} : static_cast<std::int64_t>(normalization_.value("groups")));
  };
  const auto common = [&](Module& m) {
    affine(m, channels);
    recording(m);
    set(m, "eps", normalization_.value("eps"));
    set(m, "relu", activation == Activation::relu);
  };
  if (scheme == "group" || scheme == "ws+group" || scheme == "layer_chw")
    return make("GroupNorm", std::string(recorder) + group_norm_source, [&](Module& m) {
      common(m);
      grouped(m);
    });
  if (scheme == "layer_c")
    return make("ChannelNorm", std::string(recorder) + channel_norm_source, common);
  if (scheme == "instance") return instance_norm(channels, activation);
  if (scheme == "frn") {
    const bool thresholded = activation == Activation::relu;
    return make(thresholded ? "ThresholdedFilterResponseNorm" : "FilterResponseNorm",
                std::string(recorder) + filter_response_norm_source +
                    (thresholded ? thresholded_source : linear_source),
                [&](Module& m) {
                  common(m);
                  if (thresholded) parameter(m, "threshold", torch::zeros({channels}));
                  set_list(m, "dims", axes(2));
                  set_list(m, "shape", per_channel(channels));
                });
  }
  if (scheme == "evonorm-s0")
    return make("EvoNormS0", std::string(recorder) + evonorm_s0_source, [&](Module& m) {
      common(m);
      grouped(m);
      parameter(m, "v", torch::ones({channels}));
      set_list(m, "shape", per_channel(channels));
    });
  if (scheme == "nf")
    return make("ScaledReLU", scaled_relu_source, [&](Module& m) { set(m, "scale", scale); });
  if (scheme == "fixup")
    return make("FixupReLU", fixup_relu_source, [&](Module& m) {
      parameter(m, "bias1", torch::zeros({1}));
      parameter(m, "bias2", torch::zeros({1}));
    });
  return batch_norm(channels, activation);
}

Module LayerBuilder::first_norm(int channels, Activation activation, bool last_stage) {
  if (normalization_.scheme != "ibn" || last_stage) return norm(channels, activation);
  return make("InstanceBatchNorm", ibn_source, [&](Module& m) {
    m.register_module("IN", instance_norm(channels / 2, Activation::none));
    m.register_module("BN", batch_norm(channels - channels / 2, Activation::none));
    set(m, "relu", activation == Activation::relu);
  });
}

Module LayerBuilder::join(const std::string& name, int channels) {
  const auto& scheme = normalization_.scheme;
  if (scheme == "nf")
    return make("ScaledAdd", scaled_add_source,
                [&](Module& m) { set(m, "alpha", normalization_.value("alpha")); });
  if (scheme == "fixup")
    return make("FixupAdd", fixup_add_source, [&](Module& m) {
      parameter(m, "scale", torch::ones({1}));
      parameter(m, "bias", torch::zeros({1}));
    });
  if (scheme == "cnsn")
    return make("CrossNormSelfNorm", cross_norm_self_norm_source, [&](Module& m) {
      // Uniform in +-1/sqrt(2), the fan-in of the gate.
      for (const auto* weight : {"g_mean", "g_deviation"})
        parameter(m, weight, uniform_tensor(name + "." + weight, {channels}, std::sqrt(0.5)));
      m.register_module("g_bn", batch_norm(channels, Activation::none));
      set_list(m, "partner", {});
      set_list(m, "dims", axes(2));
      set_list(m, "shape", per_channel(channels));
    });
  return make("Add", add_source, [](Module&) {});
}

at::Tensor LayerBuilder::uniform_tensor(const std::string& name,
                                        const std::vector<std::int64_t>& shape,
                                        double bound) const {
  auto tensor = torch::empty(shape);
  auto* values = tensor.data_ptr<float>();
  const auto stream = key(name);
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    values[i] = static_cast<float>(uniform(stream, static_cast<std::uint64_t>(i), -bound, bound));
  return tensor;
}

Module LayerBuilder::max_pool() {
  const auto n_axes = static_cast<std::size_t>(dimensions_);
  return make("MaxPool",
              "def forward(self, x):\n    return torch.max_pool" + std::to_string(dimensions_) +
                  "d(x, self.kernel, self.stride, self.padding)\n",
              [&](Module& m) {
                set_list(m, "kernel", std::vector<std::int64_t>(n_axes, 3));
                set_list(m, "stride", std::vector<std::int64_t>(n_axes, 2));
                set_list(m, "padding", std::vector<std::int64_t>(n_axes, 1));
              });
}

Module LayerBuilder::average_pool() {
  return make("AveragePool",
              "def forward(self, x):\n    return torch.avg_pool" + std::to_string(dimensions_) +
                  "d(x, self.kernel)\n",
              [&](Module& m) {
                set_list(m, "kernel",
                         std::vector<std::int64_t>(static_cast<std::size_t>(dimensions_), 2));
              });
}

Module LayerBuilder::adaptive_pool(int side) {
  return make("AdaptivePool",
              "def forward(self, x):\n    return torch.adaptive_avg_pool" +
                  std::to_string(dimensions_) + "d(x, self.side)\n",
              [&](Module& m) {
                set_list(m, "side",
                         std::vector<std::int64_t>(static_cast<std::size_t>(dimensions_), side));
              });
}

Module LayerBuilder::heads(const std::string& name, int features, int labels) {
  const double bound = normalization_.scheme == "fixup" ? 0 : 1 / std::sqrt(features);
  return make("Heads", heads_source, [&](Module& m) {
    parameter(m, "weight", uniform_tensor(name + ".weight", {2 * labels, features}, bound));
    parameter(m, "bias", uniform_tensor(name + ".bias", {2 * labels}, bound));
    set(m, "labels", static_cast<std::int64_t>(labels));
  });
}

Module LayerBuilder::attention(const Module& features, const std::string& heads_name, int channels,
                               int labels) {
  constexpr std::int64_t hidden = 128;
  std::string source = attention_source;
  source.replace(source.find("HEADS"), 5, heads_name);
  return make("SliceAttention", source, [&](Module& m) {
    const auto weight = [&](const std::string& name, const std::vector<std::int64_t>& shape,
                            std::int64_t fan_in) {
      parameter(m, name, uniform_tensor("attention." + name, shape, 1 / std::sqrt(fan_in)));
    };
    m.register_module("features", features);
    for (const std::string part : {"value", "gate"}) {
      weight(part + "_weight", {hidden, channels}, channels);
      weight(part + "_bias", {hidden}, channels);
    }
    weight("score_weight", {1, hidden}, hidden);
    m.register_module(heads_name, heads(heads_name, channels, labels));
  });
}

Module LayerBuilder::sequence(const Parts& parts, const std::string& class_name) {
  const auto own = class_name.empty() ? "Sequence" + std::to_string(++sequences_) : class_name;
  std::string source = "def forward(self, x):\n";
  for (const auto& part : parts)
    source += "    x = getattr(self, \"" + part.first + "\").forward(x)\n";
  return make(own, source + "    return x\n", [&](Module& m) {
    for (const auto& part : parts) m.register_module(part.first, part.second);
  });
}

Module LayerBuilder::make(const std::string& class_name, const std::string& source,
                          const std::function<void(Module&)>& fill) {
  const auto known = classes_.find(class_name);
  auto module = known == classes_.end() ? Module("__torch__." + class_name, unit_)
                                        : Module(unit_, known->second);
  set(module, "training", true);
  fill(module);
  if (known == classes_.end()) {
    module.define(source);
    classes_[class_name] = module.type();
  }
  return module;
}

}  // namespace mr::nn
