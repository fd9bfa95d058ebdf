// A contact sheet: one slice under artifacts at severities 1 to 5, and what changed.
#pragma once
#include <string>
#include <vector>

#include "base/run.h"
#include "dataset/corrupt.h"

namespace mr::dataset {

struct SheetOptions {
  std::vector<std::string> artifacts;  // a pair of rows each
  std::optional<std::int64_t> slice;   // along the slice axis; unset: the middle one
  std::uint64_t seed = 1;
  int threads = 1;
};

/// PNG: for each artifact a row of the clean slice and the slice at severities 1 to 5, all in the
/// clean slice's window (0 to its 99.5th percentile), and a row of differences from clean, grey
/// where nothing changed, black and white at minus and plus half of that window. Artifacts that the
/// image cannot take are left out, with a warning. throws DataError when none is left, or there is
/// no such slice
std::string contact_sheet(const CleanImage& clean, const std::string& id,
                          const SheetOptions& options, const std::string& name,
                          const Messages& messages);

}  // namespace mr::dataset
