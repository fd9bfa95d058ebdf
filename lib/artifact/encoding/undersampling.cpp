#include <algorithm>
#include <cmath>
#include <numeric>

#include "artifact/engine.h"
#include "base/error.h"
#include "base/text.h"

namespace mr::artifact {
namespace {

/// The central lines that are always measured.
std::pair<std::int64_t, std::int64_t> calibration(std::int64_t lines, double fraction) {
  const auto count = static_cast<std::int64_t>(std::lround(fraction * static_cast<double>(lines)));
  const auto first = lines / 2 - count / 2;
  return {first, first + count};
}

/// The centre, then lines in a drawn order until n / R are measured: a higher R measures some of
/// the lines of a lower one.
std::vector<char> random_lines(const Context& context, double acceleration, double centre) {
  const auto n = context.lines();
  const auto [first, last] = calibration(n, centre);
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  shuffle(context.stream("lines"), order);
  std::stable_partition(
      order.begin(), order.end(),
      [first = first, last = last](std::int64_t line) { return line >= first && line < last; });
  const auto wanted = static_cast<std::int64_t>(std::lround(static_cast<double>(n) / acceleration));
  const auto count = std::max({std::int64_t{1}, last - first, wanted});
  std::vector<char> measured(order.size(), 0);
  for (std::int64_t i = 0; i < count; ++i)
    measured[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = 1;
  return measured;
}

/// Every R-th line, that of zero frequency among them, and the centre.
std::vector<char> regular_lines(const Context& context, double acceleration, double centre) {
  const auto n = context.lines(), step = static_cast<std::int64_t>(acceleration);
  if (static_cast<double>(step) != acceleration)
    throw DataError("undersampling: regular lines want a whole acceleration, got " +
                    shortest(acceleration));
  const auto [first, last] = calibration(n, centre);
  std::vector<char> measured;
  for (std::int64_t line = 0; line < n; ++line)
    measured.push_back((line - n / 2) % step == 0 || (line >= first && line < last));
  return measured;
}

bool acts(const Values& values) {
  return values.at("acceleration") != 1;
}

/// Lines that are not measured are zero. All slices, coils and partitions miss the same lines.
Drawn draw(const Context& context, const Values& values) {
  const double acceleration = values.at("acceleration"), centre = values.at("centre");
  const auto measured = values.at("regular") != 0 ? regular_lines(context, acceleration, centre)
                                                  : random_lines(context, acceleration, centre);
  Drawn drawn;
  AxisWeights weights;
  std::vector<std::size_t> lines;
  for (std::size_t line = 0; line < measured.size(); ++line) {
    weights.lines.emplace_back(measured[line]);
    if (measured[line]) lines.push_back(line);
  }
  drawn.values.set("measured_lines", lines);
  // Lines of the centre come on top of regular ones, so that R is less than its name.
  drawn.values.set("true_acceleration",
                   static_cast<double>(measured.size()) / static_cast<double>(lines.size()));
  drawn.weights = std::move(weights);
  return drawn;
}

}  // namespace

Artifact undersampling() {
  return {{"undersampling",
           "Lines of k-space left out and taken as zero: noise-like or coherent copies",
           "Lustig, Donoho and Pauly 2007, Magn Reson Med 58:1182; Zbontar et al. 2018 (fastMRI)",
           Stage::encoding,
           {{"acceleration",
             "1",
             "number of lines / number of lines measured",
             1,
             64,
             {1.1, 1.25, 1.5, 2, 4},
             1},
            {"centre",
             "1",
             "share of the lines, around zero frequency, that is always measured",
             0,
             1,
             {0.04, 0.04, 0.04, 0.04, 0.04},
             0.04},
            {"regular",
             "1",
             "1: every R-th line (R whole) instead of drawn ones",
             0,
             1,
             {0, 0, 0, 0, 0},
             0}},
           2,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
