// Architectures and norms, as a command line or a model file says them; free of LibTorch.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"

namespace mr::nn {

/// batch  BatchNorm2d (eps 1e-5, momentum 0.1); Ioffe and Szegedy 2015
/// group  GroupNorm(groups, C); Wu and He 2018
/// layer  GroupNorm(1, C): over C, H and W, with an affine map per channel; after Ba et al. 2016
enum class Norm { batch, group, layer };

struct Normalization {
  Norm kind = Norm::batch;
  int groups = 32;  // of Norm::group
};

/// "batch", "group(32)", "layer"
std::string name(const Normalization& normalization);

/// Pre-activation residual network with a 3x3 stem and no max-pool (He et al. 2016, Identity
/// mappings in deep residual networks), no norm or ReLU after the last block, an adaptive average
/// pool to 10x10 and a two-logit linear head per label. Stage s has width * 2^s channels.
struct Architecture {
  int width = 64;
  std::vector<int> blocks = {2, 2, 2, 2};  // per stage; stages after the first halve H and W
  int channels = 1;                        // of the input
  int labels = 1;
  Normalization normalization;
};
Json to_json(const Architecture& architecture);

}  // namespace mr::nn
