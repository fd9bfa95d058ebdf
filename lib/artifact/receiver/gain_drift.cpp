#include "artifact/encoding/line_weights.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("change") != 0;
}

/// K(y) (1 +- delta (t - t_centre) / T): the gain of the receiver rises or falls evenly through the
/// scan. The central line keeps its gain, so the mean stays.
Drawn draw(const Context& context, const Values& values) {
  const double sign = uniform(context.stream("sign"), 0) < 0.5 ? -1 : 1;
  const double change = sign * values.at("change");
  Drawn drawn;
  drawn.values = times_record(context);
  drawn.values.set("change", change);
  weigh_lines(
      context,
      [&](std::int64_t, std::int64_t line) { return 1 + change * scan_share(context, line); },
      drawn);
  return drawn;
}

}  // namespace

Artifact gain_drift() {
  return {{"gain-drift",
           "Receiver gain that drifts through the scan: slight blur, edges or ghosts",
           "Bernstein, King and Zhou 2004, Handbook of MRI Pulse Sequences, ch. 11 (k-space)",
           Stage::receiver,
           {{"change",
             "1",
             "change of the gain from the first line to the last / gain at the central line",
             0,
             0.95,
             {0.02, 0.05, 0.1, 0.2, 0.4},
             0}},
           2,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
