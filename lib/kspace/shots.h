// Which lines of k-space were measured together, and in which order.
#pragma once
#include <cstdint>
#include <vector>

namespace mr::kspace {

enum class LineOrder {
  linear,      // lines one after another, `echo_train` neighbours a shot
  interleaved  // turbo spin echo: shot s measures lines s, s + S, s + 2 S, ...
};

/// Shots follow each other by the repetition time, within which the echoes of one shot lie close
/// together: what moves between shots is still within one.
struct ShotTable {
  LineOrder order;
  int echo_train;                 // lines a shot; the last may have fewer
  int shots;                      // S
  std::vector<int> shot_of_line;  // for each line 0 .. n - 1, zero frequency at n / 2
  int shot_of_centre() const { return shot_of_line[shot_of_line.size() / 2]; }
};

/// throws DataError unless lines and echo_train are positive
ShotTable shot_table(std::int64_t lines, LineOrder order, int echo_train);

}  // namespace mr::kspace
