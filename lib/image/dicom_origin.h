// What the DICOM reader leaves for the writer. Private to the room.
#pragma once
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "image/dicom.h"
#include "image/dicom_frames.h"
#include "image/storage.h"

namespace mr::image {

struct DicomOrigin : FileOrigin {
  struct Source {
    std::string file_name;
    std::unique_ptr<DcmFileFormat> file;  // without its pixels
    int frames = 1, rows = 0, columns = 0;
  };
  struct Place {  // of a plane
    std::size_t source = 0;
    int frame = 0, row = 0, column = 0;  // the last two: of the tile in a mosaic
  };
  DicomKind kind = DicomKind::file;
  PixelFormat format;
  std::vector<Source> sources;
  std::vector<Place> places;       // of plane f * Z + z
  bool is_philips_scaled = false;  // values are not those that RescaleSlope makes
  double bright_end = 0;           // of the voxels as read
  mutable std::mutex mutex;  // DCMTK's lists keep a cursor: even reading is not for two threads
  double storable(double scale) const override;
};

/// "2.25." and a UUID in decimal (ITU-T X.667), version 8 (RFC 9562), from a SHA-256.
std::string uid_from(const std::string& text);

/// The 99.5th percentile of some 16,000 voxels.
double bright_end(const Volume& volume);

/// Puts a value. throws DataError where DCMTK does not take it
void set(DcmItem& item, const DcmTagKey& tag, const std::string& value);
/// A code sequence of one item, in place of what is there.
void set_code(DcmItem& item, const DcmTagKey& sequence, const std::string& value,
              const std::string& scheme, const std::string& meaning);

/// Scale as a decimal string of at most 16 characters (DS).
std::string decimal_string(double scale);

}  // namespace mr::image
