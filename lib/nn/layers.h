// The layers that networks are made of, as TorchScript modules. A class is defined once per
// network; its instances differ in their attributes alone. Tensors are [N, C, H, W], or [N, C, D,
// H, W] in three dimensions.
#pragma once
#include <torch/csrc/jit/api/module.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "nn/architecture.h"

namespace mr::nn {

class LayerBuilder {
 public:
  using Parts = std::vector<std::pair<std::string, torch::jit::Module>>;

  LayerBuilder(const Normalization& normalization, int dimensions, std::uint64_t seed);

  /// A convolution without bias, Kaiming normal by fan-out (He et al. 2015), padded by kernel / 2,
  /// times `gain`. Its weights are standardised where the scheme says so (and then have a gain and
  /// a bias in scheme nf). `name` is that of the weights' random numbers.
  torch::jit::Module conv(const std::string& name, int in, int out, int kernel, int stride,
                          double gain = 1);

  enum class Activation { none, relu };
  /// The scheme's norm, with what it has for an activation.
  /// scale  nf: its input is multiplied by it first
  torch::jit::Module norm(int channels, Activation activation, double scale = 1);

  /// The norm after the first convolution of a block: IBN-a has another one there.
  torch::jit::Module first_norm(int channels, Activation activation, bool last_stage);

  /// forward(y, x): a block's branch added to its shortcut; what the scheme does at that place.
  torch::jit::Module join(const std::string& name, int channels);

  torch::jit::Module max_pool();               // 3 wide, padded by 1, stride 2
  torch::jit::Module average_pool();           // 2 wide, stride 2
  torch::jit::Module adaptive_pool(int side);  // the average, to side x side
  /// Linear map to two logits per label; forward gives z1 - z0, [N, L]. Uniform in
  /// +-1/sqrt(features); 0 in scheme fixup.
  torch::jit::Module heads(const std::string& name, int features, int labels);

  /// A network for volumes [N, C, S, H, W]: `features` of each slice [., C, H, W] that is not 0
  /// throughout, their mean weighted by gated attention (Ilse et al. 2018, eq. 9: a_s = softmax_s(w
  /// (tanh(V h_s) * sigmoid(U h_s))), 128 hidden units), and heads.
  torch::jit::Module attention(const torch::jit::Module& features, const std::string& heads_name,
                               int channels, int labels);

  /// Modules one after the other, in a class of their own.
  torch::jit::Module sequence(const Parts& parts, const std::string& class_name = "");

  /// A module of a class that `source` defines at its first instance. Instances of one class have
  /// attributes of equal names and types.
  torch::jit::Module make(const std::string& class_name, const std::string& source,
                          const std::function<void(torch::jit::Module&)>& fill);

 private:
  void recording(torch::jit::Module& m) const;  // attributes of a norm that records its input
  torch::jit::Module batch_norm(int channels, Activation activation);
  torch::jit::Module instance_norm(int channels, Activation activation);
  RandomKey key(const std::string& name) const;
  std::vector<std::int64_t> per_channel(int channels) const;  // [1, C, 1, 1]
  std::vector<std::int64_t> axes(std::int64_t first) const;   // of space; from 0, of the batch too
  at::Tensor uniform_tensor(const std::string& name, const std::vector<std::int64_t>& shape,
                            double bound) const;

  Normalization normalization_;
  int dimensions_;
  std::uint64_t seed_;
  int sequences_ = 0;
  std::shared_ptr<torch::jit::CompilationUnit> unit_;
  std::map<std::string, c10::ClassTypePtr> classes_;
};

}  // namespace mr::nn
