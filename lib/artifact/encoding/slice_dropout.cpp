#include <algorithm>
#include <numeric>

#include "artifact/encoding/slice_factors.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("slices_percent") != 0;
}

/// Slices drop out in one drawn order, so that those of a lower severity are among those of a
/// higher one: a whole number of them and a last one in part. Each has a depth of its own.
Drawn draw(const Context& context, const Values& values) {
  require_slices(context, "slice-dropout");
  const auto slices = static_cast<std::size_t>(context.slices());
  std::vector<std::size_t> order(slices);
  std::iota(order.begin(), order.end(), std::size_t{0});
  shuffle(context.stream("order"), order);
  double left = values.at("slices_percent") / 100 * static_cast<double>(slices);
  std::vector<double> factors(slices, 1.0);
  for (std::size_t i = 0; i < slices && left > 0; ++i, --left) {
    const double depth = uniform(context.stream("depth"), i, 0.3, 1);
    factors[order[i]] = 1 - std::min(1.0, left) * depth;
  }
  return scale_slices(std::move(factors));
}

}  // namespace

Artifact slice_dropout() {
  return {{"slice-dropout",
           "Motion during diffusion encoding or a lost excitation: single slices turn dark",
           "Andersson et al. 2016, Neuroimage 141:556 (slice-wise signal dropout)",
           Stage::encoding,
           {{"slices_percent",
             "%",
             "share of the slices that lose 30 to 100 % of their signal, the last one in part",
             0,
             100,
             {2, 5, 10, 20, 30},
             0}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
