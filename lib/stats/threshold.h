// stats/: operating points. Chosen on clean validation data, then frozen.
#pragma once
#include "stats/roc.h"

namespace mr::stats {

struct OperatingRule {
  enum class Kind { sensitivity_at_least, youden } kind = Kind::sensitivity_at_least;
  double target = 0.90;  // of sensitivity_at_least, in (0, 1]
};

/// "sens>=0.90" or "youden"; throws UsageError "operating rule: want ..., got 'x'".
OperatingRule parse_operating_rule(const std::string& text);
std::string name(const OperatingRule& rule);

/// The threshold t of the rule, on the scores' scale; positive is score >= t.
/// sensitivity_at_least  the largest t whose sensitivity reaches the target
/// youden                the largest sensitivity + specificity - 1 (Youden 1950); of equal ones
///                       that of higher sensitivity
/// returns               no value where a class is absent; errors as auroc
Value choose_threshold(const std::vector<float>& scores, const std::vector<std::int8_t>& truth,
                       const OperatingRule& rule);

}  // namespace mr::stats
