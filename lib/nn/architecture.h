// Normalization schemes and architectures, as a command line or a model file says them; free of
// LibTorch.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace mr::nn {

/// A number that a scheme has beside its learnt parameters.
struct SchemeParameter {
  std::string name;
  double value;            // the default
  double lowest, highest;  // both allowed
  bool whole;              // an integer
  std::string meaning;
};

/// A normalization scheme: what it computes, where it comes from, and what it has to be told. The
/// command line, the man page and the networks read the same rows.
struct Scheme {
  std::string name;
  std::string summary;  // a line
  std::string formula;  // plain text, in the symbols of scheme_symbols
  std::string source;   // author, year, equation
  bool batch_free;      // in training, one image alone gives what it gives in a batch
  bool running;         // keeps running statistics: what can be adapted at test time
  std::vector<SchemeParameter> parameters;
};

const std::vector<Scheme>& schemes();
/// What their formulas' symbols mean, and what all of them begin with.
extern const char* const scheme_symbols;
std::vector<std::string> scheme_names();
/// throws UsageError with the nearest name
const Scheme& find_scheme(const std::string& name);

struct Normalization {
  std::string scheme = "batch";
  std::map<std::string, double> values =
      {};  // of the scheme's parameters, as far as they were said
  double value(const std::string& parameter) const;  // as said, or the default
};

/// "group", "group:groups=8", "batch-renorm:r_max=2,d_max=1"; "layer" is layer_chw.
/// throws UsageError: unknown names (with the nearest), values out of range
Normalization parse_normalization(const std::string& text);

bool has_groups(const Normalization& normalization);
/// Where the scheme has groups.
void set_groups(Normalization& normalization, int groups);

/// "batch", "group(8)", "batch-renorm(r_max=2)": groups always, else what is not the default.
std::string name(const Normalization& normalization);

enum class Family { preact_resnet, resnet, densenet };
enum class Stem { cifar, imagenet };

/// preact_resnet  He et al. 2016, Identity mappings in deep residual networks: no norm or ReLU
/// after
///                the last block, an adaptive average pool to 10 x 10 (Madaan et al. 2023)
/// resnet         He et al. 2016, Deep residual learning, in torchvision's layout: stride in the
/// 3x3
///                convolution of a bottleneck, batch norm after each convolution, global average
/// densenet       Huang et al. 2017 (DenseNet-BC, compression 1/2, 4 x growth in a bottleneck) in
///                torchvision's layout, global average
/// All end in a linear map to two logits per label. Before attention the average is global.
struct Architecture {
  Family family = Family::preact_resnet;
  Stem stem = Stem::cifar;  // 3x3, or 7x7 of stride 2 and a 3x3 max-pool of stride 2
  bool bottleneck = false;  // residual blocks of 1x1, 3x3, 1x1 with four times the channels
  int width = 64;   // channels of stage 1, each further stage has twice; densenet: of the stem
  int growth = 32;  // of densenet: channels that a layer adds
  std::vector<int> blocks = {2, 2, 2, 2};  // per stage; stages after the first halve H and W
  int dimensions = 2;                      // 2: slices [N, C, H, W]; 3: volumes [N, C, D, H, W]
  bool attention = false;  // of 2 dimensions: volumes [N, C, S, H, W], slices pooled by attention
  int channels = 1;        // of the input
  int labels = 1;
  Normalization normalization;
};

std::vector<std::string> architecture_names();
/// The published shape of that name: preact-resnet18, -34, -50, resnet18, resnet50, densenet121.
/// throws UsageError with the nearest name
Architecture find_architecture(const std::string& name);
std::string name(Family family);
Json to_json(const Architecture& architecture);

}  // namespace mr::nn
