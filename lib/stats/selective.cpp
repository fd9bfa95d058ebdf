#include "stats/selective.h"

#include <cmath>
#include <limits>

namespace mr::stats {
namespace {

/// Samples of one confidence: a tie group on either side of the threshold, or on both.
struct Level {
  const TieGroup* sides[2] = {nullptr, nullptr};  // called positive, called negative
  double samples = 0, errors = 0;

  void add(const TieGroup& group, bool called) {
    sides[called ? 0 : 1] = &group;
    samples += static_cast<double>(group.positives + group.negatives);
    errors += static_cast<double>(called ? group.negatives : group.positives);
  }
};

/// The surest first. Groups descend by score, so those far above the threshold are at one end, and
/// those far below at the other: both ends are merged.
std::vector<Level> by_confidence(const Ranking& ranking, double threshold) {
  std::vector<Level> levels;
  std::size_t first = 0, end = ranking.groups.size();
  constexpr double none = -std::numeric_limits<double>::infinity();
  while (first < end) {
    const auto &high = ranking.groups[first], &low = ranking.groups[end - 1];
    const double above = high.score >= threshold ? high.score - threshold : none;
    const double below = low.score < threshold ? threshold - low.score : none;
    levels.emplace_back();
    if (above >= below) {
      levels.back().add(high, true);
      ++first;
    }
    if (below >= above) {
      levels.back().add(low, false);
      --end;
    }
  }
  return levels;
}

/// use(sample, whether its decision is wrong) for each of a level
template <typename Use>
void each_sample(const Level& level, const Ranking& ranking, const std::vector<std::int8_t>& truth,
                 const Use& use) {
  for (const bool called : {true, false})
    if (const auto* group = level.sides[called ? 0 : 1])
      for (std::size_t i = group->begin; i < group->end; ++i) {
        const auto sample = ranking.order[i];
        use(sample, (truth[sample] == 1) != called ? 1.0 : 0.0);
      }
}

/// With weights w, sum_i sum_j w_i w_j error_j [j surer than i, or half as sure] / (sum w)^2.
SampleWise generalised(const std::vector<Level>& levels, const Ranking& ranking,
                       const std::vector<std::int8_t>& truth) {
  const auto n = static_cast<double>(ranking.order.size());
  SampleWise area{0.0, std::vector<double>(truth.size()), ""};
  double kept = 0, errors = 0;
  for (const auto& level : levels) {
    *area.value += level.samples * (errors + 0.5 * level.errors) / (n * n);
    errors += level.errors;
  }
  errors = 0;
  for (const auto& level : levels) {
    const double surer_errors = errors + 0.5 * level.errors;
    const double less_sure = n - kept - 0.5 * level.samples;
    each_sample(level, ranking, truth, [&](std::size_t sample, double error) {
      area.influence[sample] = (surer_errors + error * less_sure) / (n * n) - 2 * *area.value / n;
    });
    kept += level.samples;
    errors += level.errors;
  }
  return area;
}

/// sum_k share_k risk_k, where risk_k = errors / samples down to level k and share_k is half of the
/// coverage of the levels k and k + 1 (of the first, all of its own). One more sample in level q
/// changes share_q-1 and share_q by 1/2, and every risk from q on.
SampleWise selective(const std::vector<Level>& levels, const Ranking& ranking,
                     const std::vector<std::int8_t>& truth) {
  const auto n = static_cast<double>(ranking.order.size());
  SampleWise area{0.0, std::vector<double>(truth.size()), ""};
  std::vector<double> kept(levels.size()), risk(levels.size()), share(levels.size());
  double samples = 0, errors = 0;
  for (std::size_t k = 0; k < levels.size(); ++k) {
    kept[k] = samples += levels[k].samples;
    risk[k] = (errors += levels[k].errors) / samples;
    share[k] = levels[k].samples * (k == 0 ? 1 : 0.5) +
               (k + 1 < levels.size() ? 0.5 * levels[k + 1].samples : 0);
    *area.value += share[k] * risk[k] / n;
  }
  double by_error = 0, by_sample = 0;  // over the levels from q on
  for (std::size_t q = levels.size(); q-- > 0;) {
    by_error += share[q] / kept[q];
    by_sample += share[q] * risk[q] / kept[q];
    const double own = 0.5 * (risk[q] + risk[q == 0 ? 0 : q - 1]);
    each_sample(levels[q], ranking, truth, [&](std::size_t sample, double error) {
      area.influence[sample] = (own + error * by_error - by_sample - *area.value) / n;
    });
  }
  return area;
}

}  // namespace

RiskCoverage risk_coverage(const Ranking& ranking, const std::vector<std::int8_t>& truth,
                           double threshold) {
  const std::string reason = ranking.order.empty()       ? "no samples of known truth"
                             : !std::isfinite(threshold) ? "the threshold is infinite"
                                                         : "";
  if (!reason.empty()) return {{{}, {}, reason}, {{}, {}, reason}};
  const auto levels = by_confidence(ranking, threshold);
  return {selective(levels, ranking, truth), generalised(levels, ranking, truth)};
}

}  // namespace mr::stats
