// report/: every estimate of a report, one at a time, for the files that programs read.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "report/scope.h"

namespace mr::report {

enum class Quantity {
  level,       // of an arm
  change,      // of an arm: corrupted minus clean
  difference,  // arm minus baseline
};
const char* name(Quantity quantity);

struct Record {
  Quantity quantity = Quantity::level;
  std::string arm;
  std::optional<std::int64_t> run;  // one run alone; none: the mean over runs
  std::string reference;            // of a difference: the baseline's arm
  std::string artifact;  // "clean", an artifact, "all" (the endpoint), "as given:motion:3", ...
  std::optional<double> severity;  // none: the mean over severities, or no ladder
  std::string label;               // or "macro"
  Metric metric = Metric::auroc;
  Estimate estimate;
  std::optional<double> p_adjusted;
  std::string adjustment;  // "holm" (candidates), "bh" (cells of a heat map), ""
};

/// Levels of all metrics, with their runs, then changes and differences, by arm.
void for_each_record(const Scope& scope, const std::function<void(const Record&)>& seen);

}  // namespace mr::report
