#include "artifact/encoding/slice_factors.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("loss_percent") != 0;
}

/// A slice whose neighbours were excited earlier in the repetition finds spins that these have
/// saturated at its two faces: each such neighbour costs half of the loss. In an interleaved scan
/// that is the second pass; in a sequential one every slice but the first has one such neighbour.
/// One loss for all tissues: what T1 recovers between two passes is part of the number.
Drawn draw(const Context& context, const Values& values) {
  require_slices(context, "slice-crosstalk");
  if (context.slices() < 2)
    throw DataError("slice-crosstalk: want at least 2 slices, the image has 1");
  const double loss = values.at("loss_percent") / 100;
  const auto& delays = context.timing.slice_delays_ms;
  std::vector<double> factors;
  for (std::size_t s = 0; s < delays.size(); ++s) {
    const bool before = s > 0 && delays[s - 1] < delays[s];
    const bool after = s + 1 < delays.size() && delays[s + 1] < delays[s];
    factors.push_back(1 - loss * (0.5 * before + 0.5 * after));
  }
  return scale_slices(std::move(factors));
}

}  // namespace

Artifact slice_crosstalk() {
  return {{"slice-crosstalk",
           "Slice profiles overlap: slices excited after their neighbours are darker",
           "Bernstein, King and Zhou 2004, Handbook of MRI Pulse Sequences, ch. 11.5 (slice order)",
           Stage::encoding,
           {{"loss_percent",
             "%",
             "signal lost by a slice whose two neighbours were excited before it",
             0,
             100,
             {3, 6, 12, 20, 35},
             0}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
