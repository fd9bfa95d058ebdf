#include "stats/roc.h"

#include <limits>

#include "stats/ranking.h"

namespace mr::stats {

Value auroc(const Ranking& ranking) {
  if (ranking.positives == 0) return {{}, "no positive samples"};
  if (ranking.negatives == 0) return {{}, "no negative samples"};
  // Pairs won, counting ties half: multiples of 1/2, exact in double up to 2^52 pairs.
  double won = 0;
  std::int64_t positives_above = 0;
  for (const auto& group : ranking.groups) {
    won += static_cast<double>(group.negatives) *
           (static_cast<double>(positives_above) + 0.5 * static_cast<double>(group.positives));
    positives_above += group.positives;
  }
  const auto pairs =
      static_cast<double>(ranking.positives) * static_cast<double>(ranking.negatives);
  return {won / pairs, ""};
}

Value average_precision(const Ranking& ranking) {
  if (ranking.positives == 0) return {{}, "no positive samples"};
  double sum = 0;
  std::int64_t true_positives = 0;
  for (const auto& group : ranking.groups) {
    true_positives += group.positives;
    sum += static_cast<double>(group.positives) * static_cast<double>(true_positives) /
           static_cast<double>(group.end);
  }
  return {sum / static_cast<double>(ranking.positives), ""};
}

Value auroc(const std::vector<float>& scores, const std::vector<std::int8_t>& truth) {
  return auroc(rank(scores, truth));
}

Value average_precision(const std::vector<float>& scores, const std::vector<std::int8_t>& truth) {
  return average_precision(rank(scores, truth));
}

std::vector<RocPoint> roc_points(const std::vector<float>& scores,
                                 const std::vector<std::int8_t>& truth) {
  const auto ranking = rank(scores, truth);
  if (ranking.positives == 0 || ranking.negatives == 0) return {};
  std::vector<RocPoint> points{{std::numeric_limits<double>::infinity(), 0, 0}};
  std::int64_t true_positives = 0, false_positives = 0;
  for (const auto& group : ranking.groups) {
    true_positives += group.positives;
    false_positives += group.negatives;
    points.push_back(
        {group.score, static_cast<double>(true_positives) / static_cast<double>(ranking.positives),
         static_cast<double>(false_positives) / static_cast<double>(ranking.negatives)});
  }
  return points;
}

}  // namespace mr::stats
