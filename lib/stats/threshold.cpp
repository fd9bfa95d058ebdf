#include "stats/threshold.h"

#include <system_error>

#include "base/error.h"
#include "base/text.h"
#include "stats/ranking.h"

namespace mr::stats {

OperatingRule parse_operating_rule(const std::string& text) {
  static const std::string prefix = "sens>=";
  if (text == "youden") return {OperatingRule::Kind::youden, 0};
  const auto wrong =
      UsageError("operating rule: want sens>=X with 0 < X <= 1, or youden, got '" + text + "'");
  if (text.compare(0, prefix.size(), prefix) != 0) throw wrong;
  const auto target = to_number(text.substr(prefix.size()));
  if (!target || *target <= 0 || *target > 1) throw wrong;
  return {OperatingRule::Kind::sensitivity_at_least, *target};
}

std::string name(const OperatingRule& rule) {
  return rule.kind == OperatingRule::Kind::youden ? "youden" : "sens>=" + shortest(rule.target);
}

Value choose_threshold(const std::vector<float>& scores, const std::vector<std::int8_t>& truth,
                       const OperatingRule& rule) {
  const auto ranking = rank(scores, truth);
  if (ranking.positives == 0) return {{}, "no positive samples"};
  if (ranking.negatives == 0) return {{}, "no negative samples"};
  std::int64_t true_positives = 0, false_positives = 0, best = -1;
  Value chosen;
  for (const auto& group : ranking.groups) {
    true_positives += group.positives;
    false_positives += group.negatives;
    if (rule.kind == OperatingRule::Kind::sensitivity_at_least) {
      const auto sensitivity =
          static_cast<double>(true_positives) / static_cast<double>(ranking.positives);
      if (sensitivity >= rule.target) return {group.score, ""};
      continue;
    }
    // J times both class sizes, in whole numbers: a tie is a tie. Thresholds descend, so of equal
    // J the later has the higher sensitivity.
    const auto j = true_positives * ranking.negatives - false_positives * ranking.positives;
    if (j >= best) {
      best = j;
      chosen.value = group.score;
    }
  }
  return chosen;
}

}  // namespace mr::stats
