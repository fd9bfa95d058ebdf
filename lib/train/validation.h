// How good an epoch is, and the thresholds that go into the model: from clean validation scores.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/run.h"
#include "dataset/loader.h"
#include "stats/threshold.h"

namespace mr::train {

/// What can be learnt: labels of two values, each with both of them known in `training`, and one at
/// least with both in `validation`; for the others there, a warning.
/// throws DataError that begins with `manifest`
void check_labels(const std::string& manifest, const dataset::SampleSet& training,
                  const dataset::SampleSet& validation, const Messages& messages);

struct Validation {
  double auroc_mean = 0;  // over the labels that have one
  Json line;              // {val_loss, val_auroc {label: number or null}, val_auroc_mean}
  Json operating_points;  // [{label, rule, threshold, sensitivity, specificity or reason}]
};

/// scores [N, L] logits of the samples in their order. The loss is the sum over labels of the
/// mean cross-entropy over known labels, whatever the class weights of training.
Validation judge(const dataset::SampleSet& samples, const std::vector<float>& scores,
                 const stats::OperatingRule& rule);

}  // namespace mr::train
