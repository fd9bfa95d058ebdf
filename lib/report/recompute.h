// report/: programs that compute the headline of a report once more, with nothing of ours.
#pragma once
#include <string>

#include "report/scope.h"

namespace mr::report {

/// Each arm minus the baseline on the endpoint, with its interval, p value and variance, from the
/// file of mr-report --scores: in Python (NumPy, SciPy) and in R. They print the same CSV.
std::string recompute_python(const Scope& scope);
std::string recompute_r(const Scope& scope);

}  // namespace mr::report
