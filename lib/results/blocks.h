// results/: arms ranked in each of several independent groups of subjects, e.g. scanners.
#pragma once
#include "results/contrasts.h"
#include "stats/blocks.h"

namespace mr::results {

/// Of one attribute. A block is a value of it; images that lack it are none.
struct BlockTest {
  std::string attribute;
  std::vector<std::string> blocks;  // values
  std::vector<std::string> arms;    // the baseline first
  stats::Friedman friedman;         // of the arms; mean ranks in their order
  // Of each arm after the first: signed ranks of its differences from the baseline, Holm over arms.
  std::vector<stats::Value> p;
  std::vector<std::optional<double>> p_adjusted;
  std::string reason;  // why there is no test at all
};

/// The macro AUROC of each arm in each subgroup, corrupted (the endpoint) where artifacts were
/// evaluated, else clean. None where a subject is in two subgroups: such blocks are not
/// independent.
std::vector<BlockTest> block_tests(const Study& study, const std::string& baseline);

}  // namespace mr::results
