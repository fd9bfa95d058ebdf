// stats/: intervals by drawing subjects anew, for what has no influence function.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"

namespace mr::stats {

/// How often each subject is in a resample. [P]
using Times = std::vector<std::int32_t>;

/// Of resample `number`: P subjects drawn with replacement. A function of key and number alone; all
/// statistics of one key and number see the same subjects.
void draw_subjects(RandomKey key, std::uint64_t number, Times& times);

/// The p quantile of ascending values, at least one: number 7 of Hyndman and Fan 1996, as R and
/// NumPy have it.
double quantile(const std::vector<double>& ascending, double p);

struct Bootstrap {
  std::optional<double> low, high;             // percentiles 2.5 and 97.5
  std::int64_t replicates = 0, discarded = 0;  // discarded: the statistic had no value
  std::string reason;                          // why there is no interval
};

/// Percentile interval of a statistic of resampled subjects (Efron 1979; subjects as the unit:
/// Field and Welsh 2007). No interval where more than 5 % of the replicates have no value.
/// subjects   P, at least 1
/// statistic  called from `threads` threads at once, whose number does not show in the result
Bootstrap cluster_bootstrap(
    RandomKey key, std::int32_t subjects, std::int64_t replicates,
    const std::function<std::optional<double>(const Times& times)>& statistic, int threads);

}  // namespace mr::stats
