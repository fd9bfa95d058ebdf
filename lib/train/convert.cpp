#include "train/convert.h"

#include <torch/types.h>

#include <numeric>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "dataset/loader.h"
#include "nn/adaptation.h"
#include "nn/device.h"
#include "nn/model.h"
#include "train/validation.h"

namespace mr::train {
namespace {

using dataset::SampleSet;

const char* word(Target target) {
  switch (target) {
    case Target::frozen:
      return "frozen";
    case Target::batch_stats:
      return "batch-stats";
    case Target::n_prior:
      return "n-prior";
    case Target::recalibrated:
      break;
  }
  return "recalibrated";
}

/// Calls `use` with each batch [n, ...] of the samples in their order.
template <typename Use>
void each_batch(const SampleSet& samples, const dataset::Preprocess& preprocess,
                const Conversion& conversion, c10::Device device, const Use& use) {
  dataset::BatchLoader loader(samples, preprocess, {conversion.threads, std::nullopt, 0});
  std::vector<std::size_t> order(samples.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  loader.start(std::move(order), conversion.batch, 0);
  dataset::Batch batch;
  while (throw_if_stopped(), loader.next(batch)) {
    auto shape = dataset::input_shape(preprocess);
    shape.insert(shape.begin(), static_cast<std::int64_t>(batch.samples.size()));
    use(torch::from_blob(batch.pixels.data(), shape).clone().to(device));
  }
}

bool same_labels(const Json& info, const SampleSet& samples) {
  Json names = Json::array();
  for (const auto& label : samples.label_names()) names.push_back(label.name);
  return info.contains("labels") && info["labels"] == names;
}

/// Whether thresholds can be chosen: a label of which both values are known.
bool is_labelled(const SampleSet& samples) {
  for (std::size_t l = 0; l < samples.label_names().size(); ++l) {
    bool seen[2] = {false, false};
    for (std::size_t i = 0; i < samples.size(); ++i)
      if (const int label = samples.labels(i)[l]; label == 0 || label == 1) seen[label] = true;
    if (seen[0] && seen[1]) return true;
  }
  return false;
}

/// Thresholds of the converted network on the clean images of split val, by the model's own rule.
Json operating_points(nn::Model& model, const SampleSet& validation,
                      const dataset::Preprocess& preprocess, const Conversion& conversion,
                      c10::Device device) {
  const torch::NoGradGuard no_grad;
  std::vector<float> scores;
  each_batch(validation, preprocess, conversion, device, [&](const torch::Tensor& x) {
    const auto logits = model.network.forward({x}).toTensor().to(torch::kCPU).contiguous();
    const auto* values = logits.data_ptr<float>();
    scores.insert(scores.end(), values, values + logits.numel());
  });
  const auto& training = member(model.info, "training", conversion.model);
  const auto rule =
      stats::parse_operating_rule(string_member(training, "operating_rule", conversion.model));
  return judge(validation, scores, rule).operating_points;
}

/// Measures running statistics anew. Says in `done` on what.
void recalibrate(nn::Model& model, const Conversion& conversion, c10::Device device, Json& done,
                 std::vector<std::pair<std::string, std::string>>& inputs) {
  const auto preprocess = dataset::preprocess_from_json(
      member(model.info, "preprocessing", conversion.model), conversion.model);
  const auto loaded = dataset::load_manifest(conversion.manifest, conversion.root, {""});
  inputs.emplace_back(file_name(loaded.name), loaded.sha256);
  const auto samples = loaded.splits[0].of_split(conversion.split);
  if (samples.size() == 0)
    throw DataError(loaded.name + ": split '" + conversion.split + "' is empty");
  std::vector<torch::Tensor> batches;
  each_batch(samples, preprocess, conversion, device,
             [&](const torch::Tensor& x) { batches.push_back(x); });
  nn::recalibrate(model.network, batches, conversion.prior);
  done["split"] = conversion.split;
  done["samples"] = samples.size();
  const auto validation = loaded.splits[0].of_split("val");
  const bool judged = same_labels(model.info, validation) && is_labelled(validation);
  if (judged)
    model.info["operating_points"] =
        operating_points(model, validation, preprocess, conversion, device);
  done["operating_points"] = judged ? "chosen anew on split val" : "of the source";
}

}  // namespace

void set_target(Conversion& conversion, const std::string& text) {
  const auto equals = text.find('=');
  const auto name = text.substr(0, equals);
  bool known = false;
  std::vector<std::string> words;
  for (const auto target :
       {Target::frozen, Target::batch_stats, Target::n_prior, Target::recalibrated}) {
    words.emplace_back(word(target));
    if (name != word(target)) continue;
    conversion.target = target;
    known = true;
  }
  if (!known) throw UsageError("--to: " + unknown("conversion", name, words));
  conversion.prior = conversion.target == Target::n_prior ? 16 : 0;
  if (equals == std::string::npos) return;
  const auto images = to_number(text.substr(equals + 1));
  const bool takes =
      conversion.target == Target::n_prior || conversion.target == Target::recalibrated;
  if (!takes || !images || *images <= 0 || *images > 1e9)
    throw UsageError("--to " + text +
                     ": want frozen, batch-stats, n-prior=N or recalibrated=N, N images above 0");
  conversion.prior = *images;
}

void convert(const Conversion& conversion, const Run& run, const Messages&) {
  require_absent(conversion.output, conversion.overwrite);
  const auto device = nn::configure_torch(conversion.device, conversion.threads);
  auto model = nn::load_model(conversion.model, device);
  if (model.info.is_null())
    throw DataError(conversion.model + ": not a model of mr-train: it lacks mr.json");
  if (nn::batch_norms(model.network).empty())
    throw DataError(conversion.model + ": has no batch norm to convert");
  const auto own = sha256_file(conversion.model);
  const auto earlier = model.info.find("conversion");
  Json done = {{"to", word(conversion.target)},
               {"source_sha256", earlier == model.info.end()
                                     ? own
                                     : string_member(*earlier, "source_sha256", conversion.model)}};
  if (conversion.prior > 0) done["prior_images"] = conversion.prior;
  std::vector<std::pair<std::string, std::string>> inputs = {{file_name(conversion.model), own}};
  switch (conversion.target) {
    case Target::frozen:
      nn::freeze(model.network);
      break;
    case Target::batch_stats:
    case Target::n_prior:
      nn::set_prior(model.network, conversion.prior);
      break;
    case Target::recalibrated:
      recalibrate(model, conversion, device, done, inputs);
      break;
  }
  model.info["conversion"] = done;
  model.info["provenance"].push_back(provenance_entry(run, inputs));
  model.network.to(torch::kCPU);
  write_file(conversion.output, nn::encode_model(model), conversion.overwrite);
}

}  // namespace mr::train
