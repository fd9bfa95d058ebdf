// stats/: what is gained where the surest decisions are taken and the others deferred to a reader.
#pragma once
#include "stats/ranking.h"

namespace mr::stats {

struct RiskCoverage {
  SampleWise aurc;   // area under the selective risk: errors among what is kept
  SampleWise augrc;  // area under the generalised risk: errors that are kept, among all
};

/// Both over the coverage, the share of samples that is kept when those nearest to the threshold go
/// first. A decision is score >= threshold, an error one that differs from the truth, confidence
/// |score - threshold|; samples of equal confidence go together. Trapezoids; the selective risk at
/// coverage 0 is that of the surest samples. 0 where there is no error.
/// ranking    of the scores; truth [N] as there
/// returns    no value without samples of known truth, or at an infinite threshold
/// source     Geifman and El-Yaniv 2017 (AURC); Traub et al. 2024 (AUGRC)
RiskCoverage risk_coverage(const Ranking& ranking, const std::vector<std::int8_t>& truth,
                           double threshold);

}  // namespace mr::stats
