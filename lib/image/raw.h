// Measured k-space: fastMRI and ISMRMRD (HDF5), BART (.cfl with .hdr) and NumPy (.npy). HDF5 and
// pugixml are called here only.
#pragma once
#include <array>
#include <string>

#include "image/image_file.h"

namespace mr::image {

/// Zero frequency stands at n / 2 of every encoded axis; what was not measured is 0.
struct Raw {
  /// complex64 [coil, slice or second phase encode, rows, columns], of the encoded field of view,
  /// with its affine. acquisition.dim4 is "coil", and mode says whether axis k is encoded, too.
  Volume kspace;
  /// Slices, rows and columns that an image is cut to, about its centre: readouts are oversampled.
  std::array<std::int64_t, 3> image_size{};
};

/// By its contents (HDF5, NumPy) or name (.cfl).
bool is_raw(const std::string& path);

/// throws MissingInputError, IoError, DataError "PATH: what is wrong": neither layout, not
/// Cartesian, several contrasts or repetitions, sizes that the file does not hold
Raw read_raw(const std::string& path);

/// Index of the first of `kept` samples about the centre (index n / 2) of `length`.
std::int64_t first_kept(std::int64_t length, std::int64_t kept);

/// Affine of an image that was cut so. shape  coils, slices, rows, columns
Affine cut_affine(const Affine& affine, const std::array<std::int64_t, 4>& shape,
                  const std::array<std::int64_t, 3>& size);

/// Of the image that the k-space makes. Errors as read_raw, but of what the header says alone.
Header read_raw_header(const std::string& path);

}  // namespace mr::image
