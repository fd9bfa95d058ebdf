#include "stats/robustness.h"

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/text.h"

namespace mr::stats {
namespace {

constexpr double smallest_denominator = 1e-6;

void check(const Curve& curve) {
  if (curve.at_severity.empty()) throw DataError("degradation curve: no severities");
}

void check(const Curve& arm, const Curve& baseline) {
  check(arm);
  if (arm.at_severity.size() != baseline.at_severity.size())
    throw DataError("degradation curves: " + std::to_string(arm.at_severity.size()) +
                    " severities against " + std::to_string(baseline.at_severity.size()));
}

double sum(const Curve& curve) {
  return std::accumulate(curve.at_severity.begin(), curve.at_severity.end(), 0.0);
}

double severities(const Curve& curve) {
  return static_cast<double>(curve.at_severity.size());
}

Value ratio(double numerator, double denominator, const char* what) {
  if (!(denominator > smallest_denominator))
    return {{}, std::string(what) + " is " + shortest(denominator) + ", not above 0"};
  return {numerator / denominator, ""};
}

struct Weighted {
  double performance = 0, weights = 0;  // sum_s w_s P_s, sum_s w_s
};

Weighted rood_weighted(const Curve& curve) {
  check(curve);
  Weighted sums;
  double weight = 1;
  for (const double performance : curve.at_severity) {
    weight *= 2.0 / 3.0;
    sums.performance += weight * performance;
    sums.weights += weight;
  }
  return sums;
}

}  // namespace

Value corruption_error(const Curve& arm, const Curve& baseline) {
  check(arm, baseline);
  return ratio(severities(arm) - sum(arm), severities(baseline) - sum(baseline),
               "the baseline's error");
}

Value relative_corruption_error(const Curve& arm, const Curve& baseline) {
  check(arm, baseline);
  const auto lost = [](const Curve& c) { return severities(c) * c.clean - sum(c); };
  return ratio(lost(arm), lost(baseline), "the baseline's loss");
}

double rood_overall(const Curve& arm) {
  const auto sums = rood_weighted(arm);
  return (arm.clean + sums.performance) / (1 + sums.weights);
}

double rood_degradation(const Curve& arm) {
  const auto sums = rood_weighted(arm);
  return arm.clean - sums.performance / sums.weights;
}

double area_under_curve(const Curve& arm) {
  check(arm);
  return (sum(arm) + 0.5 * (arm.clean - arm.at_severity.back())) / severities(arm);
}

Value retention(const Curve& arm) {
  check(arm);
  return ratio(sum(arm) / severities(arm) - 0.5, arm.clean - 0.5, "clean performance over chance");
}

Value mean_of_defined(const std::vector<Value>& values) {
  double total = 0;
  std::size_t defined = 0;
  for (const auto& value : values)
    if (value.value) {
      total += *value.value;
      ++defined;
    }
  const auto reason = defined == values.size() ? std::string()
                                               : std::to_string(defined) + " of " +
                                                     std::to_string(values.size()) + " defined";
  if (defined == 0) return {{}, values.empty() ? "no values" : reason};
  return {total / static_cast<double>(defined), reason};
}

}  // namespace mr::stats
