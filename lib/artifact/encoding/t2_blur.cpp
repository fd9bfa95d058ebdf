#include <algorithm>
#include <cmath>

#include "artifact/encoding/line_weights.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("train_over_t2") != 0;
}

bool is_assumed(const Timing& timing, const std::string& member) {
  return std::find(timing.assumed.begin(), timing.assumed.end(), member) != timing.assumed.end();
}

/// The scan's own order of lines. Where it is not stated, and the sequence is turbo spin echo or
/// unknown, a train that starts at the centre, whose blur this is (artifacts.md 5.7). In an order
/// that comes to the centre in mid-train, lines of earlier echoes weigh more than 1, and so does
/// what noise the image has there: a long train in such an order leaves little of an image.
kspace::ShotTable echo_trains(const Context& context) {
  const auto& timing = context.timing;
  auto table = timing.table;
  const bool may_be_tse = is_assumed(timing, "sequence") || timing.preset == "tse";
  if (is_assumed(timing, "line_order") && may_be_tse) {
    auto options = table.options;
    options.order = kspace::LineOrder::centre_out;
    if (is_assumed(timing, "echo_train"))
      options.echo_train = static_cast<int>(std::min<std::int64_t>(8, context.lines()));
    table = kspace::shot_table(context.lines(), options);
  }
  if (table.options.echo_train < 2)
    throw DataError("t2-blur: want a scan of at least 2 echoes a shot, got one (" + timing.preset +
                    "): nothing decays between its lines; acquisition.echo_train says otherwise");
  return table;
}

/// w(y) = exp(-(t_e(y) - TE_eff) / T2), t_e the time of the echo that line y is, TE_eff that of the
/// central line, so that w is 1 there and the mean stays. One T2 for the whole object. The train's
/// length in units of T2 is the parameter: (t_e - TE_eff) / T2 = length (e - e_centre) / train.
Drawn draw(const Context& context, const Values& values) {
  const auto table = echo_trains(context);
  const double echo_over_t2 = values.at("train_over_t2") / table.options.echo_train;
  Drawn drawn;
  drawn.values.set("line_order", kspace::name(table.options.order))
      .set("echo_train", table.options.echo_train)
      .set("t2_ms", table.options.echo_spacing_ms / echo_over_t2)
      .set("echo_of_line", Record::list());
  for (const auto& line : table.lines) drawn.values.append("echo_of_line", line.echo);
  if (!context.timing.assumed.empty()) drawn.values.set("assumed", context.timing.assumed);
  weigh_lines(
      context,
      [&](std::int64_t, std::int64_t line) {
        const int echo = table.lines[static_cast<std::size_t>(line)].echo;
        return std::exp(-echo_over_t2 * (echo - table.centre().echo));
      },
      drawn);
  return drawn;
}

}  // namespace

Artifact t2_blur() {
  return {{"t2-blur",
           "Signal that decays along a turbo spin-echo train: blur along phase encoding",
           "Constable and Gore 1992, Magn Reson Med 28:9 (RARE: decay as a filter of k-space)",
           Stage::encoding,
           {{"train_over_t2", "1", "length of the echo train / T2", 0, 20, {1, 2, 4, 6, 10}, 0}},
           2,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
