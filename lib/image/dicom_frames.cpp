#include "image/dicom_frames.h"

#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <mutex>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "image/csa.h"

namespace mr::image {
namespace {

/// DCMTK's codecs, once, and its logger, which would print.
void prepare_dcmtk() {
  static std::once_flag once;
  std::call_once(once, [] {
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    DJDecoderRegistration::registerCodecs();
    DJLSDecoderRegistration::registerCodecs();
  });
}

std::string text_in(DcmElement* element) {
  OFString value;
  if (!element || element->getOFStringArray(value).bad()) return "";
  const auto first = value.find_first_not_of(' ');
  const auto last = value.find_last_not_of(' ');
  return first == OFString_npos ? "" : value.substr(first, last - first + 1).c_str();
}

/// A number of any of the types that hold one.
std::optional<double> number_in(DcmElement* element, unsigned long index) {
  if (!element) return std::nullopt;
  Float64 wide = 0;
  Float32 single = 0;
  Sint32 sint = 0;
  Uint32 uint = 0;
  Sint16 small = 0;
  Uint16 usmall = 0;
  std::optional<double> x;
  if (element->getFloat64(wide, index).good())
    x = wide;
  else if (element->getFloat32(single, index).good())
    x = single;
  else if (element->getSint32(sint, index).good())
    x = sint;
  else if (element->getUint32(uint, index).good())
    x = uint;
  else if (element->getSint16(small, index).good())
    x = small;
  else if (element->getUint16(usmall, index).good())
    x = usmall;
  return x && std::isfinite(*x) ? x : std::nullopt;
}

std::string described(const DcmTagKey& tag) {
  return std::string(DcmTag(tag).getTagName()) + " " + tag.toString().c_str();
}

int want_integer(const DicomFile& file, const DcmTagKey& tag) {
  Uint16 x = 0;
  auto* element = file.elements.find(tag);
  if (!element || element->getUint16(x).bad())
    throw DataError(file.name + ": lacks " + described(tag));
  return x;
}

/// What is asked of one frame, with messages that name it.
class Wanted {
 public:
  Wanted(const DicomFile& file, int frame) : file_(file), items_(file, frame), frame_(frame) {}
  const FrameItems& items() const { return items_; }

  [[noreturn]] void fail(const std::string& what) const {
    const auto place = file_.frames > 1 ? "frame " + std::to_string(frame_ + 1) + ": " : "";
    throw DataError(file_.name + ": " + place + what);
  }
  double number(const DcmTagKey& group, const DcmTagKey& tag, unsigned long index = 0) const {
    if (const auto x = items_.number(group, tag, index)) return *x;
    fail("want a number in " + described(tag) + ", found " + shown(items_.text(group, tag)));
  }
  Vector vector(const DcmTagKey& group, const DcmTagKey& tag, unsigned long first = 0) const {
    return {number(group, tag, first), number(group, tag, first + 1),
            number(group, tag, first + 2)};
  }

 private:
  const DicomFile& file_;
  FrameItems items_;
  int frame_;
};

void read_pixel_format(DicomFile& file) {
  const auto photometric = file.elements.text(DCM_PhotometricInterpretation);
  const bool grey = photometric == "MONOCHROME1" || photometric == "MONOCHROME2";
  if (want_integer(file, DCM_SamplesPerPixel) != 1 || !grey)
    throw DataError(file.name + ": an RGB image or palette (photometric interpretation " +
                    shown(photometric) + "); want one number per voxel");
  auto& f = file.format;
  file.rows = want_integer(file, DCM_Rows);
  file.columns = want_integer(file, DCM_Columns);
  if (file.rows == 0 || file.columns == 0)
    throw DataError(file.name + ": absurd dimensions: " + std::to_string(file.rows) + " rows, " +
                    std::to_string(file.columns) + " columns");
  f.bits_allocated = want_integer(file, DCM_BitsAllocated);
  f.bits_stored = want_integer(file, DCM_BitsStored);
  const int high_bit = want_integer(file, DCM_HighBit);
  if ((f.bits_allocated != 8 && f.bits_allocated != 16) || f.bits_stored < 1 ||
      f.bits_stored > f.bits_allocated || high_bit != f.bits_stored - 1)
    throw DataError(file.name + ": " + std::to_string(f.bits_stored) + " bits stored of " +
                    std::to_string(f.bits_allocated) + " with high bit " +
                    std::to_string(high_bit) + " are not handled");
  f.is_signed = want_integer(file, DCM_PixelRepresentation) == 1;
  f.inverted = photometric == "MONOCHROME1";
  if (const auto padding = file.elements.number(DCM_PixelPaddingValue))
    f.padding = static_cast<std::int64_t>(*padding);
  if (auto* lut = file.elements.find(DCM_ModalityLUTSequence); lut && lut->getLength() > 0)
    throw DataError(file.name + ": a modality look-up table is not handled");
}

/// throws DataError where a file of this size cannot hold the pixels
void require_capacity(const DicomFile& file) {
  const auto promised = static_cast<std::uint64_t>(file.rows) *
                        static_cast<std::uint64_t>(file.columns) *
                        static_cast<std::uint64_t>(file.format.bits_allocated / 8) *
                        static_cast<std::uint64_t>(file.frames);
  // 1032: no codec that is decoded here packs tighter than deflate's best
  const auto syntax = file.dataset().getOriginalXfer();
  const bool packed = syntax != EXS_LittleEndianImplicit && syntax != EXS_LittleEndianExplicit &&
                      syntax != EXS_BigEndianExplicit;
  if (promised > file.file_bytes * (packed ? 1032 : 1))
    throw DataError(file.name + ": truncated: header promises " + std::to_string(promised) +
                    " bytes, file has " + std::to_string(file.file_bytes));
}

bool is_enhanced(const DicomFile& file) {
  const auto sop_class = file.elements.text(DCM_SOPClassUID);
  return sop_class == UID_EnhancedMRImageStorage ||
         sop_class == UID_LegacyConvertedEnhancedMRImageStorage;
}

unsigned long items_in(DcmItem& dataset, const DcmTagKey& tag) {
  DcmSequenceOfItems* sequence = nullptr;
  return dataset.findAndGetSequence(tag, sequence).good() ? sequence->card() : 0;
}

void read_frame_count(DicomFile& file) {
  const auto said = file.elements.number(DCM_NumberOfFrames).value_or(1);
  const auto frames = static_cast<std::int64_t>(std::clamp(said, 0.0, 1e9));
  if (frames < 1) throw DataError(file.name + ": " + std::to_string(frames) + " frames");
  if (is_enhanced(file)) {
    const auto groups = items_in(file.dataset(), DCM_PerFrameFunctionalGroupsSequence);
    if (groups != static_cast<unsigned long>(frames))
      throw DataError(file.name + ": " + std::to_string(frames) +
                      " frames and functional groups of " + std::to_string(groups) +
                      ": where the frames lie is not said");
  } else if (frames != 1) {
    throw DataError(file.name + ": " + std::to_string(frames) +
                    " frames in a single-frame MR image");
  }
  file.frames = static_cast<int>(frames);
}

/// Magnitude, phase, real or imaginary part: of the words of ImageType, as Siemens, Philips and GE
/// write them (M_FFE, PHASE MAP, ...); the first two say other things (PS3.3 C.7.6.1.1.2).
std::string component_in(const std::string& image_type) {
  const auto words = split(image_type, '\\');
  for (std::size_t i = 2; i < words.size(); ++i) {
    const auto word = words[i].substr(0, words[i].find('_'));
    if (word == "M" || word == "MAGNITUDE") return "M";
    if (word == "P" || word == "PHASE" || word == "PHASE MAP") return "P";
    if (word == "R" || word == "REAL") return "R";
    if (word == "I" || word == "IMAGINARY") return "I";
  }
  return "";
}

const DcmTagKey dataset_itself(0xffff, 0xffff);  // no functional group

/// An element of the private block of `group` that `creator` reserved; null where it is not there.
DcmElement* private_element(const DicomFile& file, Uint16 group, const char* creator,
                            Uint16 number) {
  for (Uint16 block = 0x10; block <= 0xff; ++block) {
    if (file.elements.text(DcmTagKey(group, block)) != creator) continue;
    const DcmTagKey tag(group, static_cast<Uint16>(block << 8 | number));
    if (auto* element = file.elements.find(tag)) return element;
  }
  return nullptr;
}

/// What GE says in place of ImageType: 0 to 3, magnitude, phase, real, imaginary.
std::string ge_component(const DicomFile& file) {
  if (file.elements.text(DCM_Manufacturer).substr(0, 2) != "GE") return "";
  const auto kind = number_in(private_element(file, 0x0043, "GEMS_PARM_01", 0x2f), 0);
  for (int i = 0; i < 4; ++i)
    if (kind && *kind == i) return std::string(1, "MPRI"[i]);
  return "";
}

std::string component_of(const Frame& frame, const FrameItems& items) {
  const auto said = items.text(DCM_MRImageFrameTypeSequence, DCM_ComplexImageComponent);
  for (const char* word : {"MAGNITUDE", "PHASE", "REAL", "IMAGINARY"})
    if (said == word) return said.substr(0, 1);
  auto component = component_in(frame.image_type);  // also where the whole is MIXED
  return component.empty() ? ge_component(*frame.file) : component;
}

void read_contents(Frame& frame, const FrameItems& items) {
  frame.image_type = items.text(DCM_MRImageFrameTypeSequence, DCM_FrameType);
  if (frame.image_type.empty()) frame.image_type = items.text(dataset_itself, DCM_ImageType);
  frame.component = component_of(frame, items);
  frame.echo_ms = items.number(DCM_MREchoSequence, DCM_EffectiveEchoTime);
  if (!frame.echo_ms) frame.echo_ms = items.number(dataset_itself, DCM_EchoTime);
  frame.is_trace = items.text(DCM_MRDiffusionSequence, DCM_DiffusionDirectionality) == "ISOTROPIC";
  frame.diffusion_b = items.number(DCM_MRDiffusionSequence, DCM_DiffusionBValue);
}

/// Seconds in what DT and TM hold: "YYYYMMDDhhmmss.ffffff" and "hhmmss.ffffff".
std::optional<double> seconds_in(std::string text) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  double days = 0;
  if (digits >= 14) {
    days = std::strtod(text.substr(0, 8).c_str(), nullptr);  // an order, not a time between days
    text = text.substr(8);
  } else if (digits < 6) {
    return std::nullopt;
  }
  const auto at = [&](std::size_t first, std::size_t n) {
    return std::strtod(text.substr(first, n).c_str(), nullptr);
  };
  return 86400 * days + 3600 * at(0, 2) + 60 * at(2, 2) + at(4, std::string::npos);
}

void read_times(Frame& frame, const FrameItems& items) {
  const auto either = [&](const DcmTagKey& group, const DcmTagKey& in_group,
                          const DcmTagKey& classic) {
    const auto x = items.number(group, in_group);
    return x ? x : items.number(dataset_itself, classic);
  };
  frame.times[0] =
      either(DCM_FrameContentSequence, DCM_TemporalPositionIndex, DCM_TemporalPositionIdentifier);
  frame.times[1] =
      either(DCM_FrameContentSequence, DCM_FrameAcquisitionNumber, DCM_AcquisitionNumber);
  frame.times[2] = either(DCM_CardiacSynchronizationSequence, DCM_NominalCardiacTriggerDelayTime,
                          DCM_TriggerTime);
  auto when = items.text(DCM_FrameContentSequence, DCM_FrameAcquisitionDateTime);
  const auto joined = [&](const DcmTagKey& date, const DcmTagKey& time) {
    const auto t = items.text(dataset_itself, time);
    return t.empty() ? t : items.text(dataset_itself, date) + t;  // across midnight
  };
  if (when.empty()) when = joined(DCM_AcquisitionDate, DCM_AcquisitionTime);
  frame.times[3] = seconds_in(when);
  frame.times[4] = seconds_in(joined(DCM_ContentDate, DCM_ContentTime));
  frame.times[5] = frame.diffusion_b;
  frame.times[6] = items.number(dataset_itself, DCM_InstanceNumber).value_or(0) * 1e6 + frame.index;
}

void read_scaling(Frame& frame, const Wanted& wanted) {
  const auto& items = wanted.items();
  const auto group = DCM_PixelValueTransformationSequence;
  frame.storage.datatype = frame.file->format.datatype();
  if (items.text(group, DCM_RescaleSlope).empty()) return;
  frame.storage.slope = wanted.number(group, DCM_RescaleSlope);
  if (!items.text(group, DCM_RescaleIntercept).empty())  // some writers leave out a 0
    frame.storage.intercept = wanted.number(group, DCM_RescaleIntercept);
  if (frame.storage.slope == 0) wanted.fail("RescaleSlope is 0");
  if (items.text(dataset_itself, DCM_Manufacturer).substr(0, 7) != "Philips") return;
  if (const auto scale = items.number(philips_items, philips_scale_slope); scale && *scale > 0)
    frame.philips_scale = *scale;
}

void read_geometry(Frame& frame, const Wanted& wanted) {
  frame.position = wanted.vector(DCM_PlanePositionSequence, DCM_ImagePositionPatient);
  frame.row_direction = wanted.vector(DCM_PlaneOrientationSequence, DCM_ImageOrientationPatient);
  frame.column_direction =
      wanted.vector(DCM_PlaneOrientationSequence, DCM_ImageOrientationPatient, 3);
  frame.spacing_j = wanted.number(DCM_PixelMeasuresSequence, DCM_PixelSpacing, 0);  // between rows
  frame.spacing_i = wanted.number(DCM_PixelMeasuresSequence, DCM_PixelSpacing, 1);
  if (!(frame.spacing_i > 0 && frame.spacing_j > 0)) wanted.fail("want PixelSpacing > 0 mm");
  // 1e-3: scanners round direction cosines to as few as four decimals.
  if (std::fabs(dot(frame.row_direction, frame.row_direction) - 1) > 1e-3 ||
      std::fabs(dot(frame.column_direction, frame.column_direction) - 1) > 1e-3 ||
      std::fabs(dot(frame.row_direction, frame.column_direction)) > 1e-3)
    wanted.fail("ImageOrientationPatient is not two perpendicular unit vectors");
  for (auto* direction : {&frame.row_direction, &frame.column_direction}) {
    const double length = std::sqrt(dot(*direction, *direction));
    for (double& x : *direction) x /= length;
  }
  for (const auto& tag : {DCM_SpacingBetweenSlices, DCM_SliceThickness}) {
    const auto step = wanted.items().number(DCM_PixelMeasuresSequence, tag);
    if (!frame.step && step && *step > 0) frame.step = step;
  }
}

Frame read_plane(const std::shared_ptr<DicomFile>& file, int index) {
  Frame frame;
  frame.file = file;
  frame.index = index;
  frame.rows = file->rows;
  frame.columns = file->columns;
  const Wanted wanted(*file, index);
  read_contents(frame, wanted.items());
  read_times(frame, wanted.items());
  read_scaling(frame, wanted);
  read_geometry(frame, wanted);
  return frame;
}

/// What Siemens says of a slice beside the standard's attributes; "": nothing.
std::string_view csa_header(const DicomFile& file) {
  auto* header = private_element(file, 0x0029, "SIEMENS CSA HEADER", 0x10);
  Uint8* bytes = nullptr;
  if (!header || header->getUint8Array(bytes).bad() || !bytes) return {};
  return {reinterpret_cast<const char*>(bytes), header->getLength()};
}

/// A square of tiles, row by row, each a slice; those behind the last slice are empty.
/// ImagePositionPatient is that which one slice of the whole square's size would have, with the
/// same centre as the first slice; the slices follow along SliceNormalVector.
std::vector<Frame> mosaic_tiles(const Frame& whole) {
  const auto& name = whole.file->name;
  auto csa = read_csa(csa_header(*whole.file));
  const auto value = [&](const char* key, std::size_t index) -> std::optional<double> {
    const auto& values = csa[key];
    if (index >= values.size()) return std::nullopt;
    char* end = nullptr;
    const double x = std::strtod(values[index].c_str(), &end);
    return end != values[index].c_str() && std::isfinite(x) ? std::optional(x) : std::nullopt;
  };
  const auto count = value("NumberOfImagesInMosaic", 0);
  std::array<std::optional<double>, 3> along;
  for (std::size_t c = 0; c < 3; ++c) along[c] = value("SliceNormalVector", c);
  if (!count || !along[0] || !along[1] || !along[2])
    throw DataError(name +
                    ": a mosaic of slices whose number and order are not known: the Siemens CSA "
                    "header lacks NumberOfImagesInMosaic or SliceNormalVector, or is gone");
  const auto per_side = static_cast<int>(std::ceil(std::sqrt(std::clamp(*count, 1.0, 1e4))));
  if (*count < 1 || *count > 1e4 || whole.rows % per_side != 0 || whole.columns % per_side != 0)
    throw DataError(name + ": a mosaic of " + fixed(*count, 0) + " slices in " +
                    std::to_string(whole.rows) + " rows and " + std::to_string(whole.columns) +
                    " columns");
  Frame tile = whole;
  tile.rows /= per_side;
  tile.columns /= per_side;
  auto normal = cross(whole.row_direction, whole.column_direction);
  const double sign = dot({*along[0], *along[1], *along[2]}, normal);
  if (std::fabs(std::fabs(sign) - 1) > 1e-2)
    throw DataError(name + ": the mosaic's SliceNormalVector is not normal to its slices");
  const double step = std::copysign(whole.step.value_or(1), sign);
  std::vector<Frame> tiles;
  for (int k = 0; k < static_cast<int>(*count); ++k) {
    tile.row = k / per_side * tile.rows;
    tile.column = k % per_side * tile.columns;
    for (std::size_t c = 0; c < 3; ++c)
      tile.position[c] =
          whole.position[c] +
          whole.row_direction[c] * whole.spacing_i * (whole.columns - tile.columns) / 2 +
          whole.column_direction[c] * whole.spacing_j * (whole.rows - tile.rows) / 2 +
          normal[c] * step * k;
    tiles.push_back(tile);
  }
  return tiles;
}

bool has_word(const std::string& image_type, const char* word) {
  const auto words = split(image_type, '\\');
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

double dot(const Vector& a, const Vector& b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

Vector cross(const Vector& a, const Vector& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

std::string text_of(DcmItem& item, const DcmTagKey& tag) {
  DcmElement* element = nullptr;
  item.findAndGetElement(tag, element);
  return text_in(element);
}

Elements::Elements(DcmItem& item) {
  elements_.reserve(item.card());
  DcmObject* at = nullptr;
  while ((at = item.nextInContainer(at)))
    if (auto* element = dynamic_cast<DcmElement*>(at))
      elements_.emplace_back(std::uint32_t{at->getGTag()} << 16 | at->getETag(), element);
  std::stable_sort(elements_.begin(), elements_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
}

DcmElement* Elements::find(const DcmTagKey& tag) const {
  const auto wanted = std::uint32_t{tag.getGroup()} << 16 | tag.getElement();
  const auto at =
      std::lower_bound(elements_.begin(), elements_.end(), wanted,
                       [](const auto& one, std::uint32_t key) { return one.first < key; });
  return at != elements_.end() && at->first == wanted ? at->second : nullptr;
}

std::string Elements::text(const DcmTagKey& tag) const {
  return text_in(find(tag));
}

std::optional<double> Elements::number(const DcmTagKey& tag, unsigned long index) const {
  return number_in(find(tag), index);
}

std::string shown(std::string value) {
  for (char& c : value)
    if (c < ' ' || c > '~') c = '?';
  return "'" + value.substr(0, 32) + "'";
}

FrameItems::FrameItems(const DicomFile& file, int frame) : dataset_(&file.elements) {
  if (!dataset_->find(DCM_PerFrameFunctionalGroupsSequence)) return;
  auto& dataset = file.dataset();
  dataset.findAndGetSequenceItem(DCM_SharedFunctionalGroupsSequence, shared_);
  dataset.findAndGetSequenceItem(DCM_PerFrameFunctionalGroupsSequence, own_, frame);
}

DcmElement* FrameItems::element(const DcmTagKey& group, const DcmTagKey& tag) const {
  // Last, of objects that were converted from classic ones: what had no functional group.
  for (const auto& [groups, sequence] :
       {std::pair<DcmItem*, DcmTagKey>(own_, group),
        {shared_, group},
        {own_, DCM_UnassignedPerFrameConvertedAttributesSequence},
        {shared_, DCM_UnassignedSharedConvertedAttributesSequence}}) {
    DcmItem* item = nullptr;
    DcmElement* element = nullptr;
    if (groups && groups->findAndGetSequenceItem(sequence, item).good() && item &&
        item->findAndGetElement(tag, element).good())
      return element;
  }
  return dataset_->find(tag);
}

std::string FrameItems::text(const DcmTagKey& group, const DcmTagKey& tag) const {
  return text_in(element(group, tag));
}

std::optional<double> FrameItems::number(const DcmTagKey& group, const DcmTagKey& tag,
                                         unsigned long index) const {
  return number_in(element(group, tag), index);
}

void open_dicom(const std::string& path, const std::string& name, DicomFile& file) {
  prepare_dcmtk();
  file.name = name;
  file.file_name = mr::file_name(name);
  file.file = std::make_unique<DcmFileFormat>();
  file.file_bytes = std::filesystem::file_size(path);
  const auto status = file.file->loadFile(path.c_str());
  file.elements = Elements(file.dataset());
  if (status.bad()) throw DataError(name + ": damaged DICOM file: " + status.text());
}

bool is_directory(const DicomFile& file) {
  return file.elements.find(DCM_DirectoryRecordSequence) &&
         file.elements.text(DCM_SOPClassUID).empty();
}

std::string other_object(const DicomFile& file) {
  const auto sop_class = file.elements.text(DCM_SOPClassUID);
  if (sop_class.empty() || sop_class == UID_MRImageStorage || is_enhanced(file)) return "";
  return dcmFindNameOfUID(sop_class.c_str(), ("SOP class " + shown(sop_class)).c_str());
}

std::vector<Frame> frames_of(std::shared_ptr<DicomFile> file) {
  if (file->elements.text(DCM_SOPClassUID).empty())
    throw DataError(file->name + ": lacks SOPClassUID (0008,0016)");
  if (const auto other = other_object(*file); !other.empty())
    throw DataError(file->name + ": want a DICOM MR Image, found " + other);
  read_frame_count(*file);
  read_pixel_format(*file);
  require_capacity(*file);
  std::vector<Frame> frames;
  for (int i = 0; i < file->frames; ++i) frames.push_back(read_plane(file, i));
  if (frames.size() == 1 && has_word(frames[0].image_type, "MOSAIC"))
    return mosaic_tiles(frames[0]);
  return frames;
}

}  // namespace mr::image
