// When each line of k-space of an image was measured: from its header or manifest, else from what
// sequences of its name usually do. Motion, breathing, pulsation, decay and drifts share it.
#pragma once
#include <string>
#include <vector>

#include "artifact/recipe.h"
#include "artifact/record.h"
#include "kspace/shots.h"

namespace mr::artifact {

struct Timing {
  kspace::ShotTable table;              // lines of the phase-encode axis
  std::vector<double> slice_delays_ms;  // [slices] within a repetition; all 0 in 3-D
  std::string preset;                   // the kind of sequence that was taken
  std::vector<std::string> assumed;     // members of the acquisition that were not known

  /// From the first line of the scan.
  double time_ms(std::int64_t slice, std::int64_t line) const {
    return slice_delays_ms[static_cast<std::size_t>(slice)] +
           table.lines[static_cast<std::size_t>(line)].time_ms;
  }
};

/// `key` is that of the random line order.
/// throws DataError on an order or time that the acquisition states wrongly
Timing timing_of(const image::Volume& volume, const Roles& roles, RandomKey key);

/// {line_order, echo_train, shots, tr_ms, echo_spacing_ms, preset, assumed}
Record record_of(const Timing& timing);

}  // namespace mr::artifact
