// MR images in DICOM: classic, enhanced multi-frame and Siemens mosaic, of one file, a folder or a
// DICOMDIR. DCMTK is called here only. Private to the room.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "image/image_file.h"

namespace mr::image {

/// `path` is a file, a folder or a DICOMDIR, `image` the name of one of its images (dicom_series.h,
/// stacks_at); "" where it is the only one.
Volume read_dicom(const std::string& path, const std::string& image, bool phase = false);
Volume read_dicom_bytes(std::string_view bytes, const std::string& name);
Header read_dicom_header(const std::string& path, const std::string& image);
Listing list_dicom(const std::string& path);

enum class DicomKind { none, file, folder };
DicomKind dicom_kind(const Volume& volume);

/// A derived object of a lone source file: new UIDs, explicit little-endian, not compressed.
std::string encode_dicom(const Volume& volume, const Derivation& derivation,
                         std::uint64_t uid_seed);

/// The same of a series: a folder of files named after their sources.
void write_dicom_folder(const Volume& volume, const std::string& path, const Derivation& derivation,
                        std::uint64_t uid_seed, Overwrite overwrite);

}  // namespace mr::image
