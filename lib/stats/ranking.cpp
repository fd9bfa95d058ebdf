#include "stats/ranking.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/error.h"

namespace mr::stats {

Ranking rank(const std::vector<float>& scores, const std::vector<std::int8_t>& truth) {
  if (scores.size() != truth.size())
    throw DataError("scores: want one per truth value, got " + std::to_string(scores.size()) +
                    " for " + std::to_string(truth.size()));
  Ranking ranking;
  std::vector<std::pair<float, std::size_t>> by_score;  // side by side: they are compared often
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (truth[i] < -1 || truth[i] > 1)
      throw DataError("truth: want 0, 1 or -1, got " + std::to_string(truth[i]) + " at sample " +
                      std::to_string(i));
    if (std::isnan(scores[i])) throw DataError("scores: NaN at sample " + std::to_string(i));
    if (truth[i] >= 0) by_score.emplace_back(scores[i], i);
  }
  std::sort(by_score.begin(), by_score.end(),
            [](const auto& a, const auto& b) { return a.first > b.first; });
  auto& order = ranking.order;
  order.reserve(by_score.size());
  for (const auto& [score, sample] : by_score) order.push_back(sample);
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    TieGroup group{scores[order[begin]], begin, begin, 0, 0};
    for (; end < order.size() && scores[order[end]] == group.score; ++end)
      ++(truth[order[end]] ? group.positives : group.negatives);
    group.end = end;
    ranking.positives += group.positives;
    ranking.negatives += group.negatives;
    ranking.groups.push_back(group);
  }
  return ranking;
}

}  // namespace mr::stats
