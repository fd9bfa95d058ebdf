// The networks and norms, as TorchScript. A class is defined once per network; its instances
// differ in their attributes alone.
#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "nn/model.h"

namespace mr::nn {
namespace {

constexpr int pool_side = 10;

const char* const conv_source = R"(
def forward(self, x):
    return torch.conv2d(x, self.weight, None, [self.stride, self.stride],
                        [self.padding, self.padding])
)";

const char* const batch_norm_source = R"(
def forward(self, x):
    if self.use_batch_statistics and not self.training:
        return torch.batch_norm(x, self.weight, self.bias, None, None, True, 0.0, self.eps, True)
    return torch.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var,
                            self.training, self.momentum, self.eps, True)
)";

const char* const group_norm_source = R"(
def forward(self, x):
    return torch.group_norm(x, self.groups, self.weight, self.bias, self.eps, True)
)";

// relu_ and add_ overwrite their input, which no backward pass reads.
const char* const identity_block_source = R"(
def forward(self, x):
    y = self.conv1.forward(torch.relu_(self.norm1.forward(x)))
    y = self.conv2.forward(torch.relu_(self.norm2.forward(y)))
    return y.add_(x)
)";

const char* const projection_block_source = R"(
def forward(self, x):
    x = torch.relu_(self.norm1.forward(x))
    y = self.conv1.forward(x)
    y = self.conv2.forward(torch.relu_(self.norm2.forward(y)))
    return y.add_(self.shortcut.forward(x))
)";

// Rows 2l and 2l + 1 of the weight are the two logits of label l.
const char* const heads_source = R"(
def forward(self, x):
    z = torch.linear(torch.flatten(x, 1), self.weight, self.bias)
    z = z.reshape([x.size(0), self.labels, 2])
    return z.select(2, 1) - z.select(2, 0)
)";

class Builder {
 public:
  Builder(const Normalization& normalization, std::uint64_t seed)
      : normalization_(normalization), seed_(seed) {}

  torch::jit::Module conv(const std::string& name, int in, int out, int kernel, int stride) {
    auto weight = torch::empty({out, in, kernel, kernel});
    const auto n = static_cast<std::size_t>(weight.numel());
    fill_normal(key(name + ".weight"), 0, weight.data_ptr<float>(), n);
    weight.mul_(std::sqrt(2.0 / (static_cast<double>(out) * kernel * kernel)));
    return make("Conv2d", conv_source, [&](torch::jit::Module& m) {
      m.register_parameter("weight", weight.requires_grad_(), false);
      set(m, "stride", stride);
      set(m, "padding", kernel / 2);
    });
  }

  torch::jit::Module norm(int channels) {
    const auto affine = [&](torch::jit::Module& m) {
      m.register_parameter("weight", torch::ones({channels}).requires_grad_(), false);
      m.register_parameter("bias", torch::zeros({channels}).requires_grad_(), false);
      set(m, "eps", 1e-5);
    };
    if (normalization_.kind != Norm::batch)
      return make("GroupNorm", group_norm_source, [&](torch::jit::Module& m) {
        affine(m);
        set(m, "groups", normalization_.kind == Norm::layer ? 1 : normalization_.groups);
      });
    return make("BatchNorm2d", batch_norm_source, [&](torch::jit::Module& m) {
      affine(m);
      m.register_buffer("running_mean", torch::zeros({channels}));
      m.register_buffer("running_var", torch::ones({channels}));
      set(m, "momentum", 0.1);
      set(m, "use_batch_statistics", false);
    });
  }

  torch::jit::Module block(const std::string& name, int in, int out, int stride) {
    const bool projection = stride != 1 || in != out;
    return make(projection ? "ProjectionBlock" : "IdentityBlock",
                projection ? projection_block_source : identity_block_source,
                [&](torch::jit::Module& m) {
                  m.register_module("norm1", norm(in));
                  m.register_module("conv1", conv(name + ".conv1", in, out, 3, stride));
                  m.register_module("norm2", norm(out));
                  m.register_module("conv2", conv(name + ".conv2", out, out, 3, 1));
                  if (projection)
                    m.register_module("shortcut", conv(name + ".shortcut", in, out, 1, stride));
                });
  }

  torch::jit::Module heads(int features, int labels) {
    const auto fill = [&](const std::string& name, torch::Tensor tensor) {
      const double bound = 1 / std::sqrt(features);
      auto* values = tensor.data_ptr<float>();
      const auto stream = key(name);
      for (std::int64_t i = 0; i < tensor.numel(); ++i)
        values[i] =
            static_cast<float>(uniform(stream, static_cast<std::uint64_t>(i), -bound, bound));
      return tensor.requires_grad_();
    };
    return make("Heads", heads_source, [&](torch::jit::Module& m) {
      m.register_parameter("weight", fill("heads.weight", torch::empty({2 * labels, features})),
                           false);
      m.register_parameter("bias", fill("heads.bias", torch::empty({2 * labels})), false);
      set(m, "labels", labels);
    });
  }

  /// A module of the class `name`, which `source` defines at its first instance.
  torch::jit::Module make(const std::string& name, const std::string& source,
                          const std::function<void(torch::jit::Module&)>& fill) {
    const auto known = classes_.find(name);
    auto module = known == classes_.end() ? torch::jit::Module("__torch__." + name, unit_)
                                          : torch::jit::Module(unit_, known->second);
    set(module, "training", true);
    fill(module);
    if (known == classes_.end()) {
      module.define(source);
      classes_[name] = module.type();
    }
    return module;
  }

 private:
  RandomKey key(const std::string& name) const { return random_key(seed_, {"weights", name}); }

  static void set(torch::jit::Module& m, const std::string& attribute, const c10::IValue& value) {
    m.register_attribute(attribute, value.type(), value);
  }

  Normalization normalization_;
  std::uint64_t seed_;
  std::shared_ptr<torch::jit::CompilationUnit> unit_ =
      std::make_shared<torch::jit::CompilationUnit>();
  std::map<std::string, c10::ClassTypePtr> classes_;
};

void check(const Architecture& a) {
  if (a.width < 1 || a.channels < 1 || a.labels < 1)
    throw UsageError("network: want a width, input channels and labels of at least 1");
  if (a.blocks.empty() || a.blocks.size() > 8 ||
      *std::min_element(a.blocks.begin(), a.blocks.end()) < 1)
    throw UsageError("network: want 1 to 8 stages of at least 1 block");
  const auto& norm = a.normalization;
  if (norm.kind == Norm::group && (norm.groups < 1 || a.width % norm.groups != 0))
    throw UsageError(name(norm) + ": " + std::to_string(a.width) + " channels do not divide into " +
                     std::to_string(norm.groups) + " groups");
}

}  // namespace

torch::jit::Module make_network(const Architecture& architecture, std::uint64_t seed) {
  check(architecture);
  Builder builder(architecture.normalization, seed);
  std::vector<std::pair<std::string, torch::jit::Module>> parts;
  parts.emplace_back("stem", builder.conv("stem", architecture.channels, architecture.width, 3, 1));
  int in = architecture.width;
  for (std::size_t stage = 0; stage < architecture.blocks.size(); ++stage)
    for (int b = 0; b < architecture.blocks[stage]; ++b) {
      const auto block = "stage" + std::to_string(stage + 1) + "_block" + std::to_string(b + 1);
      const int out = architecture.width << stage;
      parts.emplace_back(block, builder.block(block, in, out, stage > 0 && b == 0 ? 2 : 1));
      in = out;
    }
  std::string source = "def forward(self, x):\n";
  for (const auto& part : parts) source += "    x = self." + part.first + ".forward(x)\n";
  const auto side = std::to_string(pool_side);
  source +=
      "    return self.heads.forward(torch.adaptive_avg_pool2d(x, [" + side + ", " + side + "]))\n";
  parts.emplace_back("heads", builder.heads(in * pool_side * pool_side, architecture.labels));
  return builder.make("PreActResNet", source, [&](torch::jit::Module& m) {
    for (const auto& part : parts) m.register_module(part.first, part.second);
  });
}

}  // namespace mr::nn
