#include "train/validation.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "stats/calibration.h"

namespace mr::train {
namespace {

using dataset::SampleSet;
using Truth = std::vector<std::int8_t>;

/// A label of every sample: 1, 0, or -1 where unknown.
Truth truth_of(const SampleSet& samples, std::size_t label) {
  Truth truth(samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i)
    truth[i] = static_cast<std::int8_t>(samples.labels(i)[label]);
  return truth;
}

bool has_both(const Truth& truth) {
  return std::count(truth.begin(), truth.end(), 0) > 0 &&
         std::count(truth.begin(), truth.end(), 1) > 0;
}

double mean_cross_entropy(const std::vector<float>& logits, const Truth& truth) {
  double sum = 0;
  std::size_t known = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (truth[i] < 0) continue;
    sum += stats::softplus(truth[i] == 1 ? -logits[i] : logits[i]);
    ++known;
  }
  return known > 0 ? sum / static_cast<double>(known) : 0;
}

Json operating_point(const std::string& label, const std::vector<float>& logits, const Truth& truth,
                     const stats::OperatingRule& rule) {
  Json point = {{"label", label}, {"rule", stats::name(rule)}, {"threshold", nullptr}};
  const auto threshold = stats::choose_threshold(logits, truth, rule);
  if (!threshold.value) {
    point["reason"] = threshold.reason;
    return point;
  }
  double hits = 0, rejections = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    hits += truth[i] == 1 && logits[i] >= *threshold.value;
    rejections += truth[i] == 0 && logits[i] < *threshold.value;
  }
  point["threshold"] = *threshold.value;
  point["sensitivity"] = hits / static_cast<double>(std::count(truth.begin(), truth.end(), 1));
  point["specificity"] =
      rejections / static_cast<double>(std::count(truth.begin(), truth.end(), 0));
  return point;
}

}  // namespace

void check_labels(const std::string& manifest, const SampleSet& training,
                  const SampleSet& validation, const Messages& messages) {
  const auto& labels = training.label_names();
  if (labels.empty()) throw DataError(manifest + ": has no labels to learn");
  bool any = false;
  for (std::size_t l = 0; l < labels.size(); ++l) {
    const auto where = manifest + ": label '" + labels[l].name + "'";
    if (labels[l].values.size() != 2)
      throw DataError(where + ": want 2 values, got " + std::to_string(labels[l].values.size()));
    if (!has_both(truth_of(training, l)))
      throw DataError(where + ": want known 0 and 1 in split 'train', got one of them or none");
    if (has_both(truth_of(validation, l)))
      any = true;
    else
      messages.warn(where + ": not both 0 and 1 in split 'val': no AUROC and no threshold");
  }
  if (!any)
    throw DataError(manifest + ": want a label with known 0 and 1 in split 'val', got none");
}

Validation judge(const SampleSet& samples, const std::vector<float>& scores,
                 const stats::OperatingRule& rule) {
  Validation result;
  const auto& labels = samples.label_names();
  double loss = 0, sum = 0;
  int defined = 0;
  Json aurocs = Json::object();
  result.operating_points = Json::array();
  for (std::size_t l = 0; l < labels.size(); ++l) {
    const auto truth = truth_of(samples, l);
    std::vector<float> logits(samples.size());
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = scores[i * labels.size() + l];
    loss += mean_cross_entropy(logits, truth);
    const auto auroc = stats::auroc(logits, truth);
    aurocs[labels[l].name] = auroc.value ? Json(*auroc.value) : Json();
    if (auroc.value) {
      sum += *auroc.value;
      ++defined;
    }
    result.operating_points.push_back(operating_point(labels[l].name, logits, truth, rule));
  }
  if (defined == 0) throw DataError("validation: no label has an AUROC");
  result.auroc_mean = sum / defined;
  result.line = {{"val_loss", loss}, {"val_auroc", aurocs}, {"val_auroc_mean", result.auroc_mean}};
  return result;
}

}  // namespace mr::train
