#include "kspace/shots.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>

#include "base/error.h"
#include "base/text.h"

namespace mr::kspace {
namespace {

constexpr std::array<const char*, 7> order_names = {
    "linear", "interleaved", "centre-out", "segmented", "epi", "mprage", "random"};

using Places = std::vector<Readout>;

/// Lines in the order in which they are taken, `train` a shot.
Places in_sequence(const std::vector<std::int64_t>& order, int train) {
  Places places(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    auto& place = places[static_cast<std::size_t>(order[i])];
    place.shot = static_cast<int>(i) / train;
    place.echo = static_cast<int>(i) % train;
  }
  return places;
}

std::vector<std::int64_t> ascending(std::int64_t n) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

/// Lines by their distance from the centre, the nearer first.
std::vector<std::int64_t> outwards(std::int64_t n) {
  auto order = ascending(n);
  std::stable_sort(order.begin(), order.end(), [n](std::int64_t a, std::int64_t b) {
    return std::abs(a - n / 2) < std::abs(b - n / 2);
  });
  return order;
}

/// The e-th band of S lines of `order` belongs to echo e; within a band, line s to shot s.
Places in_bands(const std::vector<std::int64_t>& order, int shots) {
  Places places(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    auto& place = places[static_cast<std::size_t>(order[i])];
    place.shot = static_cast<int>(i) % shots;
    place.echo = static_cast<int>(i) / shots;
  }
  return places;
}

/// Bands rotated by whole echoes, so that the centre's is `effective_echo`. The last band may be
/// short: only whole trains are rotated, echo numbers stay within the train.
Places segmented(std::int64_t n, int shots, int effective_echo) {
  auto places = in_bands(ascending(n), shots);
  const int train = static_cast<int>((n + shots - 1) / shots);
  const int centre = places[static_cast<std::size_t>(n / 2)].echo;
  const int turn = ((effective_echo - centre) % train + train) % train;
  for (auto& place : places) place.echo = (place.echo + turn) % train;
  return places;
}

Places epi(std::int64_t n, int shots) {
  auto places = in_bands(ascending(n), shots);
  for (auto& place : places) place.reversed = place.echo % 2 == 1;
  return places;
}

Places random_places(std::int64_t n, int train, RandomKey key) {
  auto order = ascending(n);
  shuffle(key, order);
  // The central three go first, in the order drawn.
  std::stable_partition(order.begin(), order.end(),
                        [n](std::int64_t line) { return std::abs(line - n / 2) <= 1; });
  return in_sequence(order, train);
}

Places places_of(std::int64_t n, const ShotOptions& o) {
  const int shots = static_cast<int>((n + o.echo_train - 1) / o.echo_train);
  switch (o.order) {
    case LineOrder::linear:
      return in_sequence(ascending(n), o.echo_train);
    case LineOrder::interleaved:
      return in_bands(ascending(n), shots);
    case LineOrder::centre_out:
      return in_bands(outwards(n), shots);
    case LineOrder::segmented:
      return segmented(n, shots, o.effective_echo);
    case LineOrder::epi:
      return epi(n, shots);
    case LineOrder::mprage:
      return in_sequence(ascending(n), 1);
    case LineOrder::random:
      return random_places(n, o.echo_train, o.key);
  }
  throw Error(ExitStatus::internal, "line order out of range");
}

}  // namespace

std::string name(LineOrder order) {
  return order_names[static_cast<std::size_t>(order)];
}

std::vector<std::string> line_order_names() {
  return {order_names.begin(), order_names.end()};
}

LineOrder parse_line_order(const std::string& text) {
  for (std::size_t i = 0; i < order_names.size(); ++i)
    if (text == order_names[i]) return static_cast<LineOrder>(i);
  throw UsageError(unknown("line order", text, line_order_names()));
}

double ShotTable::duration_ms() const {
  double last = 0;
  for (const auto& line : lines) last = std::max(last, line.time_ms);
  return last;
}

ShotTable shot_table(std::int64_t lines, const ShotOptions& options) {
  if (lines < 1 || options.echo_train < 1)
    throw DataError("shot table: want at least one line and one echo, got " +
                    std::to_string(lines) + " and " + std::to_string(options.echo_train));
  if (!(options.tr_ms > 0 && options.echo_spacing_ms > 0))
    throw DataError("shot table: want times > 0 ms, got " + shortest(options.tr_ms) + " and " +
                    shortest(options.echo_spacing_ms));
  ShotTable table{options, 0, places_of(lines, options)};
  if (options.order == LineOrder::mprage) table.options.echo_train = 1;
  for (auto& line : table.lines) {
    table.shots = std::max(table.shots, line.shot + 1);
    line.time_ms = line.shot * options.tr_ms + line.echo * options.echo_spacing_ms;
  }
  return table;
}

std::vector<double> slice_delays_ms(std::int64_t slices, const std::string& order, double tr_ms) {
  std::vector<std::int64_t> sequence;
  if (order == "interleaved") {
    for (const int first : {0, 1})
      for (std::int64_t s = first; s < slices; s += 2) sequence.push_back(s);
  } else if (order == "sequential" || order == "reverse") {
    sequence = ascending(slices);
    if (order == "reverse") std::reverse(sequence.begin(), sequence.end());
  } else {
    throw UsageError(unknown("slice order", order, {"interleaved", "sequential", "reverse"}));
  }
  std::vector<double> delays(static_cast<std::size_t>(slices));
  for (std::size_t i = 0; i < sequence.size(); ++i)
    delays[static_cast<std::size_t>(sequence[i])] =
        tr_ms * static_cast<double>(i) / static_cast<double>(slices);
  return delays;
}

}  // namespace mr::kspace
