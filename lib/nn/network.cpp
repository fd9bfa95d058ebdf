// The networks, of layers.h.
#include <torch/csrc/jit/api/module.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "nn/layers.h"
#include "nn/model.h"

namespace mr::nn {
namespace {

using torch::jit::Module;
using Activation = LayerBuilder::Activation;
using Parts = LayerBuilder::Parts;

constexpr int pool_side = 10;  // of the pre-activation networks
constexpr int bottleneck_expansion = 4;

/// What the source of a block says of its `n` convolutions; each line ends a step.
std::string preact_source(int n, bool projection) {
  std::string source = "def forward(self, x):\n    z = self.norm1.forward(x)\n";
  source += "    y = self.conv1.forward(z)\n";
  for (int i = 2; i <= n; ++i) {
    const auto k = std::to_string(i);
    source += "    y = self.conv" + k + ".forward(self.norm" + k + ".forward(y))\n";
  }
  return source + "    return self.join.forward(y, " +
         (projection ? "self.shortcut.forward(z)" : "x") + ")\n";
}

std::string postact_source(int n, bool projection) {
  std::string source = "def forward(self, x):\n    y = x\n";
  for (int i = 1; i <= n; ++i) {
    const auto k = std::to_string(i);
    source += "    y = self.bn" + k + ".forward(self.conv" + k + ".forward(y))\n";
  }
  return source + "    y = self.join.forward(y, " +
         (projection ? "self.downsample.forward(x)" : "x") + ")\n    return torch.relu_(y)\n";
}

/// Channels and kernels of a block's convolutions.
struct BlockShape {
  int in, inner, out, stride;
  bool bottleneck, last_stage;
  int convolutions() const { return bottleneck ? 3 : 2; }
  bool projection() const { return stride != 1 || in != out; }
  int kernel(int i) const { return bottleneck && i != 2 ? 1 : 3; }  // i from 1
  int stride_of(int i) const { return i == (bottleneck ? 2 : 1) ? stride : 1; }
  int from(int i) const { return i == 1 ? in : inner; }
  int to(int i) const { return i == convolutions() ? out : inner; }
};

/// All residual blocks of a network, by stage.
std::vector<std::vector<BlockShape>> block_shapes(const Architecture& a) {
  std::vector<std::vector<BlockShape>> stages;
  int in = a.width;
  for (std::size_t s = 0; s < a.blocks.size(); ++s) {
    stages.emplace_back();
    for (int b = 0; b < a.blocks[s]; ++b) {
      const int inner = a.width << s;
      const int out = inner * (a.bottleneck ? bottleneck_expansion : 1);
      stages.back().push_back(
          {in, inner, out, s > 0 && b == 0 ? 2 : 1, a.bottleneck, s + 1 == a.blocks.size()});
      in = out;
    }
  }
  return stages;
}

class Networks {
 public:
  Networks(const Architecture& architecture, std::uint64_t seed)
      : a_(architecture), build_(a_.normalization, a_.dimensions, seed) {
    for (const int n : a_.blocks) residual_blocks_ += n;
  }

  Module network() {
    switch (a_.family) {
      case Family::preact_resnet:
        return with_heads("PreActResNet", preact_resnet(), "heads", a_.attention ? 1 : pool_side);
      case Family::resnet:
        return with_heads("ResNet", resnet(), "fc", 1);
      case Family::densenet:
        break;
    }
    return with_heads("DenseNet", {{"features", build_.sequence(densenet())}}, "classifier", 1);
  }

 private:
  /// side  of the average pool that comes after the features
  Module with_heads(const std::string& class_name, Parts features, const std::string& name,
                    int side) {
    const auto positions = static_cast<int>(std::pow(side, a_.dimensions));
    features.emplace_back(a_.family == Family::preact_resnet ? "pool" : "avgpool",
                          build_.adaptive_pool(side));
    if (a_.attention)
      return build_.attention(build_.sequence(features, class_name), name, out_, a_.labels);
    features.emplace_back(name, build_.heads(name, out_ * positions, a_.labels));
    return build_.sequence(features, class_name);
  }

  Parts preact_resnet() {
    Parts parts = stem("stem", std::nullopt);
    int stage = 0;
    for (const auto& shapes : block_shapes(a_)) {
      ++stage;
      int b = 0;
      for (const auto& shape : shapes) {
        const auto name = "stage" + std::to_string(stage) + "_block" + std::to_string(++b);
        parts.emplace_back(name, preact_block(name, shape));
        out_ = shape.out;
      }
    }
    return parts;
  }

  Parts resnet() {
    Parts parts = stem("conv1", "bn1");
    int stage = 0;
    for (const auto& shapes : block_shapes(a_)) {
      const auto name = "layer" + std::to_string(++stage);
      Parts blocks;
      for (const auto& shape : shapes) {
        const auto index = std::to_string(blocks.size());
        blocks.emplace_back(index, postact_block(name + "." + index, shape));
        out_ = shape.out;
      }
      parts.emplace_back(name, build_.sequence(blocks));
    }
    return parts;
  }

  Parts densenet() {
    Parts features = stem("conv0", "norm0");
    int channels = a_.width;
    for (std::size_t s = 0; s < a_.blocks.size(); ++s) {
      const auto number = std::to_string(s + 1);
      Parts layers;
      for (int l = 0; l < a_.blocks[s]; ++l) {
        const auto layer = "denselayer" + std::to_string(l + 1);
        layers.emplace_back(layer,
                            dense_layer("features.denseblock" + number + "." + layer, channels));
        channels += a_.growth;
      }
      features.emplace_back("denseblock" + number, build_.sequence(layers));
      if (s + 1 == a_.blocks.size()) break;
      const auto transition = "transition" + number;
      features.emplace_back(
          transition, build_.sequence({{"norm", build_.norm(channels, Activation::relu)},
                                       {"conv", build_.conv("features." + transition + ".conv",
                                                            channels, channels / 2, 1, 1)},
                                       {"pool", build_.average_pool()}}));
      channels /= 2;
    }
    features.emplace_back("norm5", build_.norm(channels, Activation::relu));
    out_ = channels;
    return features;
  }

  /// norm  after the convolution, with its activation; absent in networks of pre-activation
  Parts stem(const std::string& conv, const std::optional<std::string>& norm) {
    const bool large = a_.stem == Stem::imagenet;
    const auto weights = a_.family == Family::densenet ? "features." + conv : conv;
    Parts parts = {
        {conv, build_.conv(weights, a_.channels, a_.width, large ? 7 : 3, large ? 2 : 1)}};
    if (norm) parts.emplace_back(*norm, build_.norm(a_.width, Activation::relu));
    if (large)
      parts.emplace_back(a_.family == Family::densenet ? "pool0" : "maxpool", build_.max_pool());
    return parts;
  }

  /// Fixup: what a branch's convolution is multiplied by at first (Zhang et al. 2019, section 3).
  double gain(const BlockShape& shape, int conv) const {
    if (a_.normalization.scheme != "fixup") return 1;
    const int m = shape.convolutions();
    return conv == m ? 0 : std::pow(residual_blocks_, -1.0 / (2 * m - 2));
  }

  void add_convolutions(Module& m, const std::string& name, const BlockShape& shape) {
    for (int i = 1; i <= shape.convolutions(); ++i) {
      const auto conv = "conv" + std::to_string(i);
      m.register_module(conv, build_.conv(name + "." + conv, shape.from(i), shape.to(i),
                                          shape.kernel(i), shape.stride_of(i), gain(shape, i)));
    }
  }

  Module preact_block(const std::string& name, const BlockShape& shape) {
    const double scale = 1 / std::sqrt(variance_);
    const bool nf = a_.normalization.scheme == "nf";
    if (nf) {
      const double alpha = a_.normalization.value("alpha");
      variance_ = (shape.projection() ? 1 : variance_) + alpha * alpha;
    }
    const int n = shape.convolutions();
    const std::string class_name = std::string(shape.projection() ? "Projection" : "Identity") +
                                   (shape.bottleneck ? "Bottleneck" : "Block");
    // Norms of a block may be of two classes (IBN-a), and with them the class of the block.
    const std::string own =
        a_.normalization.scheme == "ibn" && shape.last_stage ? class_name + "Last" : class_name;
    return build_.make(own, preact_source(n, shape.projection()), [&](Module& m) {
      m.register_module("norm1", build_.norm(shape.in, Activation::relu, scale));
      m.register_module("norm2",
                        build_.first_norm(shape.to(1), Activation::relu, shape.last_stage));
      if (shape.bottleneck) m.register_module("norm3", build_.norm(shape.to(2), Activation::relu));
      add_convolutions(m, name, shape);
      if (shape.projection())
        m.register_module("shortcut",
                          build_.conv(name + ".shortcut", shape.in, shape.out, 1, shape.stride));
      m.register_module("join", build_.join(name + ".join", shape.out));
    });
  }

  Module postact_block(const std::string& name, const BlockShape& shape) {
    const int n = shape.convolutions();
    // Each downsampling sequence is a class of its own, and so is the block that holds it.
    const std::string class_name = shape.projection() ? "Block_" + std::to_string(++projections_)
                                   : a_.normalization.scheme == "ibn" && shape.last_stage
                                       ? "BlockLast"
                                       : "Block";
    return build_.make(class_name, postact_source(n, shape.projection()), [&](Module& m) {
      add_convolutions(m, name, shape);
      m.register_module("bn1", build_.first_norm(shape.to(1), Activation::relu, shape.last_stage));
      for (int i = 2; i <= n; ++i)
        m.register_module("bn" + std::to_string(i),
                          build_.norm(shape.to(i), i < n ? Activation::relu : Activation::none));
      if (shape.projection())
        m.register_module("downsample",
                          build_.sequence({{"0", build_.conv(name + ".downsample.0", shape.in,
                                                             shape.out, 1, shape.stride)},
                                           {"1", build_.norm(shape.out, Activation::none)}}));
      m.register_module("join", build_.join(name + ".join", shape.out));
    });
  }

  Module dense_layer(const std::string& name, int channels) {
    const int inner = bottleneck_expansion * a_.growth;
    const auto* source = R"(
def forward(self, x):
    y = self.conv1.forward(self.norm1.forward(x))
    return torch.cat([x, self.conv2.forward(self.norm2.forward(y))], 1)
)";
    return build_.make("DenseLayer", source, [&](Module& m) {
      m.register_module("norm1", build_.norm(channels, Activation::relu));
      m.register_module("conv1", build_.conv(name + ".conv1", channels, inner, 1, 1));
      m.register_module("norm2", build_.norm(inner, Activation::relu));
      m.register_module("conv2", build_.conv(name + ".conv2", inner, a_.growth, 3, 1));
    });
  }

  const Architecture& a_;
  LayerBuilder build_;
  int residual_blocks_ = 0, projections_ = 0;
  int out_ = 0;          // channels of the features
  double variance_ = 1;  // nf: expected, of what comes next
};

/// Schemes that are not defined for a family.
void check_scheme(const Architecture& a) {
  const auto& scheme = a.normalization.scheme;
  std::vector<std::string> refused;
  if (a.family == Family::resnet) refused = {"nf", "fixup", "evonorm-s0"};
  if (a.family == Family::densenet) refused = {"nf", "fixup", "cnsn", "ibn"};
  if (std::find(refused.begin(), refused.end(), scheme) != refused.end())
    throw UsageError(scheme + ": not defined for a " + name(a.family) + "; want " +
                     name(Family::preact_resnet));
}

void check_groups(const Normalization& norm, int channels) {
  if (!has_groups(norm)) return;
  const int groups = static_cast<int>(norm.value("groups"));
  if (channels % groups != 0)
    throw UsageError(name(norm) + ": " + std::to_string(channels) +
                     " channels do not divide into " + std::to_string(groups) + " groups");
}

void check(const Architecture& a) {
  if (a.width < 1 || a.channels < 1 || a.labels < 1 || a.growth < 1)
    throw UsageError("network: want a width, growth, input channels and labels of at least 1");
  if (a.blocks.empty() || a.blocks.size() > 8 ||
      *std::min_element(a.blocks.begin(), a.blocks.end()) < 1)
    throw UsageError("network: want 1 to 8 stages of at least 1 block");
  if (a.dimensions != 2 && a.dimensions != 3)
    throw UsageError("network: want 2 or 3 dimensions, got " + std::to_string(a.dimensions));
  check_scheme(a);
  if (a.normalization.scheme == "ibn" && a.width < 2)
    throw UsageError("ibn: want a width of at least 2: half of the channels are normalised apart");
  check_groups(a.normalization, a.width);
  if (a.family != Family::densenet) return;
  int channels = a.width;
  check_groups(a.normalization, bottleneck_expansion * a.growth);
  for (const int layers : a.blocks) {
    for (int l = 0; l < layers; ++l) {
      check_groups(a.normalization, channels);
      channels += a.growth;
    }
    check_groups(a.normalization, channels);
    channels /= 2;
  }
}

}  // namespace

void require_trainable(const Architecture& a, const std::vector<int>& size, std::int64_t batch) {
  const int smallest = *std::min_element(size.begin(), size.end());
  if (a.stem == Stem::imagenet && smallest < 8)
    throw UsageError(
        "network: an imagenet stem takes images of at least 8 pixels in each direction, got " +
        std::to_string(smallest));
  std::int64_t positions = 1;
  for (int pixels : size) {
    const int halvings = static_cast<int>(a.blocks.size()) - 1 + (a.stem == Stem::imagenet ? 2 : 0);
    for (int i = 0; i < halvings; ++i)
      pixels = a.family == Family::densenet && i >= halvings - static_cast<int>(a.blocks.size()) + 1
                   ? pixels / 2
                   : (pixels + 1) / 2;
    positions *= pixels;
  }
  const auto& scheme = a.normalization.scheme;
  if (positions == 0)
    throw UsageError("network: nothing is left of an image of " + std::to_string(smallest) +
                     " pixels after " + std::to_string(a.blocks.size()) + " stages");
  if (positions == 1 && (scheme == "instance" || scheme == "ibn" || scheme == "cnsn"))
    throw UsageError(scheme +
                     ": its variance over positions is that of one position in the last stage; "
                     "want a larger image or fewer stages");
  const bool over_images = find_scheme(scheme).running && (positions == 1 || scheme == "cnsn");
  if (over_images && batch < 2)
    throw UsageError(scheme +
                     ": its statistics are those of one image in a batch of 1; want larger "
                     "batches, or as many draws that none is left alone at the end of an epoch");
}

void draw_cross_norm(Module& network, const Normalization& normalization, const RandomKey& key,
                     std::int64_t images) {
  if (normalization.scheme != "cnsn") return;
  std::vector<Module> joins;
  for (const auto& module : network.modules())
    if (module.hasattr("partner")) joins.push_back(module);
  for (auto& join : joins) join.setattr("partner", c10::List<std::int64_t>());
  if (uniform(key, 0, 0, 1) >= normalization.value("probability")) return;
  std::vector<std::int64_t> partner(static_cast<std::size_t>(images));
  std::iota(partner.begin(), partner.end(), std::int64_t{0});
  auto drawn = joins[below(key, 1, joins.size())];
  shuffle(key, partner);  // takes indices from 2
  drawn.setattr("partner", c10::List<std::int64_t>(partner));
}

Module make_network(const Architecture& architecture, std::uint64_t seed) {
  check(architecture);
  return Networks(architecture, seed).network();
}

}  // namespace mr::nn
