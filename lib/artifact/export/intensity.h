// Export of what the eye sees: the last steps before a file act on the magnitude.
#pragma once
#include <functional>
#include <vector>

#include "artifact/engine.h"
#include "artifact/rows.h"
#include "base/threads.h"

namespace mr::artifact {

/// Calls body(values [lines, readout], slice) for each slice. Of a magnitude image the values are
/// its magnitude, and the block is real afterwards; voxels that were never complex keep their sign.
/// Of a complex image they are the magnitude, and the phase stays; where the magnitude was 0, it is
/// taken as 0.
void on_magnitude(Block& block, bool complex_image, int threads,
                  const std::function<void(float* values, std::int64_t slice)>& body);

enum class Where { everywhere, foreground };

/// Calls body(values, how many) for the magnitudes of a part of the whole clean image, all frames,
/// in pieces that it may overwrite.
void for_clean_magnitudes(const Context& context, Where where, std::int64_t part,
                          const std::function<void(float* values, std::int64_t n)>& body);

/// What body(state, values, how many) makes of each part, from `start`; in their order, so that
/// what is added up does not depend on the threads.
template <typename State, typename Body>
std::vector<State> scan_clean_magnitudes(const Context& context, Where where, const State& start,
                                         Body body) {
  const auto parts = parts_of(count(context.volume.shape()));
  std::vector<State> states(static_cast<std::size_t>(parts), start);
  parallel_for(context.threads, parts, [&](std::int64_t part) {
    auto& state = states[static_cast<std::size_t>(part)];
    for_clean_magnitudes(context, where, part,
                         [&](float* values, std::int64_t n) { body(state, values, n); });
  });
  return states;
}

/// In an order that does not depend on the machine's vector width.
double sum_of(const float* values, std::int64_t n);

/// Of the magnitudes of the whole clean image, all frames; share 0 is the smallest, 1 the largest.
/// source  Hyndman and Fan 1996, Am Stat 50:361, type 7
std::vector<double> clean_quantiles(const Context& context, Where where,
                                    const std::vector<double>& shares);

/// The same of values, not empty.
double quantile(const std::vector<float>& values, double share, int threads);

}  // namespace mr::artifact
