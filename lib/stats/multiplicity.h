// stats/: p values adjusted for many tests. Order is kept, adjusted values never exceed 1.
#pragma once
#include <vector>

namespace mr::stats {

// Both throw DataError on a p value outside 0 to 1.

/// Family-wise error (Holm 1979): for the candidates against the baseline.
std::vector<double> holm(const std::vector<double>& p);

/// False discovery rate (Benjamini and Hochberg 1995): for the cells of a heat map.
std::vector<double> benjamini_hochberg(const std::vector<double>& p);

}  // namespace mr::stats
