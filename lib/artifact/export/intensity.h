// Export of what the eye sees: the last steps before a file act on the magnitude.
#pragma once
#include <functional>
#include <vector>

#include "artifact/engine.h"

namespace mr::artifact {

/// Calls body(values [lines, readout], slice) for each slice. Of a magnitude image the values are
/// its magnitude, and the block is real afterwards; voxels that were never complex keep their sign.
/// Of a complex image they are the magnitude, and the phase stays; where the magnitude was 0, it is
/// taken as 0.
void on_magnitude(Block& block, bool complex_image, int threads,
                  const std::function<void(float* values, std::int64_t slice)>& body);

enum class Where { everywhere, foreground };

/// Calls body(values, how many) for the magnitudes of the whole clean image, all frames, in pieces
/// that it may overwrite.
void for_clean_magnitudes(const Context& context, Where where,
                          const std::function<void(float* values, std::int64_t n)>& body);

double least_clean_magnitude(const Context& context);

/// In an order that does not depend on the machine's vector width.
double sum_of(const float* values, std::int64_t n);
std::int64_t sum_of(const std::uint8_t* mask, std::int64_t n);

/// Of the magnitudes of the whole clean image, all frames; share 0 is the smallest, 1 the largest.
/// source  Hyndman and Fan 1996, Am Stat 50:361, type 7
std::vector<double> clean_quantiles(const Context& context, Where where,
                                    const std::vector<double>& shares);

/// The same of values, not empty.
double quantile(const std::vector<float>& values, double share);

}  // namespace mr::artifact
