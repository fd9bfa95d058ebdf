// What the DICOM reader leaves for the writer. Private to the room.
#pragma once
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "image/dicom.h"
#include "image/storage.h"

namespace mr::image {

/// How the pixels of one series lie in its files; the same for all slices.
struct PixelFormat {
  int bits_allocated = 16, bits_stored = 16;
  bool is_signed = false;
  bool inverted = false;  // MONOCHROME1: the smallest stored value is white

  bool operator==(const PixelFormat& o) const {
    return bits_allocated == o.bits_allocated && bits_stored == o.bits_stored &&
           is_signed == o.is_signed && inverted == o.inverted;
  }
  /// Stored values that fit `bits`.
  std::int64_t lowest(int bits) const { return is_signed ? -(std::int64_t{1} << (bits - 1)) : 0; }
  std::int64_t highest(int bits) const {
    return (std::int64_t{1} << (is_signed ? bits - 1 : bits)) - 1;
  }
  /// lowest + highest: what a stored value and its inverse add up to.
  std::int64_t mirror() const { return lowest(bits_stored) + highest(bits_stored); }
};

struct DicomOrigin : FileOrigin {
  struct Source {
    std::string file_name;
    std::unique_ptr<DcmFileFormat> file;  // without its pixels
  };
  DicomKind kind = DicomKind::file;
  PixelFormat format;
  std::vector<Source> sources;  // along Z
  double bright_end = 0;        // of the voxels as read
  mutable std::mutex mutex;     // DCMTK's lists keep a cursor: even reading is not for two threads
  double storable(double scale) const override;
};

/// The 99.5th percentile of some 65,000 voxels.
double bright_end(const Volume& volume);

/// Scale as a decimal string of at most 16 characters (DS).
std::string decimal_string(double scale);

}  // namespace mr::image
