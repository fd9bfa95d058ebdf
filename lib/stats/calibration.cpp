#include "stats/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mr::stats {
namespace {

constexpr int most_steps = 100;
constexpr double rounding = 1e-12;
constexpr double converged = 1e-9;  // a Newton step, against 1 + |value|: the next is its square

double probability(double z) {
  return 1 / (1 + std::exp(-z));
}

SampleWise none(std::string reason) {
  return {{}, {}, std::move(reason)};
}

struct Known {
  std::vector<std::size_t> samples;
  std::size_t positives = 0;
  bool finite = true;
  double highest_negative = -std::numeric_limits<double>::infinity();
  double lowest_negative = std::numeric_limits<double>::infinity();
  double highest_positive = highest_negative, lowest_positive = lowest_negative;
};

Known known(const std::vector<float>& scores, const std::vector<std::int8_t>& truth) {
  Known k;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (truth[i] < 0) continue;
    k.samples.push_back(i);
    k.positives += truth[i] == 1;
    k.finite = k.finite && std::isfinite(scores[i]);
    const double z = scores[i];
    auto& highest = truth[i] ? k.highest_positive : k.highest_negative;
    auto& lowest = truth[i] ? k.lowest_positive : k.lowest_negative;
    highest = std::max(highest, z);
    lowest = std::min(lowest, z);
  }
  return k;
}

/// Why a logistic model has no maximum; "" where it has.
std::string no_maximum(const Known& k) {
  if (k.positives == 0) return "no positive samples";
  if (k.positives == k.samples.size()) return "no negative samples";
  if (!k.finite) return "a score is infinite";
  return "";
}

/// Of logit P = a + b x: the sum of -log likelihood, its gradient and its second derivatives.
struct Likelihood {
  double loss = 0, g_a = 0, g_b = 0, h_aa = 0, h_ab = 0, h_bb = 0;
};

Likelihood likelihood(const std::vector<double>& x, const std::vector<std::int8_t>& y, double a,
                      double b) {
  Likelihood sum;
  constexpr std::size_t block = 256;  // of factors between 1 and 2, whose product does not overflow
  for (std::size_t begin = 0; begin < x.size(); begin += block) {
    double product = 1;
    for (std::size_t i = begin; i < std::min(begin + block, x.size()); ++i) {
      const double z = a + b * x[i], e = std::exp(-std::abs(z));
      const double p = (z > 0 ? 1 : e) / (1 + e), w = p * (1 - p);
      product *= 1 + e;
      sum.loss += std::max(z, 0.0) - y[i] * z;
      sum.g_a += p - y[i];
      sum.g_b += (p - y[i]) * x[i];
      sum.h_aa += w;
      sum.h_ab += w * x[i];
      sum.h_bb += w * x[i] * x[i];
    }
    sum.loss += std::log(product);
  }
  return sum;
}

/// A mean over the known samples.
template <typename Of>
SampleWise mean(const Known& k, std::size_t n, const Of& of) {
  if (k.samples.empty()) return none("no samples of known truth");
  SampleWise result{0.0, std::vector<double>(n), ""};
  const auto count = static_cast<double>(k.samples.size());
  for (const auto i : k.samples) *result.value += (result.influence[i] = of(i)) / count;
  for (const auto i : k.samples)
    result.influence[i] = (result.influence[i] - *result.value) / count;
  return result;
}

/// logit P = a + b x of scores in units of their spread around their middle, so that the two
/// parameters are alike.
struct LogisticFit {
  double a = 0, b = 0, middle = 0, spread = 0;
  std::vector<std::size_t> samples;  // those of known truth
  std::vector<double> x;
  std::vector<std::int8_t> y;
  Likelihood at;
  std::string reason;  // why there is none
};

LogisticFit fit_logistic(const std::vector<float>& scores, const std::vector<std::int8_t>& truth) {
  LogisticFit fit;
  const auto k = known(scores, truth);
  fit.reason = no_maximum(k);
  if (fit.reason.empty() &&
      (k.highest_negative <= k.lowest_positive || k.highest_positive <= k.lowest_negative))
    fit.reason = "a score separates the classes: no slope";
  if (!fit.reason.empty()) return fit;
  fit.samples = k.samples;
  const auto n = static_cast<double>(k.samples.size());
  for (const auto i : k.samples) fit.middle += scores[i];
  fit.middle /= n;
  for (const auto i : k.samples) fit.spread += std::pow(scores[i] - fit.middle, 2);
  fit.spread = std::sqrt(fit.spread / n);
  for (const auto i : k.samples) {
    fit.x.push_back((scores[i] - fit.middle) / fit.spread);
    fit.y.push_back(truth[i]);
  }
  double d_a = 0, d_b = 0;
  fit.at = likelihood(fit.x, fit.y, fit.a, fit.b);
  for (int step = 0;; ++step) {
    const auto& now = fit.at;
    const double determinant = now.h_aa * now.h_bb - now.h_ab * now.h_ab;
    d_a = (now.h_bb * now.g_a - now.h_ab * now.g_b) / determinant;
    d_b = (now.h_aa * now.g_b - now.h_ab * now.g_a) / determinant;
    if (!std::isfinite(d_a) || !std::isfinite(d_b) || step == most_steps) {
      fit.reason = "the fit of the slope does not converge";
      return fit;
    }
    const bool last =
        std::abs(d_a) + std::abs(d_b) <= converged * (1 + std::abs(fit.a) + std::abs(fit.b));
    auto next = likelihood(fit.x, fit.y, fit.a - d_a, fit.b - d_b);
    // A rise within rounding is none: near the minimum the full step is the right one.
    for (int halving = 0; next.loss > now.loss * (1 + rounding) && halving < 50; ++halving) {
      d_a /= 2;
      d_b /= 2;
      next = likelihood(fit.x, fit.y, fit.a - d_a, fit.b - d_b);
    }
    fit.at = next;
    fit.a -= d_a;
    fit.b -= d_b;
    if (last) return fit;
  }
}

}  // namespace

double softplus(double z) {
  return std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z)));
}

SampleWise brier(const std::vector<float>& scores, const std::vector<std::int8_t>& truth) {
  return mean(known(scores, truth), truth.size(), [&](std::size_t i) {
    const double error = probability(scores[i]) - truth[i];
    return error * error;
  });
}

SampleWise log_loss(const std::vector<float>& scores, const std::vector<std::int8_t>& truth) {
  const auto k = known(scores, truth);
  if (!k.finite) return none("a score is infinite");
  return mean(k, truth.size(), [&](std::size_t i) {
    return softplus(truth[i] ? -double{scores[i]} : double{scores[i]});
  });
}

SampleWise calibration_in_the_large(const std::vector<float>& scores,
                                    const std::vector<std::int8_t>& truth) {
  const auto k = known(scores, truth);
  if (auto reason = no_maximum(k); !reason.empty()) return none(std::move(reason));
  // The excess of expected positives rises with a and has one zero; Newton's steps that leave the
  // bracket are halved intervals instead.
  const double logit_prevalence = std::log(static_cast<double>(k.positives) /
                                           static_cast<double>(k.samples.size() - k.positives));
  double low = logit_prevalence - std::max(k.highest_positive, k.highest_negative);
  double high = logit_prevalence - std::min(k.lowest_positive, k.lowest_negative);
  double a = std::clamp(0.0, low, high), information = 0;
  for (int step = 0; step < most_steps; ++step) {
    double excess = 0;
    information = 0;
    for (const auto i : k.samples) {
      const double p = probability(a + scores[i]);
      excess += p - truth[i];
      information += p * (1 - p);
    }
    (excess > 0 ? high : low) = a;
    double next = a - excess / information;
    if (!(next >= low && next <= high)) next = 0.5 * (low + high);
    const bool done = std::abs(next - a) <= converged * (1 + std::abs(a));
    a = next;
    if (done) break;
  }
  SampleWise result{a, std::vector<double>(truth.size()), ""};
  for (const auto i : k.samples)
    result.influence[i] = (truth[i] - probability(a + scores[i])) / information;
  return result;
}

SampleWise calibration_slope(const std::vector<float>& scores,
                             const std::vector<std::int8_t>& truth) {
  const auto fit = fit_logistic(scores, truth);
  if (!fit.reason.empty()) return none(fit.reason);
  const auto& at = fit.at;
  const double determinant = at.h_aa * at.h_bb - at.h_ab * at.h_ab;
  SampleWise result{fit.b / fit.spread, std::vector<double>(truth.size()), ""};
  for (std::size_t i = 0; i < fit.x.size(); ++i)
    result.influence[fit.samples[i]] = (fit.y[i] - probability(fit.a + fit.b * fit.x[i])) *
                                       (at.h_aa * fit.x[i] - at.h_ab) / determinant / fit.spread;
  return result;
}

Recalibration platt_scaling(const std::vector<float>& scores,
                            const std::vector<std::int8_t>& truth) {
  const auto fit = fit_logistic(scores, truth);
  if (!fit.reason.empty()) return {0, 1, fit.reason};
  const double slope = fit.b / fit.spread;
  if (!(slope > 0)) return {0, 1, "higher scores are no more often positive"};
  return {fit.a - slope * fit.middle, slope, ""};
}

Recalibration temperature_scaling(const std::vector<float>& scores,
                                  const std::vector<std::int8_t>& truth) {
  const auto k = known(scores, truth);
  if (auto reason = no_maximum(k); !reason.empty()) return {0, 1, std::move(reason)};
  std::vector<double> x;
  std::vector<std::int8_t> y;
  for (const auto i : k.samples) {
    x.push_back(scores[i]);
    y.push_back(truth[i]);
  }
  // The loss is convex in the slope; Newton's steps that leave the bracket are halved intervals.
  double low = std::exp(-5.0), high = std::exp(5.0), b = 1;
  if (likelihood(x, y, 0, low).g_b >= 0 || likelihood(x, y, 0, high).g_b <= 0)
    return {0, 1, "the temperature is beyond its bounds"};
  for (int step = 0; step < most_steps; ++step) {
    const auto now = likelihood(x, y, 0, b);
    (now.g_b > 0 ? high : low) = b;
    double next = b - now.g_b / now.h_bb;
    if (!(next > low && next < high)) next = 0.5 * (low + high);
    const bool done = std::abs(next - b) <= converged * b;
    b = next;
    if (done) break;
  }
  return {0, b, ""};
}

}  // namespace mr::stats
