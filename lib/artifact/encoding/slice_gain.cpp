#include <cmath>

#include "artifact/encoding/slice_factors.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("offset") != 0 || values.at("spread") != 0;
}

/// log g(s) = +- offset, the sign that of odd or even slices, plus x(s) with x(0) ~ N(0, spread^2),
/// x(s) = c x(s - 1) + sqrt(1 - c^2) spread e(s): the spread is the same in every slice.
Drawn draw(const Context& context, const Values& values) {
  require_slices(context, "slice-gain");
  const double offset = values.at("offset"), spread = values.at("spread");
  const double correlation = values.at("correlation");
  const double sign = uniform(context.stream("sign"), 0) < 0.5 ? -1 : 1;
  const auto key = context.stream("gain");
  std::vector<double> factors;
  double x = 0;
  for (std::int64_t s = 0; s < context.slices(); ++s) {
    const double innovation = spread * normal(key, static_cast<std::uint64_t>(s));
    x = s == 0 ? innovation
               : correlation * x + std::sqrt(1 - correlation * correlation) * innovation;
    factors.push_back(std::exp((s % 2 == 0 ? sign : -sign) * offset + x));
  }
  return scale_slices(std::move(factors));
}

}  // namespace

Artifact slice_gain() {
  return {{"slice-gain",
           "Gain that differs between odd and even slices and wanders along the stack",
           "Box, Jenkins and Reinsel 1994, Time Series Analysis, section 3.2.3 (AR(1), stationary)",
           Stage::encoding,
           {{"offset",
             "1",
             "logarithm of the gain of odd slices, its negative that of even ones, or the reverse",
             0,
             2,
             {0.02, 0.04, 0.08, 0.15, 0.25},
             0},
            {"spread",
             "1",
             "standard deviation of what wanders of the logarithm of the gain",
             0,
             2,
             {0.01, 0.02, 0.04, 0.075, 0.125},
             0},
            {"correlation",
             "1",
             "correlation of what wanders between neighbouring slices",
             0,
             0.999,
             {0.8, 0.8, 0.8, 0.8, 0.8},
             0.8}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
