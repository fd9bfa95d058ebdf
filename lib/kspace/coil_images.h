// From measured k-space to images: one for each coil, which artifacts act on, and their
// combination.
#pragma once
#include <string>

#include "image/raw.h"

namespace mr::kspace {

struct CoilImages {
  image::Volume images;  // complex [coil, slice, rows, columns] of the encoded field of view
  std::array<std::int64_t, 3> image_size{};  // slices, rows, columns that the combination is cut to
  Array<image::Complex> sensitivities;       // of `sense`, as images; else empty
};

/// Centred unitary inverse transforms of all encoded axes. acquisition.combine chooses how coils
/// are to be combined: "rss" (default) or "sense", whose sensitivities are those of the 24 central
/// lines and samples under a Hann window, divided by their root of the sum of squares.
/// source  McKenzie et al., Magn Reson Med 2002;47:529 (self-calibration)
CoilImages coil_images(image::Raw raw);

/// The magnitude image of `coils`, cut, as NIfTI float32: sqrt(sum |I_c|^2), or for `sense`
/// |sum conj(S_c) I_c| / sum |S_c|^2.
/// source  Roemer et al., Magn Reson Med 1990;16:192, (28); Pruessmann et al., Magn Reson Med
/// 1999;42:952, (2) without acceleration
image::Volume combine(const CoilImages& coils);

/// An image file; k-space is reconstructed. Errors as image::read_image and image::read_raw.
image::Volume read_image(const std::string& path);

/// Its header; that of k-space is of the image that it makes.
image::Header read_header(const std::string& path);

}  // namespace mr::kspace
