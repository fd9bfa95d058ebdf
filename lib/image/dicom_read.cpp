#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcspchrs.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "image/dicom_origin.h"
#include "image/jpeg.h"

namespace mr::image {
namespace {

using Vector = std::array<double, 3>;

/// DCMTK's codecs, once, and its logger, which would print.
void prepare_dcmtk() {
  static std::once_flag once;
  std::call_once(once, [] {
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    DJDecoderRegistration::registerCodecs();
    DJLSDecoderRegistration::registerCodecs();
  });
}

double dot(const Vector& a, const Vector& b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

Vector cross(const Vector& a, const Vector& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

/// One file, read up to its pixels.
struct Slice {
  std::string name;  // for messages
  std::string file_name;
  std::unique_ptr<DcmFileFormat> file;
  std::uint64_t file_bytes = 0;
  std::string series;
  int rows = 0, columns = 0;
  PixelFormat format;
  Storage storage;
  std::string component;  // of a complex value: "M", "P", "R" or "I"; "": not said
  std::optional<double> echo_ms;
  Vector position{}, row{}, column{};   // LPS+ mm; directions along increasing i and j
  double spacing_i = 0, spacing_j = 0;  // mm

  DcmDataset& dataset() const { return *file->getDataset(); }
};

std::string text(DcmDataset& dataset, const DcmTagKey& tag) {
  OFString value;
  dataset.findAndGetOFStringArray(tag, value);
  const auto first = value.find_first_not_of(' ');
  const auto last = value.find_last_not_of(' ');
  return first == OFString_npos ? "" : value.substr(first, last - first + 1).c_str();
}

std::optional<double> number(DcmDataset& dataset, const DcmTagKey& tag, unsigned long index = 0) {
  Float64 x = 0;
  if (dataset.findAndGetFloat64(tag, x, index).bad() || !std::isfinite(x)) return std::nullopt;
  return x;
}

std::optional<std::int64_t> integer(DcmDataset& dataset, const DcmTagKey& tag) {
  Sint32 x = 0;  // DCMTK sets it to 0 where it finds nothing
  if (dataset.findAndGetSint32(tag, x).bad()) return std::nullopt;
  return x;
}

/// Header text for a message: one short line whatever the file holds.
std::string shown(std::string value) {
  for (char& c : value)
    if (c < ' ' || c > '~') c = '?';
  return "'" + value.substr(0, 32) + "'";
}

std::string described(const DcmTagKey& tag) {
  return std::string(DcmTag(tag).getTagName()) + " " + tag.toString().c_str();
}

double want_number(const Slice& slice, const DcmTagKey& tag, unsigned long index = 0) {
  if (const auto x = number(slice.dataset(), tag, index)) return *x;
  throw DataError(slice.name + ": want a number in " + described(tag) + ", found " +
                  shown(text(slice.dataset(), tag)));
}

int want_integer(const Slice& slice, const DcmTagKey& tag) {
  Uint16 x = 0;
  if (slice.dataset().findAndGetUint16(tag, x).bad())
    throw DataError(slice.name + ": lacks " + described(tag));
  return x;
}

Vector want_vector(const Slice& slice, const DcmTagKey& tag, unsigned long first = 0) {
  return {want_number(slice, tag, first), want_number(slice, tag, first + 1),
          want_number(slice, tag, first + 2)};
}

bool is_directory(DcmDataset& dataset) {
  return dataset.tagExists(DCM_DirectoryRecordSequence) && text(dataset, DCM_SOPClassUID).empty();
}

void require_single_frame_mr(const Slice& slice) {
  auto& dataset = slice.dataset();
  const auto sop_class = text(dataset, DCM_SOPClassUID);
  if (is_directory(dataset))
    throw DataError(slice.name +
                    ": a DICOMDIR, which lists files: name the folder that holds a series");
  if (sop_class.empty()) throw DataError(slice.name + ": lacks SOPClassUID (0008,0016)");
  if (sop_class == UID_EnhancedMRImageStorage)
    throw DataError(slice.name +
                    ": an enhanced multi-frame MR image; only single-frame MR images "
                    "are handled");
  if (sop_class != UID_MRImageStorage)
    throw DataError(slice.name + ": want a DICOM MR Image, found " +
                    dcmFindNameOfUID(sop_class.c_str(), ("SOP class " + shown(sop_class)).c_str()));
  const auto frames = integer(dataset, DCM_NumberOfFrames).value_or(1);
  if (frames != 1)
    throw DataError(slice.name + ": " + std::to_string(frames) +
                    " frames; only single-frame MR images are handled");
  const auto image_type = split(text(dataset, DCM_ImageType), '\\');
  if (std::find(image_type.begin(), image_type.end(), "MOSAIC") != image_type.end())
    throw DataError(slice.name + ": a mosaic of slices, which is not handled");
}

/// Magnitude, phase, real or imaginary part: of the words of ImageType, as Siemens, Philips and GE
/// write them (M_FFE, PHASE MAP, ...); the first two say other things (PS3.3 C.7.6.1.1.2).
std::string component_of(DcmDataset& dataset) {
  const auto words = split(text(dataset, DCM_ImageType), '\\');
  for (std::size_t i = 2; i < words.size(); ++i) {
    const auto word = words[i].substr(0, words[i].find('_'));
    if (word == "M" || word == "MAGNITUDE") return "M";
    if (word == "P" || word == "PHASE" || word == "PHASE MAP") return "P";
    if (word == "R" || word == "REAL") return "R";
    if (word == "I" || word == "IMAGINARY") return "I";
  }
  return "";
}

void read_pixel_format(Slice& slice) {
  auto& dataset = slice.dataset();
  const auto photometric = text(dataset, DCM_PhotometricInterpretation);
  const bool grey = photometric == "MONOCHROME1" || photometric == "MONOCHROME2";
  if (want_integer(slice, DCM_SamplesPerPixel) != 1 || !grey)
    throw DataError(slice.name + ": an RGB image or palette (photometric interpretation " +
                    shown(photometric) + "); want one number per voxel");
  auto& f = slice.format;
  slice.rows = want_integer(slice, DCM_Rows);
  slice.columns = want_integer(slice, DCM_Columns);
  if (slice.rows == 0 || slice.columns == 0)
    throw DataError(slice.name + ": absurd dimensions: " + std::to_string(slice.rows) + " rows, " +
                    std::to_string(slice.columns) + " columns");
  f.bits_allocated = want_integer(slice, DCM_BitsAllocated);
  f.bits_stored = want_integer(slice, DCM_BitsStored);
  const int high_bit = want_integer(slice, DCM_HighBit);
  if ((f.bits_allocated != 8 && f.bits_allocated != 16) || f.bits_stored < 1 ||
      f.bits_stored > f.bits_allocated || high_bit != f.bits_stored - 1)
    throw DataError(slice.name + ": " + std::to_string(f.bits_stored) + " bits stored of " +
                    std::to_string(f.bits_allocated) + " with high bit " +
                    std::to_string(high_bit) + " are not handled");
  f.is_signed = want_integer(slice, DCM_PixelRepresentation) == 1;
  f.inverted = photometric == "MONOCHROME1";
  slice.storage.datatype = f.bits_allocated == 8 ? (f.is_signed ? Datatype::i8 : Datatype::u8)
                                                 : (f.is_signed ? Datatype::i16 : Datatype::u16);
  if (dataset.tagExistsWithValue(DCM_ModalityLUTSequence))
    throw DataError(slice.name + ": a modality look-up table is not handled");
  if (dataset.tagExistsWithValue(DCM_RescaleSlope)) {
    slice.storage.slope = want_number(slice, DCM_RescaleSlope);
    if (dataset.tagExistsWithValue(DCM_RescaleIntercept))  // some writers leave out a 0
      slice.storage.intercept = want_number(slice, DCM_RescaleIntercept);
    if (slice.storage.slope == 0) throw DataError(slice.name + ": RescaleSlope is 0");
  }
}

void read_geometry(Slice& slice) {
  slice.position = want_vector(slice, DCM_ImagePositionPatient);
  slice.row = want_vector(slice, DCM_ImageOrientationPatient);
  slice.column = want_vector(slice, DCM_ImageOrientationPatient, 3);
  slice.spacing_j = want_number(slice, DCM_PixelSpacing, 0);  // between rows
  slice.spacing_i = want_number(slice, DCM_PixelSpacing, 1);  // between columns
  if (!(slice.spacing_i > 0 && slice.spacing_j > 0))
    throw DataError(slice.name + ": want PixelSpacing > 0 mm");
  // 1e-3: scanners round direction cosines to as few as four decimals.
  if (std::fabs(dot(slice.row, slice.row) - 1) > 1e-3 ||
      std::fabs(dot(slice.column, slice.column) - 1) > 1e-3 ||
      std::fabs(dot(slice.row, slice.column)) > 1e-3)
    throw DataError(slice.name + ": ImageOrientationPatient is not two perpendicular unit vectors");
}

void interpret(Slice& slice) {
  require_single_frame_mr(slice);
  slice.series = text(slice.dataset(), DCM_SeriesInstanceUID);
  slice.component = component_of(slice.dataset());
  if (slice.component == "P")
    throw DataError(slice.name + ": a phase image (ImageType " +
                    shown(text(slice.dataset(), DCM_ImageType)) + "); want a magnitude");
  slice.echo_ms = number(slice.dataset(), DCM_EchoTime);
  read_pixel_format(slice);
  read_geometry(slice);
}

void require_read(const OFCondition& status, const std::string& name) {
  if (status.bad()) throw DataError(name + ": damaged DICOM file: " + status.text());
}

/// `name` is for messages.
Slice load_file(const std::string& path, const std::string& name) {
  prepare_dcmtk();
  Slice slice;
  slice.name = name;
  slice.file_name = mr::file_name(name);
  slice.file = std::make_unique<DcmFileFormat>();
  slice.file_bytes = std::filesystem::file_size(path);
  require_read(slice.file->loadFile(path.c_str()), name);
  return slice;
}

/// Bytes as a file that has no name in any folder.
class MemoryFile {
 public:
  MemoryFile(std::string_view bytes, const std::string& name)
      : descriptor_(::memfd_create("image", MFD_CLOEXEC)) {
    while (descriptor_ >= 0 && !bytes.empty()) {
      const auto n = ::write(descriptor_, bytes.data(), bytes.size());
      if (n <= 0) break;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    if (descriptor_ < 0 || !bytes.empty()) throw IoError(name + ": cannot be kept in memory");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// Through a file: only there does DCMTK compare the length of an element with what is left before
/// it takes the memory.
Slice load_bytes(std::string_view bytes, const std::string& name) {
  const MemoryFile file(bytes, name);
  auto slice = load_file(file.path(), name);
  slice.file_name = "image.dcm";
  require_read(slice.file->loadAllDataIntoMemory(), name);
  return slice;
}

/// The files of a folder that are DICOM images, by name. Other files may lie beside them.
std::vector<Slice> load_folder(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.is_regular_file()) paths.push_back(entry.path().string());
  if (error) throw IoError(folder + ": cannot be read: " + error.message());
  std::sort(paths.begin(), paths.end());
  std::vector<Slice> slices;
  std::set<std::string> series;
  for (const auto& path : paths) {
    if (!looks_like_dicom(read_prefix(path, 132))) continue;
    auto slice = load_file(path, path);
    if (is_directory(slice.dataset())) continue;
    interpret(slice);
    series.insert(slice.series);
    slices.push_back(std::move(slice));
  }
  if (slices.empty()) throw DataError(folder + ": holds no DICOM image");
  if (series.size() > 1)
    throw DataError(folder + ": holds " + std::to_string(series.size()) +
                    " DICOM series; want one");
  return slices;
}

void require_alike(const Slice& a, const Slice& b) {
  const auto differ = [&](const std::string& what) {
    throw DataError(b.name + ": " + what + " differs from that of " + a.file_name);
  };
  if (a.component != b.component)
    differ("what it shows (magnitude, phase, real or imaginary part: ImageType)");
  if (a.echo_ms && b.echo_ms && std::fabs(*a.echo_ms - *b.echo_ms) > 0.01) differ("the echo time");
  if (a.rows != b.rows || a.columns != b.columns) differ("the number of rows or columns");
  if (!(a.format == b.format)) differ("the pixel format");
  constexpr double tolerance = 1e-4;  // DS strings of one series are rounded alike
  for (std::size_t c = 0; c < 3; ++c)
    if (std::fabs(a.row[c] - b.row[c]) > tolerance ||
        std::fabs(a.column[c] - b.column[c]) > tolerance)
      differ("the orientation");
  if (std::fabs(a.spacing_i - b.spacing_i) > tolerance * a.spacing_i ||
      std::fabs(a.spacing_j - b.spacing_j) > tolerance * a.spacing_j)
    differ("the pixel spacing");
}

/// Step between slices [mm] of one slice: its spacing, else its thickness, else 1: it may be empty
/// (PS3.3 C.7.6.2, type 2), and nothing but the affine's third column hangs on it.
double single_step(const Slice& slice) {
  for (const auto& tag : {DCM_SpacingBetweenSlices, DCM_SliceThickness}) {
    const auto step = number(slice.dataset(), tag);
    if (step && *step > 0) return *step;
  }
  return 1;
}

/// Names the slices between which others are missing: where a distance is at least 1.5 times the
/// usual one.
void require_no_gap(const std::vector<Slice>& slices,
                    const std::function<double(const Slice&)>& along, const std::string& name) {
  std::vector<double> steps;
  for (std::size_t k = 1; k < slices.size(); ++k)
    steps.push_back(along(slices[k]) - along(slices[k - 1]));
  auto sorted = steps;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  for (std::size_t k = 0; k < steps.size(); ++k)
    if (steps[k] > 1.5 * *middle)
      throw DataError(name + ": slices are missing between " + slices[k].file_name + " and " +
                      slices[k + 1].file_name + ": " + fixed(steps[k], 2) + " mm apart, others " +
                      fixed(*middle, 2) + " mm");
}

/// Sorts along the normal and returns the step between slices [mm].
/// throws DataError on two slices at one position, and on gaps
double sort_by_position(std::vector<Slice>& slices, const std::string& name) {
  const auto& first = slices.front();
  for (const auto& slice : slices) require_alike(first, slice);
  const auto normal = cross(first.row, first.column);
  const auto along = [&](const Slice& s) { return dot(s.position, normal); };
  std::stable_sort(slices.begin(), slices.end(),
                   [&](const Slice& a, const Slice& b) { return along(a) < along(b); });
  if (slices.size() == 1) return single_step(slices.front());
  constexpr double same_mm = 0.01;  // far below any slice distance, far above rounding
  for (std::size_t k = 1; k < slices.size(); ++k)
    if (along(slices[k]) - along(slices[k - 1]) < same_mm)
      throw DataError(
          name + ": " + slices[k - 1].file_name + " and " + slices[k].file_name +
          " lie at one position: several images per slice (time, echo) are not handled");
  require_no_gap(slices, along, name);
  const auto n = static_cast<double>(slices.size() - 1);
  const double step = (along(slices.back()) - along(slices.front())) / n;
  for (std::size_t k = 1; k < slices.size(); ++k) {
    double off = 0;
    for (std::size_t c = 0; c < 3; ++c) {
      const double want = slices.front().position[c] + static_cast<double>(k) * step * normal[c];
      off += (slices[k].position[c] - want) * (slices[k].position[c] - want);
    }
    if (std::sqrt(off) > 0.02 * step + same_mm)
      throw DataError(name + ": slices are not evenly spaced: " + slices[k].file_name + " lies " +
                      fixed(std::sqrt(off), 2) + " mm from where a step of " + fixed(step, 2) +
                      " mm puts it");
  }
  return step;
}

/// LPS+ positions of slices in order to voxel-to-RAS+.
Affine affine_of(const Slice& first, double step) {
  const auto normal = cross(first.row, first.column);
  Affine a{};
  for (std::size_t r = 0; r < 3; ++r) {
    const double sign = r < 2 ? -1 : 1;
    a[r] = {sign * first.row[r] * first.spacing_i, sign * first.column[r] * first.spacing_j,
            sign * normal[r] * step, sign * first.position[r]};
    for (double& x : a[r]) x += 0;  // no -0 in what people read
  }
  a[3] = {0, 0, 0, 1};
  return a;
}

std::string sequence_of(DcmDataset& dataset) {
  const auto name = text(dataset, DCM_SequenceName);
  return name.empty() ? text(dataset, DCM_ScanningSequence) : name;
}

Acquisition acquisition_of(DcmDataset& dataset) {
  Acquisition a;
  const auto type = text(dataset, DCM_MRAcquisitionType);
  if (type == "2D") a.mode = Mode::two_d;
  if (type == "3D") a.mode = Mode::three_d;
  // COL: the phase encode runs along a column of the image, from row to row.
  const auto phase = text(dataset, DCM_InPlanePhaseEncodingDirection);
  if (phase == "ROW") a.phase_encode_axis = 0;
  if (phase == "COL" || phase == "COLUMN") a.phase_encode_axis = 1;
  a.slice_axis = 2;
  const auto positive = [&](const DcmTagKey& tag) {
    const auto x = number(dataset, tag);
    return x && *x > 0 ? x : std::nullopt;
  };
  a.tr_ms = positive(DCM_RepetitionTime);
  a.te_ms = positive(DCM_EchoTime);
  a.ti_ms = positive(DCM_InversionTime);
  a.flip_deg = positive(DCM_FlipAngle);
  a.field_t = positive(DCM_MagneticFieldStrength);
  if (a.field_t && *a.field_t > 30) *a.field_t /= 1e4;  // older files say it in gauss
  const auto train = integer(dataset, DCM_EchoTrainLength);
  if (train && *train > 0) a.echo_train = static_cast<int>(*train);
  const auto sequence = sequence_of(dataset);
  if (!sequence.empty()) a.sequence = sequence;
  return a;
}

/// In UTF-8, by the file's SpecificCharacterSet; as it is where that cannot be converted.
std::string utf8_text(DcmDataset& dataset, const DcmTagKey& tag) {
  const auto value = text(dataset, tag);
  DcmSpecificCharacterSet characters;
  OFString converted;
  const bool done = characters.selectCharacterSet(dataset).good() &&
                    characters.convertString(value.c_str(), converted, "\\").good();
  return done ? converted.c_str() : value;
}

Json attributes_of(DcmDataset& dataset, const Acquisition& acquisition) {
  Json attributes = Json::object();
  const auto set = [&](const char* key, const std::string& value) {
    if (!value.empty()) attributes[key] = value;
  };
  set("manufacturer", utf8_text(dataset, DCM_Manufacturer));
  set("model", utf8_text(dataset, DCM_ManufacturerModelName));
  if (acquisition.field_t) attributes["field_t"] = *acquisition.field_t;
  set("sequence", sequence_of(dataset));
  return attributes;
}

Header header_of(const std::vector<Slice>& slices, double step) {
  const auto& first = slices.front();
  Header h;
  h.shape = {1, static_cast<std::int64_t>(slices.size()), first.rows, first.columns};
  h.affine = affine_of(first, step);
  h.spacing_mm = {first.spacing_i, first.spacing_j, step};
  h.acquisition = acquisition_of(first.dataset());
  h.attributes = attributes_of(first.dataset(), h.acquisition);
  h.format = "dicom";
  return h;
}

/// Bits above those stored are undefined: taken off, and the sign bit spread over them.
template <typename T>
void clean(const PixelFormat& format, T* pixels, std::int64_t n) {
  const int spare = 8 * static_cast<int>(sizeof(T)) - format.bits_stored;
  using U = std::make_unsigned_t<T>;
  if (spare > 0)
    for (std::int64_t i = 0; i < n; ++i)
      pixels[i] = static_cast<T>(static_cast<T>(static_cast<U>(pixels[i]) << spare) >> spare);
  if (format.inverted)
    for (std::int64_t i = 0; i < n; ++i) pixels[i] = static_cast<T>(format.mirror() - pixels[i]);
}

void clean_pixels(const Slice& slice, char* pixels, std::int64_t n) {
  switch (slice.storage.datatype) {
    case Datatype::u8:
      return clean(slice.format, reinterpret_cast<std::uint8_t*>(pixels), n);
    case Datatype::i8:
      return clean(slice.format, reinterpret_cast<std::int8_t*>(pixels), n);
    case Datatype::u16:
      return clean(slice.format, reinterpret_cast<std::uint16_t*>(pixels), n);
    default:
      return clean(slice.format, reinterpret_cast<std::int16_t*>(pixels), n);
  }
}

/// throws DataError where a file of this size cannot hold the pixels
void require_capacity(const Slice& slice) {
  const auto promised = static_cast<std::uint64_t>(slice.rows) *
                        static_cast<std::uint64_t>(slice.columns) *
                        static_cast<std::uint64_t>(slice.format.bits_allocated / 8);
  // 1032: no codec that is decoded here packs tighter than deflate's best
  const auto syntax = slice.dataset().getOriginalXfer();
  const bool packed = syntax != EXS_LittleEndianImplicit && syntax != EXS_LittleEndianExplicit &&
                      syntax != EXS_BigEndianExplicit;
  if (promised > slice.file_bytes * (packed ? 1032 : 1))
    throw DataError(slice.name + ": truncated: header promises " + std::to_string(promised) +
                    " bytes, file has " + std::to_string(slice.file_bytes));
}

/// The fragments of an encapsulated frame, end to end.
std::string fragments_of(DcmPixelData& pixel_data) {
  E_TransferSyntax syntax = EXS_Unknown;
  const DcmRepresentationParameter* parameter = nullptr;
  pixel_data.getOriginalRepresentationKey(syntax, parameter);
  DcmPixelSequence* sequence = nullptr;
  std::string bytes;
  if (pixel_data.getEncapsulatedRepresentation(syntax, parameter, sequence).bad()) return bytes;
  for (unsigned long i = 1; i < sequence->card(); ++i) {  // item 0 is the offset table
    DcmPixelItem* item = nullptr;
    Uint8* data = nullptr;
    if (sequence->getItem(item, i).good() && item->getUint8Array(data).good() && data)
      bytes.append(reinterpret_cast<const char*>(data), item->getLength());
  }
  return bytes;
}

/// One PackBits segment to out[0], out[stride], ...; true when it fills n of them.
bool unpack_bits(std::string_view in, std::size_t n, std::size_t stride, char* out) {
  std::size_t at = 0, done = 0;
  while (done < n && at < in.size()) {
    const auto code = static_cast<signed char>(in[at++]);
    if (code == -128) continue;  // says nothing
    const bool repeat = code < 0;
    const auto run = static_cast<std::size_t>(repeat ? 1 - code : 1 + code);
    if (at + (repeat ? 1 : run) > in.size()) return false;
    for (std::size_t i = 0; i < run && done < n; ++i)
      out[stride * done++] = in[at + (repeat ? 0 : i)];
    at += repeat ? 1 : run;
  }
  return done == n;
}

/// DICOM RLE (PS3.5 Annex G): a segment per byte of a pixel, most significant first. Decoded here
/// since DCMTK 3.6.7's decoder reads past the end of damaged data.
bool decode_rle(std::string_view bytes, std::size_t pixels, std::size_t pixel_bytes, char* out) {
  const auto word = [&](std::size_t index) {
    std::uint32_t x = 0;
    for (std::size_t i = 4; i-- > 0;) x = x << 8 | static_cast<unsigned char>(bytes[4 * index + i]);
    return std::size_t{x};
  };
  if (bytes.size() < 64 || word(0) != pixel_bytes) return false;
  for (std::size_t segment = 0; segment < pixel_bytes; ++segment) {
    const auto begin = word(1 + segment);
    const auto end = segment + 1 < pixel_bytes ? word(2 + segment) : bytes.size();
    if (begin < 64 || begin > end || end > bytes.size()) return false;
    if (!unpack_bits(bytes.substr(begin, end - begin), pixels, pixel_bytes,
                     out + (pixel_bytes - 1 - segment)))  // little-endian
      return false;
  }
  return true;
}

/// One slice's stored pixels, native order, cleaned.
void read_pixels(const Slice& slice, std::vector<char>& pixels) {
  auto& dataset = slice.dataset();
  DcmElement* element = nullptr;
  dataset.findAndGetElement(DCM_PixelData, element);
  auto* pixel_data = dynamic_cast<DcmPixelData*>(element);
  if (!pixel_data) throw DataError(slice.name + ": holds no pixels");
  const auto n = static_cast<std::size_t>(slice.rows) * static_cast<std::size_t>(slice.columns);
  const auto pixel_bytes = static_cast<std::size_t>(slice.format.bits_allocated / 8);
  const auto frame_bytes = n * pixel_bytes;
  if (frame_bytes >= std::numeric_limits<Uint32>::max())
    throw DataError(slice.name + ": 4 GiB of pixels or more are not handled");
  pixels.resize(frame_bytes + frame_bytes % 2);
  const auto fail = [&](const std::string& why) {
    throw DataError(slice.name + ": pixels cannot be read (" +
                    DcmXfer(dataset.getOriginalXfer()).getXferName() + "): " + why);
  };
  const auto syntax = dataset.getOriginalXfer();
  if (syntax == EXS_JPEG2000LosslessOnly || syntax == EXS_JPEG2000) {
    try {
      const auto samples = decode_jpeg2000(fragments_of(*pixel_data), slice.columns, slice.rows);
      // Whether the codestream or the header says that they are signed: the bits are the same.
      for (std::size_t i = 0; i < n; ++i) {
        const auto bits = static_cast<std::uint16_t>(samples[i]);
        std::memcpy(&pixels[i * pixel_bytes], &bits, pixel_bytes);  // little-endian
      }
    } catch (const DataError& e) {
      fail(e.what());
    }
  } else if (syntax == EXS_RLELossless) {
    if (!decode_rle(fragments_of(*pixel_data), n, pixel_bytes, pixels.data()))
      fail("damaged or cut off");
  } else {
    Uint32 fragment = 0;
    OFString colour_model;
    const auto status = pixel_data->getUncompressedFrame(
        &dataset, 0, fragment, pixels.data(), static_cast<Uint32>(pixels.size()), colour_model);
    if (status.bad()) fail(status.text());
  }
  clean_pixels(slice, pixels.data(), static_cast<std::int64_t>(n));
}

Volume read_slices(std::vector<Slice> slices, const std::string& name, DicomKind kind) {
  const double step = sort_by_position(slices, name);
  for (const auto& slice : slices) require_capacity(slice);
  const auto header = header_of(slices, step);
  Volume volume;
  volume.affine = header.affine;
  volume.spacing_mm = header.spacing_mm;
  volume.acquisition = header.acquisition;
  volume.storage = slices.front().storage;
  auto origin = std::make_shared<DicomOrigin>();
  const auto& format = slices.front().format;
  origin->kind = kind;
  origin->format = format;
  origin->shape = header.shape;
  origin->storage = volume.storage;
  // More bits can be stored than were, up to those allocated; inverting is about those stored.
  const int bits = format.inverted ? format.bits_stored : format.bits_allocated;
  origin->lowest = static_cast<double>(format.lowest(bits));
  origin->highest = static_cast<double>(format.highest(bits));

  std::vector<char> pixels;
  volume.voxels = Array<float>(header.shape);
  const auto plane = header.shape[2] * header.shape[3];
  for (std::size_t k = 0; k < slices.size(); ++k) {
    read_pixels(slices[k], pixels);
    decode(pixels.data(), slices[k].storage, plane,
           volume.voxels.data() + static_cast<std::int64_t>(k) * plane);
    origin->slices.push_back(slices[k].storage);
    slices[k].dataset().findAndDeleteElement(DCM_PixelData);
    origin->sources.push_back({slices[k].file_name, std::move(slices[k].file)});
  }
  require_finite(volume, name);
  origin->bright_end = bright_end(volume);
  volume.origin = std::move(origin);
  return volume;
}

std::vector<Slice> load(const std::string& path) {
  if (is_folder(path)) return load_folder(path);
  std::vector<Slice> slices;
  slices.push_back(load_file(path, path));
  interpret(slices.back());
  return slices;
}

}  // namespace

bool looks_like_dicom(std::string_view bytes) {
  if (bytes.size() >= 132 && bytes.substr(128, 4) == "DICM") return true;
  // Without preamble and file meta, as old archives have it: the first element of group 0008.
  if (bytes.size() < 132 || bytes.substr(0, 2) != std::string_view("\x08\0", 2)) return false;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (byte(3) != 0 || byte(2) > 0x18) return false;
  for (const char* vr : {"UL", "CS", "DA", "TM", "UI", "SH"})
    if (bytes.substr(4, 2) == vr) return true;
  const bool short_length = byte(5) == 0 && byte(6) == 0 && byte(7) == 0;
  return short_length && byte(4) % 2 == 0;  // implicit VR
}

Volume read_dicom(const std::string& path) {
  return read_slices(load(path), path, is_folder(path) ? DicomKind::folder : DicomKind::file);
}

Volume read_dicom(std::string_view bytes, const std::string& name) {
  std::vector<Slice> slices;
  slices.push_back(load_bytes(bytes, name));
  interpret(slices.back());
  return read_slices(std::move(slices), name, DicomKind::file);
}

Header read_dicom_header(const std::string& path) {
  auto slices = load(path);
  const double step = sort_by_position(slices, path);
  return header_of(slices, step);
}

}  // namespace mr::image
