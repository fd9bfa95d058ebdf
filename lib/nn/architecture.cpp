#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "nn/architecture.h"

namespace mr::nn {
namespace {

SchemeParameter epsilon(double value) {
  return {"eps", value, 1e-12, 1, false, "added to the variance"};
}

SchemeParameter momentum() {
  return {"momentum", 0.1, 0, 1, false, "weight of the batch in the running statistics"};
}

SchemeParameter groups() {
  return {"groups", 32,   1,
          65536,    true, "groups of channels; they divide the channels of each layer"};
}

std::vector<Scheme> make_schemes() {
  return {
      {"batch",
       "batch norm: a mean and a variance per channel over the batch; running ones in evaluation",
       "y = w (x - mean) / sqrt(var + eps) + b; mean, var over (N, H, W)",
       "Ioffe and Szegedy 2015, algorithm 1",
       false,
       true,
       {epsilon(1e-5), momentum()}},
      {"group",
       "group norm: over groups of channels of one image",
       "as batch; mean, var over (C/groups, H, W) of each image and group",
       "Wu and He 2018, eq. 1 and 7",
       true,
       false,
       {groups(), epsilon(1e-5)}},
      {"layer_chw",
       "layer norm over channels, rows and columns of one image: group norm with 1 group",
       "as batch; mean, var over (C, H, W) of each image",
       "Ba et al. 2016, eq. 3; Wu and He 2018, section 3.1",
       true,
       false,
       {epsilon(1e-5)}},
      {"layer_c",
       "layer norm over the channels of each pixel",
       "as batch; mean, var over C of each image and pixel",
       "Ba et al. 2016, eq. 3; Liu et al. 2022 (ConvNeXt), section 2.6",
       true,
       false,
       {epsilon(1e-6)}},
      {"instance",
       "instance norm: over rows and columns of each image and channel",
       "as batch; mean, var over (H, W) of each image and channel",
       "Ulyanov et al. 2016, eq. 2",
       true,
       false,
       {epsilon(1e-5)}},
      {"ws+group",
       "group norm after convolutions whose weights are standardised",
       "W' = (W - mean) / sqrt(var + 1e-6) over each output channel's weights; norm as group",
       "Qiao et al. 2019, eq. 10 and 11; Kolesnikov et al. 2020 (BiT)",
       true,
       false,
       {groups(), epsilon(1e-5)}},
      {"ibn",
       "IBN-a: instance norm of the first half of the channels, batch norm of the rest, once in "
       "each "
       "block of all stages but the last; batch norm elsewhere",
       "y = [instance(x[:C/2]), batch(x[C/2:])] after a block's first convolution",
       "Pan et al. 2018, section 3.2 and fig. 3a",
       false,
       true,
       {epsilon(1e-5), momentum()}},
      {"cnsn",
       "CrossNorm and SelfNorm after each residual block, beside batch norm",
       "CrossNorm, in training, in one block of a step drawn with `probability`: x_i = s_j (x_i - "
       "m_i) "
       "/ s_i + m_j for a permutation j of the images; SelfNorm: y = x sigmoid(batch(u m + v s)); "
       "m, s: "
       "mean and standard deviation over (H, W); u, v per channel, uniform in +-1/sqrt(2) at first",
       "Tang et al. 2021, eq. 3 and 5, with one gate as in the authors' program",
       false,
       true,
       {{"probability", 0.5, 0, 1, false, "of CrossNorm in a training step"},
        epsilon(1e-5),
        momentum()}},
      {"frn",
       "filter response norm and thresholded linear unit, in place of norm and ReLU",
       "y = max(w x / sqrt(mean(x^2) + eps) + b, t); mean over (H, W) of each image and channel; t "
       "per "
       "channel, 0 at first",
       "Singh and Krishnan 2020, eq. 1 to 3",
       true,
       false,
       {epsilon(1e-6)}},
      {"evonorm-s0",
       "EvoNorm-S0, in place of norm and ReLU",
       "y = w x sigmoid(v x) / sqrt(var + eps) + b; var over (C/groups, H, W) of each image and "
       "group; v "
       "per channel, 1 at first",
       "Liu et al. 2020, table 1",
       true,
       false,
       {groups(), epsilon(1e-5)}},
      {"batch-renorm",
       "batch renormalization: batch norm that is pulled to its running statistics in training",
       "y = w (r (x - mean) / sqrt(var + eps) + d) + b; r = clip(sqrt((var + eps) / (running var + "
       "eps)), 1/r_max, r_max), d = clip((mean - running mean) / sqrt(running var + eps), -d_max, "
       "d_max), "
       "both without gradient; the bounds rise linearly from 1 and 0 over the first `steps` steps",
       "Ioffe 2017, algorithm 1; running variance as in batch norm",
       false,
       true,
       {{"r_max", 3, 1, 1e6, false, "bound of r"},
        {"d_max", 5, 0, 1e6, false, "bound of d"},
        {"steps", 1000, 0, 1e9, true, "training steps until both bounds are reached"},
        epsilon(1e-5),
        {"momentum", 0.01, 0, 1, false, "weight of the batch in the running statistics"}}},
      {"nf",
       "no norm: scaled weight standardisation, and activations scaled to an expected variance of "
       "1",
       "W' = g (W - mean) / sqrt(max(K var, 1e-4)), K weights per output channel, g 1 at first; "
       "block: x "
       "+ alpha f(x / beta), beta^2 the expected variance of x; ReLU times sqrt(2 / (1 - 1/pi))",
       "Brock et al. 2021 (ICLR), eq. 1 and section 4",
       true,
       false,
       {{"alpha", 0.2, 1e-6, 1, false, "weight of a block's branch"}}},
      {"fixup",
       "no norm: Fixup initialisation, with scalar biases and a scalar multiplier in each block",
       "weights of a branch's convolutions but the last: Kaiming normal times L^(-1/(2m-2)), L "
       "blocks of m "
       "convolutions; the last one and the heads: 0; a scalar bias before each convolution and "
       "ReLU, a "
       "scalar multiplier at the end of each branch, 0 and 1 at first",
       "Zhang et al. 2019, section 3",
       true,
       false,
       {}},
  };
}

const SchemeParameter* find_parameter(const Scheme& scheme, const std::string& wanted) {
  for (const auto& parameter : scheme.parameters)
    if (parameter.name == wanted) return &parameter;
  return nullptr;
}

double parse_value(const std::string& where, const SchemeParameter& p, const std::string& text) {
  const auto value = to_number(text);
  if (!value || *value < p.lowest || *value > p.highest ||
      (p.whole && *value != std::floor(*value)))
    throw UsageError(where + ": " + p.name + ": want " + (p.whole ? "a whole number" : "a number") +
                     " from " + shortest(p.lowest) + " to " + shortest(p.highest) + ", got '" +
                     text + "'");
  return *value;
}

}  // namespace

const char* const scheme_symbols =
    "x is [N, C, H, W], y the output, w and b a weight and a bias per channel that begin as 1 and "
    "0. Running means and variances begin as 0 and 1, the weights of convolutions Kaiming normal "
    "by fan-out.";

const std::vector<Scheme>& schemes() {
  static const std::vector<Scheme> all = make_schemes();
  return all;
}

std::vector<std::string> scheme_names() {
  std::vector<std::string> names;
  for (const auto& scheme : schemes()) names.push_back(scheme.name);
  return names;
}

const Scheme& find_scheme(const std::string& wanted) {
  for (const auto& scheme : schemes())
    if (scheme.name == wanted) return scheme;
  throw UsageError(unknown("normalization", wanted, scheme_names()));
}

double Normalization::value(const std::string& parameter) const {
  const auto said = values.find(parameter);
  if (said != values.end()) return said->second;
  const auto* row = find_parameter(find_scheme(scheme), parameter);
  if (row == nullptr) throw Error(ExitStatus::internal, scheme + " has no parameter " + parameter);
  return row->value;
}

Normalization parse_normalization(const std::string& text) {
  const auto colon = text.find(':');
  const auto word = text.substr(0, colon);
  Normalization normalization;
  normalization.scheme = word == "layer" ? "layer_chw" : word;
  const auto& scheme = find_scheme(normalization.scheme);
  if (colon == std::string::npos) return normalization;
  for (const auto& item : split(text.substr(colon + 1), ',')) {
    const auto [key, value] = name_and_value(scheme.name, item);
    const auto* parameter = find_parameter(scheme, key);
    if (parameter == nullptr) {
      std::vector<std::string> known;
      for (const auto& p : scheme.parameters) known.push_back(p.name);
      throw UsageError(scheme.name + ": " + unknown("parameter", key, known));
    }
    normalization.values[key] = parse_value(scheme.name, *parameter, value);
  }
  return normalization;
}

bool has_groups(const Normalization& normalization) {
  return find_parameter(find_scheme(normalization.scheme), "groups") != nullptr;
}

void set_groups(Normalization& normalization, int groups) {
  if (has_groups(normalization)) normalization.values["groups"] = groups;
}

std::string name(const Normalization& normalization) {
  std::string inside;
  for (const auto& parameter : find_scheme(normalization.scheme).parameters) {
    const double value = normalization.value(parameter.name);
    const bool count = parameter.name == "groups";
    if (!count && value == parameter.value) continue;
    inside += (inside.empty() ? "" : ",") + (count ? "" : parameter.name + "=") + shortest(value);
  }
  return normalization.scheme + (inside.empty() ? "" : "(" + inside + ")");
}

std::vector<std::string> architecture_names() {
  return {"preact-resnet18", "preact-resnet34", "preact-resnet50",
          "resnet18",        "resnet50",        "densenet121"};
}

Architecture find_architecture(const std::string& wanted) {
  Architecture a;
  const auto names = architecture_names();
  if (std::find(names.begin(), names.end(), wanted) == names.end())
    throw UsageError(unknown("architecture", wanted, names));
  if (ends_with(wanted, "34") || ends_with(wanted, "50")) a.blocks = {3, 4, 6, 3};
  a.bottleneck = ends_with(wanted, "50");
  if (wanted.rfind("preact", 0) == 0) return a;
  a.stem = Stem::imagenet;
  a.family = Family::resnet;
  if (wanted != "densenet121") return a;
  a.family = Family::densenet;
  a.blocks = {6, 12, 24, 16};
  return a;
}

std::string name(Family family) {
  return family == Family::preact_resnet ? "preact-resnet"
         : family == Family::resnet      ? "resnet"
                                         : "densenet";
}

Json to_json(const Architecture& a) {
  Json object = {
      {"name", name(a.family)},     {"stem", a.stem == Stem::imagenet ? "imagenet" : "cifar"},
      {"width", a.width},           {"blocks", a.blocks},
      {"dimensions", a.dimensions}, {"attention", a.attention},
      {"channels", a.channels},     {"labels", a.labels}};
  if (a.family == Family::densenet)
    object["growth"] = a.growth;
  else
    object["block"] = a.bottleneck ? "bottleneck" : "basic";
  return object;
}

}  // namespace mr::nn
