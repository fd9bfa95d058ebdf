#include "image/image_file.h"

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/text.h"
#include "image/byte_source.h"
#include "image/dicom.h"
#include "image/nifti.h"

namespace mr::image {
namespace {

constexpr std::size_t prefix_bytes = 512;

/// The header of a pair where the image half was named.
std::string header_beside(const std::string& path) {
  const bool packed = ends_with(path, ".gz");
  const auto stem = packed ? path.substr(0, path.size() - 3) : path;
  if (!ends_with(stem, ".img")) return path;
  const auto header = stem.substr(0, stem.size() - 4) + ".hdr";
  for (const auto& candidate : {header, header + ".gz"})
    if (exists(candidate)) return candidate;
  return path;
}

/// Is the file at `path` DICOM? A folder is; a pipe can be looked at only by reading it.
bool is_dicom_path(const std::string& path) {
  if (is_folder(path)) return true;
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) &&
         looks_like_dicom(read_prefix(path, prefix_bytes));
}

}  // namespace

bool looks_like_image(std::string_view prefix) {
  return looks_like_dicom(prefix) || looks_like_nifti(unpacked_prefix(prefix, prefix_bytes));
}

Volume read_image(const std::string& path) {
  if (path == "-") return read_image(read_all(path), "standard input");
  if (is_dicom_path(path)) return read_dicom(path);
  ByteSource source(header_beside(path));
  return read_nifti(source);
}

Volume read_image(std::string bytes, const std::string& name) {
  if (looks_like_dicom(bytes)) return read_dicom(bytes, name);
  ByteSource source(std::move(bytes), name);
  return read_nifti(source);
}

Header read_header(const std::string& path) {
  if (is_dicom_path(path)) return read_dicom_header(path);
  ByteSource source(header_beside(path));
  return read_nifti_header(source);
}

std::string encode_image(const Volume& volume, const Derivation& derivation, bool packed,
                         std::uint64_t uid_seed) {
  switch (dicom_kind(volume)) {
    case DicomKind::folder:
      throw UsageError("a DICOM series is a folder, not one file: name an output folder");
    case DicomKind::file:
      return encode_dicom(volume, derivation, uid_seed);
    case DicomKind::none:
      break;
  }
  auto bytes = encode_nifti(volume, derivation);
  return packed ? gzip(bytes) : bytes;
}

void write_image(const Volume& volume, const std::string& path, const Derivation& derivation,
                 std::uint64_t uid_seed, Overwrite overwrite) {
  require_absent(path, overwrite);  // before the work of encoding
  if (dicom_kind(volume) == DicomKind::folder)
    return write_dicom_folder(volume, path, derivation, uid_seed, overwrite);
  write_file(path, encode_image(volume, derivation, ends_with(path, ".gz"), uid_seed), overwrite);
}

std::string natural_extension(const Volume& volume) {
  switch (dicom_kind(volume)) {
    case DicomKind::folder:
      return "";
    case DicomKind::file:
      return ".dcm";
    case DicomKind::none:
      break;
  }
  return is_packed_nifti(volume) ? ".nii.gz" : ".nii";
}

Volume make_volume(Shape shape, const Affine& affine, Datatype datatype) {
  Volume volume;
  if (datatype == Datatype::c64 || datatype == Datatype::c128)
    volume.complex_voxels = Array<Complex>(std::move(shape));
  else
    volume.voxels = Array<float>(std::move(shape));
  volume.affine = affine;
  for (std::size_t c = 0; c < 3; ++c)
    volume.spacing_mm[c] = std::sqrt(affine[0][c] * affine[0][c] + affine[1][c] * affine[1][c] +
                                     affine[2][c] * affine[2][c]);
  volume.storage.datatype = datatype;
  return volume;
}

}  // namespace mr::image
