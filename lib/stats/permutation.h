// stats/: a test of two single networks by exchange of their ranks.
#pragma once
#include "base/random.h"
#include "stats/influence.h"

namespace mr::stats {

struct Permutation {
  std::optional<double> difference;  // mean over members of AUROC a - AUROC b
  std::optional<double> p;           // two-sided
  std::int64_t exchanges = 0;        // how many were looked at; of all of them where exact
  bool exact = false;
  std::string reason;  // why there is no p
};

/// Of two networks on the same samples: the chance of a difference as large where each subject's
/// ranks in a and b may as well be exchanged. That is exchangeability, which is more than an equal
/// AUROC. Ranks are those within the network, since scales differ between networks; all of a
/// subject's samples in all members go together. p = (1 + as large) / (1 + exchanges), exchanges
/// drawn at random; of all 2^P where they are at most `most`: as large / 2^P.
/// a, b     members: labels, conditions; members without both classes are left out
/// throws   DataError where a and b differ in size, truth or subjects
/// source   Phipson and Smyth 2010 (p); Bandos et al. 2005 (exchange of ranks)
Permutation exchange_ranks(const std::vector<Cases>& a, const std::vector<Cases>& b, RandomKey key,
                           std::int64_t most);

}  // namespace mr::stats
