// DICOM files as frames: one plane of voxels each, wherever in a file it lies. Private to the room.
#pragma once
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "image/storage.h"

namespace mr::image {

using Vector = std::array<double, 3>;
double dot(const Vector& a, const Vector& b);
Vector cross(const Vector& a, const Vector& b);

/// How the pixels of one file lie in it.
struct PixelFormat {
  int bits_allocated = 16, bits_stored = 16;
  bool is_signed = false;
  bool inverted = false;                // MONOCHROME1: the smallest stored value is white
  std::optional<std::int64_t> padding;  // the stored value of what is no image

  bool operator==(const PixelFormat& o) const {
    return bits_allocated == o.bits_allocated && bits_stored == o.bits_stored &&
           is_signed == o.is_signed && inverted == o.inverted;
  }
  Datatype datatype() const {
    return bits_allocated == 8 ? (is_signed ? Datatype::i8 : Datatype::u8)
                               : (is_signed ? Datatype::i16 : Datatype::u16);
  }
  /// Stored values that fit `bits`.
  std::int64_t lowest(int bits) const { return is_signed ? -(std::int64_t{1} << (bits - 1)) : 0; }
  std::int64_t highest(int bits) const {
    return (std::int64_t{1} << (is_signed ? bits - 1 : bits)) - 1;
  }
  /// lowest + highest: what a stored value and its inverse add up to.
  std::int64_t mirror() const { return lowest(bits_stored) + highest(bits_stored); }
};

/// The elements of an item, found fast: DCMTK walks its list anew for each.
class Elements {
 public:
  Elements() = default;
  explicit Elements(DcmItem& item);
  DcmElement* find(const DcmTagKey& tag) const;  // null where it is not there
  std::string text(const DcmTagKey& tag) const;  // as text_of
  std::optional<double> number(const DcmTagKey& tag, unsigned long index = 0) const;

 private:
  std::vector<std::pair<std::uint32_t, DcmElement*>> elements_;  // by tag
};

/// One file, read up to its pixels.
struct DicomFile {
  std::string name;  // for messages
  std::string file_name;
  std::unique_ptr<DcmFileFormat> file;
  std::uint64_t file_bytes = 0;
  int frames = 1, rows = 0, columns = 0;
  PixelFormat format;
  Elements elements;  // of the dataset

  DcmDataset& dataset() const { return *file->getDataset(); }
};

/// One plane of voxels: a file, one of its frames, or a tile of a mosaic.
struct Frame {
  std::shared_ptr<DicomFile> file;
  int index = 0;              // of the frame within the file
  int row = 0, column = 0;    // of the tile's first pixel within the frame
  int rows = 0, columns = 0;  // of the plane
  Storage storage;
  std::string image_type;               // ImageType or FrameType
  std::string component;                // "M", "P", "R" or "I"; "": not said
  std::optional<double> philips_scale;  // (2005,100E)
  std::optional<double> echo_ms, diffusion_b;
  bool is_trace = false;  // computed of several diffusion directions
  Vector position{}, row_direction{}, column_direction{};  // LPS+ mm; along increasing i and j
  double spacing_i = 0, spacing_j = 0;                     // mm
  std::optional<double> step;                  // between slices [mm], as the header says
  std::array<std::optional<double>, 7> times;  // what may tell repeats apart, best first
};

/// An element of a frame: in its own or the shared functional groups, under `group`, or of the
/// dataset itself (where classic files have all).
class FrameItems {
 public:
  explicit FrameItems(const DicomFile& file, int frame = 0);
  /// Null where it is not there.
  DcmElement* element(const DcmTagKey& group, const DcmTagKey& tag) const;
  std::string text(const DcmTagKey& group, const DcmTagKey& tag) const;
  std::optional<double> number(const DcmTagKey& group, const DcmTagKey& tag,
                               unsigned long index = 0) const;

 private:
  const Elements* dataset_;
  DcmItem *shared_ = nullptr, *own_ = nullptr;
};

/// Values without the blanks that pad them; "" where there are none.
std::string text_of(DcmItem& item, const DcmTagKey& tag);

/// Philips: the items of its private attributes in a functional group, and the scale slope (SS).
inline const DcmTagKey philips_items(0x2005, 0x140f), philips_scale_slope(0x2005, 0x100e);

/// Header text for a message: one short line whatever the file holds.
std::string shown(std::string value);

/// `path` is read, `name` is for messages. throws DataError where it is damaged; `file` holds what
/// stands before the damage
void open_dicom(const std::string& path, const std::string& name, DicomFile& file);

/// A directory of files (DICOMDIR), not an image.
bool is_directory(const DicomFile& file);

/// What the object is where it says that it is no MR image: "CTImageStorage"; else "".
std::string other_object(const DicomFile& file);

/// throws DataError "NAME: what is wrong" where this is not an image that we read
std::vector<Frame> frames_of(std::shared_ptr<DicomFile> file);

/// The frame's stored pixels in native order: rows x columns of the file, not of a tile. Bits
/// above those stored are taken off, MONOCHROME1 is turned over. throws DataError
void read_frame(const DicomFile& file, int frame, std::vector<char>& pixels);

}  // namespace mr::image
