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

/// What the two areas are made of, level by level; levels of an array are those of `levels`.
struct Areas {
  double n = 0;                      // samples
  std::vector<double> kept, errors;  // down to and with the level
  std::vector<double> share;  // of the selective risk there: half of both neighbours' samples
  std::vector<double> by_error, by_sample;  // from the level on: what a further error, sample adds
  double selective = 0, generalised = 0;
};

/// Selective: sum_k share_k risk_k / n, where risk_k = errors / samples down to level k and share_k
/// is half of the samples of the levels k and k + 1 (of the first, all of its own). Generalised:
/// sum_i sum_j error_j [j surer than i, or half where as sure] / n^2.
Areas areas_of(const std::vector<Level>& levels) {
  Areas a;
  const auto count = levels.size();
  a.kept = a.errors = a.share = a.by_error = a.by_sample = std::vector<double>(count);
  double errors = 0;
  for (std::size_t k = 0; k < count; ++k) {
    a.kept[k] = a.n += levels[k].samples;
    a.generalised += levels[k].samples * (errors + 0.5 * levels[k].errors);
    a.errors[k] = errors += levels[k].errors;
    a.share[k] =
        levels[k].samples * (k == 0 ? 1 : 0.5) + (k + 1 < count ? 0.5 * levels[k + 1].samples : 0);
    a.selective += a.share[k] * errors / a.kept[k];
  }
  a.selective /= a.n;
  a.generalised /= a.n * a.n;
  double by_error = 0, by_sample = 0;
  for (std::size_t k = count; k-- > 0;) {
    a.by_error[k] = by_error += a.share[k] / a.kept[k];
    a.by_sample[k] = by_sample += a.share[k] * a.errors[k] / (a.kept[k] * a.kept[k]);
  }
  return a;
}

}  // namespace

RiskCoverage risk_coverage(const Ranking& ranking, const std::vector<std::int8_t>& truth,
                           double threshold) {
  const std::string reason = ranking.order.empty()       ? "no samples of known truth"
                             : !std::isfinite(threshold) ? "the threshold is infinite"
                                                         : "";
  if (!reason.empty()) return {{{}, {}, reason}, {{}, {}, reason}};
  const auto levels = by_confidence(ranking, threshold);
  const auto a = areas_of(levels);
  RiskCoverage areas{{a.selective, std::vector<double>(truth.size()), ""},
                     {a.generalised, std::vector<double>(truth.size()), ""}};
  // One more sample in level q changes the shares of q - 1 and q by 1/2 each, and every risk from q
  // on; and it is surer than those below, and less sure than those above.
  for (std::size_t q = 0; q < levels.size(); ++q) {
    const auto& level = levels[q];
    const double risk = a.errors[q] / a.kept[q];
    const double own = 0.5 * (risk + (q == 0 ? risk : a.errors[q - 1] / a.kept[q - 1]));
    const double selective = own - a.by_sample[q] - a.selective;
    const double surer_errors = a.errors[q] - 0.5 * level.errors;
    const double less_sure = a.n - a.kept[q] + 0.5 * level.samples;
    for (const bool called : {true, false}) {
      const auto* group = level.sides[called ? 0 : 1];
      if (!group) continue;
      for (std::size_t i = group->begin; i < group->end; ++i) {
        const auto sample = ranking.order[i];
        const double error = (truth[sample] == 1) != called ? 1 : 0;
        areas.aurc.influence[sample] = (selective + error * a.by_error[q]) / a.n;
        areas.augrc.influence[sample] =
            ((surer_errors + error * less_sure) / a.n - 2 * a.generalised) / a.n;
      }
    }
  }
  return areas;
}

}  // namespace mr::stats
