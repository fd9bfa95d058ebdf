#include <algorithm>

#include "artifact/engine.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("mirror_readout") >= 0.5 || values.at("mirror_phase_encode") >= 0.5;
}

/// Voxels are stored in another order while the header stays, as by a wrong export or a header that
/// was lost: left and right, or front and back, are exchanged; with both the image is turned by
/// half. There is no more or less of it: all severities are the same.
Drawn draw(const Context&, const Values& values) {
  Drawn drawn;
  drawn.apply = [readout = values.at("mirror_readout") >= 0.5,
                 lines = values.at("mirror_phase_encode") >= 0.5](Block& block, int threads) {
    const auto n = block.readout();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t) {
      for (auto* part : {re, im}) {
        if (!part) continue;
        for (std::int64_t line = 0; readout && line < block.lines(); ++line)
          std::reverse(part + line * n, part + (line + 1) * n);
        for (std::int64_t line = 0; lines && line < block.lines() / 2; ++line)
          std::swap_ranges(part + line * n, part + (line + 1) * n,
                           part + (block.lines() - 1 - line) * n);
      }
    });
  };
  return drawn;
}

Parameter mirror(const char* name, const char* description, double value) {
  return {name, "1", description, 0, 1, {value, value, value, value, value}, 0};
}

}  // namespace

Artifact orientation() {
  return {{"orientation",
           "Voxels mirrored under a header that stays: wrong side, upside down",
           "DICOM PS3.3 2024, C.7.6.2.1.1 (orientation)",
           Stage::export_,
           {mirror("mirror_readout", "1: mirrored along the readout", 1),
            mirror("mirror_phase_encode", "1: mirrored along phase encoding", 0)},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
