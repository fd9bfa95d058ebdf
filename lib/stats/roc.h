// stats/: the field's numbers and how sure they are. Scores are float logits, truth is 1, 0 or -1
// (unknown: left out); the independent unit is the subject, never the slice.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mr::stats {

/// A number, or the reason why there is none.
struct Value {
  std::optional<double> value;
  std::string reason;
};

/// A number that is made of samples, with the influence on it of each: the derivative by the
/// sample's weight.
struct SampleWise {
  std::optional<double> value;
  std::vector<double> influence;  // [N]; 0 where the truth is unknown. Their sum is 0.
  std::string reason;             // why there is no value
};

/// Area under the ROC curve by mid-ranks, in double: P(positive > negative) + P(equal) / 2.
/// scores, truth  [N]; a tie is equality of floats, infinite scores are ranked
/// returns        no value where a class is absent
/// throws         DataError on a NaN score, a truth other than -1, 0, 1, or lengths that differ
/// source         Hanley and McNeil 1982
Value auroc(const std::vector<float>& scores, const std::vector<std::int8_t>& truth);

/// Average precision: sum of (R_n - R_n-1) P_n over distinct scores, ties grouped, no
/// interpolation. Shapes and errors as auroc; no value without positives.
Value average_precision(const std::vector<float>& scores, const std::vector<std::int8_t>& truth);

struct RocPoint {
  double threshold;  // a sample is called positive where score >= threshold
  double sensitivity, false_positive_rate;
};

/// One point per distinct score, thresholds descending, after (+inf, 0, 0); collinear points are
/// kept. Empty where a class is absent. Errors as auroc.
std::vector<RocPoint> roc_points(const std::vector<float>& scores,
                                 const std::vector<std::int8_t>& truth);

}  // namespace mr::stats
