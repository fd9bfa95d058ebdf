// stats/: how two quantities go together.
#pragma once
#include <optional>
#include <vector>

namespace mr::stats {

/// Rank correlation, ties by mid-ranks; none for fewer than 2 pairs or where one of the two is
/// constant.
/// throws  DataError on a NaN, or lengths that differ
/// source  Spearman 1904
std::optional<double> spearman(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace mr::stats
