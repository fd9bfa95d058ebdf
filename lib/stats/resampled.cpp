#include "stats/resampled.h"

#include <cmath>

#include "stats/ranking.h"

namespace mr::stats {

ResampledAuroc::ResampledAuroc(const Cases& cases) {
  const auto ranking = rank(cases.scores, cases.truth);
  for (const auto& group : ranking.groups)
    for (std::size_t i = group.begin; i < group.end; ++i) {
      const auto sample = ranking.order[i];
      samples_.push_back(4 * cases.subject[sample] + (i + 1 == group.end ? 2 : 0) +
                         cases.truth[sample]);
    }
}

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

}  // namespace mr::stats
