// Which lines of k-space were measured together, in which order, and when.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"

namespace mr::kspace {

enum class LineOrder {
  linear,       // line after line, `echo_train` neighbours a shot
  interleaved,  // turbo spin echo: shot s measures lines s, s + S, s + 2 S, ...: echo e fills band
                // e
  centre_out,   // low-high: the first echoes measure the bands next to the centre
  segmented,    // as interleaved, the bands rotated so that echo `effective_echo` meets the centre
  epi,     // each shot runs through all of k-space, every S-th line, every second one backwards
  mprage,  // 3-D: one line a shot, all partitions within it
  random,  // any line in any shot, but the central three in the first
};
std::string name(LineOrder order);
std::vector<std::string> line_order_names();
LineOrder parse_line_order(const std::string& name);  // throws UsageError with the nearest name

struct ShotOptions {
  LineOrder order = LineOrder::interleaved;
  int echo_train = 8;           // lines a shot; epi: lines a shot, i.e. n / shots
  double tr_ms = 3000;          // from shot to shot
  double echo_spacing_ms = 10;  // from line to line within a shot
  int effective_echo = 0;       // of segmented
  RandomKey key;                // of random
};

/// When and how one line was measured.
struct Readout {
  int shot = 0, echo = 0;  // from 0; a line's place within its shot
  double time_ms = 0;      // from the first line; shot tr + echo spacing
  bool reversed = false;   // read from high to low frequencies (EPI)
};

/// Shots follow each other by the repetition time, within which the echoes of one shot lie close
/// together: what moves between shots is still within one.
struct ShotTable {
  ShotOptions options;
  int shots = 0;               // S
  std::vector<Readout> lines;  // [n]; zero frequency at n / 2
  const Readout& centre() const { return lines[lines.size() / 2]; }
  double duration_ms() const;  // to the last line
};

/// The table is a permutation: each (shot, echo) is met once.
/// throws DataError unless lines, echo_train and times are positive
/// source Bernstein, King and Zhou 2004, Handbook of MRI Pulse Sequences, ch. 11.5 (view order),
///        16.4 (RARE), 16.1 (EPI)
ShotTable shot_table(std::int64_t lines, const ShotOptions& options);

/// Order of slices within a repetition of a 2-D multi-slice scan, as time from the start of the
/// repetition [ms]: "interleaved" 0, 2, 4, ..., 1, 3, ...; "sequential"; "reverse".
/// throws UsageError on another order
std::vector<double> slice_delays_ms(std::int64_t slices, const std::string& order, double tr_ms);

}  // namespace mr::kspace
