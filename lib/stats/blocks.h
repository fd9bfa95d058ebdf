// stats/: tests over blocks, e.g. scanners, of treatments that each block saw. Blocks must be
// independent: no subject in two of them.
#pragma once
#include <cstddef>
#include <vector>

#include "stats/roc.h"

namespace mr::stats {

inline constexpr std::size_t fewest_blocks = 5;

struct Friedman {
  std::vector<double> mean_ranks;   // 1: the highest value
  std::optional<double> chi2, p;    // corrected for ties, k - 1 degrees of freedom
  std::optional<double> f, p_of_f;  // Iman and Davenport, k - 1 and (k - 1)(N - 1)
  std::string reason;               // why something is absent
};

/// Does any of k treatments rank differently over N blocks?
/// values   [N][k]
/// returns  no test with fewer than 3 treatments or 5 blocks, or where each block ties all
/// throws   DataError on blocks of different length
/// source   Friedman 1937; ties: Conover 1999, section 5.8; Iman and Davenport 1980
Friedman friedman(const std::vector<std::vector<double>>& values);

/// Two-sided p of the signed ranks of differences, all 2^n signs counted; zeros are ranked, then
/// dropped (Wilcoxon 1945, Pratt 1959). No value with fewer than 5 blocks, or where all are zero.
Value signed_rank(const std::vector<double>& differences);

}  // namespace mr::stats
