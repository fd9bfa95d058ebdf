#include "stats/resampled.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "stats/ranking.h"

namespace mr::stats {

namespace {

/// Each ranked sample: subject x 4, + 2 for the last sample of its score, + 1 for a positive.
std::vector<std::int32_t> packed(const Ranking& ranking, const Cases& cases) {
  std::vector<std::int32_t> samples;
  for (const auto& group : ranking.groups)
    for (std::size_t i = group.begin; i < group.end; ++i) {
      const auto sample = ranking.order[i];
      samples.push_back(4 * cases.subject[sample] + (i + 1 == group.end ? 2 : 0) +
                        cases.truth[sample]);
    }
  return samples;
}

}  // namespace

ResampledAuroc::ResampledAuroc(const Cases& cases)
    : samples_(packed(rank(cases.scores, cases.truth), cases)) {}

std::optional<double> ResampledAuroc::operator()(const Times& times) const {
  // Twice the pairs won: whole numbers. Masks instead of branches, since classes alternate at
  // random.
  std::int64_t won = 0, positives_above = 0, negatives_above = 0, positives = 0, negatives = 0;
  for (const std::int32_t sample : samples_) {
    const std::int64_t n = times[static_cast<std::size_t>(sample >> 2)];
    const std::int64_t positive = -static_cast<std::int64_t>(sample & 1);
    positives += n & positive;
    negatives += n & ~positive;
    if (!(sample & 2)) continue;
    won += negatives * (2 * positives_above + positives);
    positives_above += positives;
    negatives_above += negatives;
    positives = negatives = 0;
  }
  if (positives_above == 0 || negatives_above == 0) return {};
  return static_cast<double>(won) /
         (2 * static_cast<double>(positives_above) * static_cast<double>(negatives_above));
}

ResampledCalibrationError::ResampledCalibrationError(const Stated& stated)
    : of_subject_(static_cast<std::size_t>(stated.subjects)) {
  const auto bin = bins_of(stated.probability, Binning::equal_width);
  for (std::size_t i = 0; i < bin.size(); ++i) {
    auto& sums = of_subject_[static_cast<std::size_t>(stated.subject[i])];
    sums[bin[i]] += static_cast<float>(stated.probability[i] - stated.truth[i]);
    ++sums[bins];
  }
}

std::optional<double> ResampledCalibrationError::operator()(const Times& times) const {
  std::array<float, bins + 1> sums{};
  for (std::size_t p = 0; p < of_subject_.size(); ++p) {
    const auto n = static_cast<float>(times[p]);
    for (std::size_t k = 0; k <= bins; ++k) sums[k] += n * of_subject_[p][k];
  }
  if (!(sums[bins] > 0)) return {};
  double error = 0;
  for (std::size_t k = 0; k < bins; ++k) error += std::abs(double{sums[k]});
  return error / double{sums[bins]};
}

ResampledThreshold::ResampledThreshold(const Cases& validation, const OperatingRule& rule)
    : rule_(rule) {
  const auto ranking = rank(validation.scores, validation.truth);
  samples_ = packed(ranking, validation);
  for (const auto sample : ranking.order) scores_.push_back(validation.scores[sample]);
}

std::optional<double> ResampledThreshold::operator()(const Times& times) const {
  std::int64_t positives = 0, all = 0;
  for (const std::int32_t sample : samples_) {
    const std::int64_t n = times[static_cast<std::size_t>(sample >> 2)];
    positives += n * (sample & 1);
    all += n;
  }
  const auto negatives = all - positives;
  if (positives == 0 || negatives == 0) return {};
  std::optional<double> chosen;
  std::int64_t true_positives = 0, false_positives = 0, best = -1, since = 0;
  for (std::size_t i = 0; i < samples_.size(); ++i) {
    const std::int64_t n = times[static_cast<std::size_t>(samples_[i] >> 2)];
    true_positives += n * (samples_[i] & 1);
    false_positives += n * (1 - (samples_[i] & 1));
    since += n;
    if (!(samples_[i] & 2) || since == 0) continue;  // within a score, or one that was not drawn
    since = 0;
    if (rule_.kind == OperatingRule::Kind::sensitivity_at_least) {
      if (static_cast<double>(true_positives) / static_cast<double>(positives) >= rule_.target)
        return scores_[i];
      continue;
    }
    const auto j = true_positives * negatives - false_positives * positives;
    if (j >= best) {
      best = j;
      chosen = scores_[i];
    }
  }
  return chosen;
}

std::vector<std::vector<float>> decisions_at(const Cases& cases,
                                             const std::vector<double>& thresholds,
                                             std::optional<double> prevalence) {
  constexpr auto none = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::vector<float>> values(std::size(decision_metrics),
                                         std::vector<float>(thresholds.size(), none));
  std::vector<double> ascending;
  for (const double t : thresholds)
    if (!std::isnan(t)) ascending.push_back(t);
  std::sort(ascending.begin(), ascending.end());
  // calls[truth][k]: samples that k of the thresholds call positive; then those that at least k do.
  std::array<std::vector<std::int64_t>, 2> calls;
  for (auto& counts : calls) counts.assign(ascending.size() + 1, 0);
  for (std::size_t i = 0; i < cases.truth.size(); ++i) {
    if (cases.truth[i] < 0) continue;
    const auto k =
        std::upper_bound(ascending.begin(), ascending.end(), static_cast<double>(cases.scores[i])) -
        ascending.begin();
    ++calls[static_cast<std::size_t>(cases.truth[i])][static_cast<std::size_t>(k)];
  }
  for (auto& counts : calls)
    for (std::size_t k = ascending.size(); k-- > 0;) counts[k] += counts[k + 1];
  const auto n = static_cast<double>(calls[0][0]), m = static_cast<double>(calls[1][0]);
  const double p = prevalence.value_or(m / (m + n));
  for (std::size_t b = 0; b < thresholds.size(); ++b) {
    if (std::isnan(thresholds[b])) continue;
    // The threshold is the k-th smallest, so samples called by at least k + 1 thresholds reach it.
    const auto k = static_cast<std::size_t>(
        std::lower_bound(ascending.begin(), ascending.end(), thresholds[b]) - ascending.begin());
    const auto true_positives = static_cast<double>(calls[1][k + 1]);
    const auto false_positives = static_cast<double>(calls[0][k + 1]);
    const double sensitivity = true_positives / m, specificity = 1 - false_positives / n;
    const auto predictive = [](double right, double wrong) { return right / (right + wrong); };
    const double of_metric[] = {sensitivity,
                                specificity,
                                0.5 * (sensitivity + specificity),
                                (true_positives + false_positives) / (m + n),
                                predictive(sensitivity * p, (1 - specificity) * (1 - p)),
                                predictive(specificity * (1 - p), (1 - sensitivity) * p)};
    for (std::size_t i = 0; i < std::size(of_metric); ++i)
      values[i][b] = static_cast<float>(of_metric[i]);
  }
  return values;
}

}  // namespace mr::stats
