// results/: may an arm be preferred to the baseline?
#pragma once
#include "results/contrasts.h"
#include "results/protocol.h"
#include "stats/decision.h"

namespace mr::results {

enum class Outcome { prefer, equivalent, non_inferior, harmful, inconclusive };
const char* name(Outcome outcome);  // "prefer", "equivalent", "non-inferior only", ...

/// An artifact under which the arm loses more than the guard, or may do.
struct Harm {
  std::string artifact;
  Estimate difference;  // mean over severities, arm minus baseline
  bool shown = false;   // false: not excluded
};

/// A label that the frozen threshold does not serve: sensitivity below the floor, or a rise of the
/// alarm rate above the cap. A mean over artifacts.
struct OperatingFailure {
  std::size_t label = 0;
  Metric metric = Metric::sensitivity;  // or alarm_rate
  double severity = 0;
  Estimate estimate;  // of the sensitivity, or of the rise
};

enum class Requirement { non_inferior_clean, superior_corrupted };
const char* name(Requirement requirement);  // "non-inferiority on clean images", ...

/// What a preference lacks, and how large a study would have shown it with 80 % power at the
/// margin.
struct Missing {
  Requirement requirement;
  std::optional<double> p;              // of it alone, after Holm
  std::optional<double> p_unadjusted;   // before
  std::optional<stats::MoreData> more;  // none where the difference has no variance
  std::int64_t subjects = 0, runs = 0;  // now
};

struct Verdict {
  std::string arm;
  Estimate clean, endpoint;  // differences from the baseline, macro AUROC
  // Of non-inferiority on clean images and superiority on the endpoint together: the larger of both
  // (intersection-union, Berger 1982), after Holm; of the first alone, and of equivalence on both
  // (two one-sided tests), likewise.
  std::optional<double> p_prefer, p_non_inferior, p_equivalent;
  std::optional<double> p_superior;  // on the endpoint alone, likewise
  std::vector<Missing> missing;      // of an arm that is inconclusive or non-inferior only
  std::vector<Harm> harms;
  std::vector<OperatingFailure> operating;
  Outcome outcome = Outcome::inconclusive;
};

/// On clean images and at each severity that the rule reaches to; none of models without
/// thresholds.
std::vector<OperatingFailure> operating_failures(const Study& study, const std::string& arm,
                                                 const Rule& rule);

/// Each arm but the baseline. Tests come first; what stands against an arm can only remove the
/// preference. Harm is shown where an artifact's difference is below −guard and the upper end of
/// its 95 % interval below 0, and not excluded where the lower end is below −guard. An arm with
/// harm that is shown, or whose clean performance is shown to be worse than −margin, is harmful.
std::vector<Verdict> decide(const Study& study, const std::string& baseline, const Rule& rule);

}  // namespace mr::results
