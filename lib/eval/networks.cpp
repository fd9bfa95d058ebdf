#include "eval/networks.h"

#include <torch/script.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "nn/adaptation.h"
#include "nn/device.h"
#include "nn/model.h"

namespace mr::eval {
namespace {

using dataset::SampleSet;
using torch::jit::Module;

/// Clean training images that a recalibration takes at most; each norm layer sees them once.
constexpr std::size_t recalibration_samples = 1024;

void require_labels(const Json& info, const SampleSet& samples, const std::string& model,
                    const std::string& manifest) {
  std::vector<std::string> wanted, found;
  for (const auto& label : member(info, "labels", model))
    wanted.push_back(label.is_string() ? label.get<std::string>()
                                       : string_member(label, "name", model));
  for (const auto& label : samples.label_names()) found.push_back(label.name);
  if (wanted == found) return;
  const auto joined = [](const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return text.empty() ? std::string("none") : text;
  };
  throw DataError(manifest + ": its labels (" + joined(found) + ") differ from those of " + model +
                  " (" + joined(wanted) + ")");
}

double prior_of(const Adaptation& adaptation) {
  return adaptation.scheme == Scheme::n_prior ? adaptation.prior : nn::batch_statistics;
}

bool asks_to_recalibrate(const Options& options) {
  return std::any_of(options.adaptations.begin(), options.adaptations.end(),
                     [](const Adaptation& a) { return a.scheme == Scheme::recalibrate; });
}

SampleSet training_split(const SampleSet& images, const std::string& manifest) {
  auto training = images.of_split("train");
  if (training.size() == 0)
    throw DataError(manifest + ": --adapt recalibrate: has no split 'train' to recalibrate on");
  return training;
}

}  // namespace

Networks::Networks(const Options& options, const SampleSet& samples, const SampleSet& images,
                   const std::string& manifest)
    : labels_(samples.label_names().size()),
      batch_(static_cast<std::size_t>(options.batch_size)),
      seed_(options.seed) {
  // One thread for each network: several run side by side, and a score does not depend on how many.
  device_ = nn::configure_torch(options.device, 1);
  for (std::size_t m = 0; m < options.models.size(); ++m)
    add_model(options, samples, images, manifest, m);
  if (!options.adaptations.empty() && variants.size() == infos.size())
    throw UsageError("--adapt: no model has batch norm to adapt");
}

void Networks::add_model(const Options& options, const SampleSet& samples, const SampleSet& images,
                         const std::string& manifest, std::size_t index) {
  const auto& path = options.models[index];
  auto model = nn::load_model(path, device_);
  const bool ours = !model.info.is_null();
  Foreign description;
  if (!ours) {
    if (options.foreign.empty())
      throw DataError(path +
                      ": not a model of mr-train: it lacks mr.json; describe it with --foreign");
    std::vector<std::string> labels;
    for (const auto& label : samples.label_names()) labels.push_back(label.name);
    description = read_foreign(options.foreign, path, labels);
    model.info = description.info;
  }
  outputs_.push_back(description.output);
  channels_.push_back(description.channels);
  require_labels(model.info, samples, path, manifest);
  for (const auto& layer : nn::batch_norms(model.network))
    if (layer.attr("prior").toDouble() >= 0)
      throw DataError(path +
                      ": normalises with whatever shares its batch; evaluate the model that it was "
                      "converted from, with --adapt");
  const auto& described = member(model.info, "preprocessing", path);
  const auto key = to_line(described);
  const auto place =
      static_cast<std::size_t>(std::find(keys_.begin(), keys_.end(), key) - keys_.begin());
  if (place == keys_.size()) {
    keys_.push_back(key);
    preprocessings.push_back(dataset::preprocess_from_json(described, path));
  }
  names_.push_back(path);
  const Variant plain{index, place, {}, nullptr, model.network};
  variants.push_back(
      {index, place, {}, nullptr, ours ? nn::for_inference(model.network) : model.network});
  if (!options.explain.empty() || options.distance) trained.push_back(model.network);
  const bool adaptable = !nn::batch_norms(model.network).empty();
  variants.back().keeps_statistics = adaptable;
  for (const auto& adaptation : options.adaptations) {
    if (!adaptable) break;
    if (adaptation.scheme == Scheme::recalibrate) {
      add_recalibrated(options, training_split(images, manifest), plain);
      continue;
    }
    auto network = model.network;
    if (!adaptation.over_images() && adaptation.scheme != Scheme::tent) {
      network = model.network.deepcopy();
      nn::set_prior(network, prior_of(adaptation));
    }
    variants.push_back({index, place, adaptation, to_json(adaptation), network});
  }
  if (options.controls && adaptable && !asks_to_recalibrate(options)) {
    const auto training = images.of_split("train");
    if (training.size() > 0) add_recalibrated(options, training, plain);
  }
  infos.push_back(std::move(model.info));
  sha256.push_back(sha256_file(path));
}

void Networks::add_recalibrated(const Options& options, const SampleSet& training,
                                const Variant& plain) {
  const auto order = draw_samples(training.size(), recalibration_samples,
                                  random_key(seed_, {"adapt", "recalibrate"}));
  dataset::BatchLoader loader(training, preprocessings[plain.preprocess], {options.threads, {}, 0});
  loader.start(order, options.batch_size, 0);
  std::vector<torch::Tensor> batches;
  dataset::Batch pixels;
  while (throw_if_stopped(), loader.next(pixels))
    batches.push_back(
        batch(plain, pixels.pixels.data(), pixels.samples.size(), pixels.samples.size()));
  Adaptation adaptation;
  adaptation.scheme = Scheme::recalibrate;
  auto network = plain.network.deepcopy();
  nn::recalibrate(network, batches);
  auto described = to_json(adaptation);
  described["split"] = "train";
  described["samples"] = order.size();
  variants.push_back(
      {plain.model, plain.preprocess, adaptation, described, nn::for_inference(network)});
}

std::vector<float> Networks::distances(const Variant& variant, const float* pixels,
                                       std::size_t n) const {
  const auto alone = device_lock();
  auto network = trained[variant.model].deepcopy();
  return nn::statistics_distances(network, batch(variant, pixels, n, n));
}

std::size_t Networks::pixels_of(const Variant& variant) const {
  return dataset::input_elements(preprocessings[variant.preprocess]);
}

torch::Tensor Networks::batch(const Variant& variant, const float* pixels, std::size_t n,
                              std::size_t pad_to) const {
  auto shape = dataset::input_shape(preprocessings[variant.preprocess]);
  shape.insert(shape.begin(), static_cast<std::int64_t>(pad_to));
  auto input = torch::empty(shape);
  const auto each = pixels_of(variant);
  auto* to = input.data_ptr<float>();
  std::memcpy(to, pixels, n * each * sizeof(float));
  for (std::size_t i = n; i < pad_to; ++i)
    std::memcpy(to + i * each, pixels + (n - 1) * each, each * sizeof(float));
  if (const int channels = channels_[variant.model]; channels > 1)
    input = input.repeat_interleave(channels, 1);
  return input.to(device_);
}

torch::Tensor Networks::logits(const Variant& variant, const c10::IValue& output,
                               std::size_t n) const {
  const auto kind = outputs_[variant.model];
  torch::Tensor values;
  if (output.isTensor()) {
    values = output.toTensor();
  } else if (output.isTuple() || output.isTensorList()) {  // a head for each label
    std::vector<torch::Tensor> heads;
    if (output.isTensorList())
      heads = output.toTensorVector();
    else
      for (const auto& head : output.toTupleRef().elements()) heads.push_back(head.toTensor());
    values = torch::stack(heads, 1);
    if (kind != Output::two_logit && values.dim() == 3) values = values.squeeze(2);
  } else {
    throw DataError(names_[variant.model] + ": gives neither a tensor nor several");
  }
  values = values.to(torch::kCPU, torch::kFloat64);
  const auto labels = static_cast<std::int64_t>(labels_);
  if (kind == Output::two_logit) {
    if (values.dim() == 2 && labels == 1) values = values.unsqueeze(1);
    if (values.dim() == 3 && values.size(2) == 2)
      values = values.select(2, 1) - values.select(2, 0);
  }
  if (values.dim() != 2 || values.size(0) < static_cast<std::int64_t>(n) ||
      values.size(1) != labels) {
    std::string shape;
    for (const auto length : values.sizes())
      shape += (shape.empty() ? "" : " x ") + std::to_string(length);
    throw DataError(names_[variant.model] + ": gives " + shape + " numbers for " +
                    std::to_string(labels) + " labels, which is not what was said of it");
  }
  if (kind == Output::probability) {
    if ((values < 0).any().item<bool>() || (values > 1).any().item<bool>())
      throw DataError(names_[variant.model] + ": gives what is no probability");
    values = torch::logit(values);
  }
  return values.to(torch::kFloat32).contiguous();
}

void Networks::run(const Variant& variant, Module network, const torch::Tensor& input,
                   std::size_t n, std::vector<float>& scores) const {
  const c10::InferenceMode inference;  // as for_inference wants it
  try {
    const auto output = logits(variant, network.forward({input}), n);
    const auto* values = output.data_ptr<float>();
    scores.insert(scores.end(), values, values + n * labels_);
  } catch (const c10::Error& e) {
    throw DataError(names_[variant.model] + ": cannot be run: " + e.what_without_backtrace());
  }
}

std::unique_lock<std::mutex> Networks::device_lock() const {
  std::unique_lock<std::mutex> alone(*alone_, std::defer_lock);
  if (device_.is_cuda()) alone.lock();
  return alone;
}

void Networks::score(const Variant& variant, const float* pixels, std::size_t n,
                     std::vector<float>& scores) const {
  const auto alone = device_lock();
  const auto& adaptation = variant.adaptation;
  if (adaptation.scheme == Scheme::none || adaptation.scheme == Scheme::recalibrate) {
    const auto each = pixels_of(variant);
    for (std::size_t s = 0; s < n; s += batch_) {
      const auto some = std::min(batch_, n - s);
      run(variant, variant.network, batch(variant, pixels + s * each, some, batch_), some, scores);
    }
    return;
  }
  const auto input = batch(variant, pixels, n, n);
  if (adaptation.scheme == Scheme::tent)
    run(variant, nn::tent(variant.network, input, adaptation.learning_rate, adaptation.steps),
        input, n, scores);
  else
    run(variant, variant.network, input, n, scores);
}

std::vector<float> Networks::gather(const Variant& variant, const std::vector<float>& pixels,
                                    const std::vector<std::size_t>& set) const {
  const auto each = pixels_of(variant);
  std::vector<float> some(set.size() * each);
  for (std::size_t i = 0; i < set.size(); ++i)
    std::memcpy(some.data() + i * each, pixels.data() + set[i] * each, each * sizeof(float));
  return some;
}

Module Networks::adapted_on(const Variant& variant, const std::vector<float>& pixels,
                            std::size_t n) const {
  std::vector<torch::Tensor> batches;
  for (std::size_t s = 0; s < n; s += batch_) {
    const auto some = std::min(batch_, n - s);
    batches.push_back(batch(variant, pixels.data() + s * pixels_of(variant), some, some));
  }
  const auto alone = device_lock();
  auto network = variant.network.deepcopy();
  nn::recalibrate(network, batches, prior_of(variant.adaptation));
  return network;
}

std::vector<float> Networks::score_mixed(const Variant& variant, const std::vector<float>& pixels,
                                         std::size_t n) const {
  auto own = variant;
  if (own.adaptation.scheme != Scheme::tent) {
    own.network = variant.network.deepcopy();
    nn::set_prior(own.network, prior_of(own.adaptation));
  }
  std::vector<double> sums(n * labels_, 0);
  for (int p = 0; p < mixed_partitions; ++p)
    for (const auto& set : mixed_sets(n, own.adaptation.mixed, seed_, p)) {
      throw_if_stopped();
      std::vector<float> scores;
      score(own, gather(own, pixels, set).data(), set.size(), scores);
      for (std::size_t i = 0; i < scores.size(); ++i)
        sums[set[i / labels_] * labels_ + i % labels_] += scores[i];
    }
  std::vector<float> means(sums.size());
  for (std::size_t i = 0; i < sums.size(); ++i)
    means[i] = static_cast<float>(sums[i] / mixed_partitions);
  return means;
}

std::vector<float> Networks::score_over_images(const Variant& variant,
                                               const std::vector<float>& pixels,
                                               const SampleSet& samples) const {
  const auto n = samples.size();
  if (variant.adaptation.policy == Policy::mixed) return score_mixed(variant, pixels, n);
  const bool crossfit = variant.adaptation.policy == Policy::crossfit;
  const auto folds = crossfit ? subject_folds(samples, seed_) : std::vector<int>(n, 0);
  std::vector<float> all(n * labels_);
  for (int fold = 0; fold < (crossfit ? 2 : 1); ++fold) {
    std::vector<std::size_t> scored, seen;
    for (std::size_t i = 0; i < n; ++i) {
      if (folds[i] == fold) scored.push_back(i);
      if (!crossfit || folds[i] != fold) seen.push_back(i);
    }
    throw_if_stopped();
    Variant own = variant;
    own.network = adapted_on(variant, gather(variant, pixels, seen), seen.size());
    own.adaptation = {};
    std::vector<float> scores;
    score(own, gather(own, pixels, scored).data(), scored.size(), scores);
    for (std::size_t i = 0; i < scores.size(); ++i)
      all[scored[i / labels_] * labels_ + i % labels_] = scores[i];
  }
  return all;
}

}  // namespace mr::eval
