// Pictures of slices for people: radiological view, square pixels, one window.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "dataset/manifest.h"

namespace mr::dataset {

struct Picture {
  int rows = 0, columns = 0;
  std::vector<float> pixels;  // [rows, columns], magnitudes
};

/// A slice (unset: the middle one), resampled to square pixels so that its longer side has at most
/// `longest_px`; never enlarged.
Picture picture_of(const image::Volume& volume, const std::optional<Slice>& slice, int longest_px);

/// 99.5th percentile of the pixels, at least above 0: white.
float white_of(const Picture& picture);

/// 0 at `black` and below, 255 at `white` and above; [rows, columns].
std::vector<std::uint8_t> to_grey(const Picture& picture, float black, float white);

}  // namespace mr::dataset
