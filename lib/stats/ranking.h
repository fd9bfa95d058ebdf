// stats/: samples in the order of their scores; what every rank statistic starts from.
#pragma once
#include <cstddef>

#include "stats/roc.h"

namespace mr::stats {

/// Samples of one score: order[begin .. end).
struct TieGroup {
  float score;
  std::size_t begin, end;
  std::int64_t positives, negatives;
};

struct Ranking {
  std::vector<std::size_t> order;  // indices of the samples of known truth, scores descending
  std::vector<TieGroup> groups;    // likewise
  std::int64_t positives = 0, negatives = 0;
};

/// throws  DataError on a NaN score, a truth other than -1, 0, 1, or lengths that differ
Ranking rank(const std::vector<float>& scores, const std::vector<std::int8_t>& truth);

/// As the functions of roc.h, from samples already ranked.
Value auroc(const Ranking& ranking);
Value average_precision(const Ranking& ranking);

}  // namespace mr::stats
