#include <dcmtk/dcmdata/dcostrmb.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "base/error.h"
#include "base/run.h"
#include "base/text.h"
#include "image/dicom_deidentify.h"
#include "image/dicom_origin.h"

namespace mr::image {
namespace {

__extension__ using Uint128 = unsigned __int128;

const DicomOrigin& origin_of(const Volume& volume) {
  const auto* origin = dynamic_cast<const DicomOrigin*>(volume.origin.get());
  if (!origin || origin->shape != volume.shape())
    throw std::logic_error("write DICOM: the image has another shape than its source");
  return *origin;
}

DcmItem& new_item(DcmItem& dataset, const DcmTagKey& sequence, bool keep_others) {
  DcmItem* item = nullptr;
  if (!keep_others) dataset.findAndDeleteElement(sequence);
  const auto status = dataset.findOrCreateSequenceItem(sequence, item, -2);  // -2 appends
  if (status.bad() || !item) throw std::logic_error("write DICOM: cannot append to a sequence");
  return *item;
}

/// What no longer holds of changed pixels, or holds the clean ones.
void drop_stale(DcmDataset& dataset) {
  for (const auto& tag :
       {DCM_InstanceCreationDate, DCM_InstanceCreationTime, DCM_IconImageSequence,
        DCM_MACParametersSequence, DCM_DigitalSignaturesSequence, DCM_SmallestPixelValueInSeries,
        DCM_LargestPixelValueInSeries, DCM_PixelPaddingValue, DCM_PixelPaddingRangeLimit,
        DCM_ExtendedOffsetTable, DCM_ExtendedOffsetTableLengths})
    dataset.findAndDeleteElement(tag);
  for (int group = 0x6000; group < 0x6020; group += 2) {  // overlays in the pixels' spare bits
    const auto g = static_cast<Uint16>(group);
    if (!dataset.tagExists(DcmTagKey(g, 0x0010)) || dataset.tagExists(DcmTagKey(g, 0x3000)))
      continue;
    for (Uint16 element = 0; element < 0x3000; ++element)
      dataset.findAndDeleteElement(DcmTagKey(g, element));
  }
}

/// Values after those that are there.
void append(DcmItem& item, const DcmTagKey& tag, const std::string& value) {
  const auto before = text_of(item, tag);
  set(item, tag, before.empty() ? value : before + "\\" + value);
}

/// A series of its own in an archive's list: another number, and what was done behind its name.
void name_series(DcmDataset& dataset, const Derivation& derivation) {
  Sint32 number = 0;
  if (dataset.findAndGetSint32(DCM_SeriesNumber, number).good() && number < 1000000000)
    set(dataset, DCM_SeriesNumber, std::to_string(number + 1000));
  if (derivation.text.empty()) return;
  constexpr std::size_t longest = 64;  // of LO
  auto name = text_of(dataset, DCM_SeriesDescription);
  const auto added = derivation.text.substr(0, longest);
  if (name.empty() || name.size() + 1 + added.size() > longest)
    name = added;
  else
    name += " " + added;
  set(dataset, DCM_SeriesDescription, name);
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : "\\") + part;
  return text;
}

/// ImageType or FrameType of what was computed. Multi-frame objects are PRIMARY always (PS3.3
/// C.8.16.1.2).
void set_derived(DcmItem& item, const DcmTagKey& tag, bool multi_frame) {
  auto words = split(text_of(item, tag), '\\');
  words.resize(std::max<std::size_t>(words.size(), 3), "OTHER");
  words[0] = "DERIVED";
  if (!multi_frame) words[1] = "SECONDARY";
  set(item, tag, joined(words));
}

/// What was made of which object: into `item` of a classic file, or a functional group's item.
void describe_derivation(DcmItem& item, const std::string& sop_class, const std::string& instance,
                         const Derivation& derivation) {
  auto& source = new_item(item, DCM_SourceImageSequence, false);
  set(source, DCM_ReferencedSOPClassUID, sop_class);
  set(source, DCM_ReferencedSOPInstanceUID, instance);
  set_code(source, DCM_PurposeOfReferenceCodeSequence, "121322", "DCM",
           "Source image for image processing operation");
  if (derivation.text.empty()) return;
  set(item, DCM_DerivationDescription, derivation.text.substr(0, 1024));
  // No code of CID 7203 says that artifacts were simulated: one of a private scheme.
  set_code(item, DCM_DerivationCodeSequence, "artifact", "99MRROBUST", "Simulated MR artifacts");
}

/// The items of a multi-frame object's functional groups: the shared one, then those of frames.
std::vector<DcmItem*> functional_groups(DcmDataset& dataset) {
  std::vector<DcmItem*> groups;
  for (const auto& tag :
       {DCM_SharedFunctionalGroupsSequence, DCM_PerFrameFunctionalGroupsSequence}) {
    DcmSequenceOfItems* sequence = nullptr;
    dataset.findAndGetSequence(tag, sequence);
    DcmObject* at = nullptr;
    while (sequence && (at = sequence->nextInContainer(at)))
      groups.push_back(dynamic_cast<DcmItem*>(at));
  }
  return groups;
}

/// The item of a functional group, null where the group is not there.
DcmItem* item_of(DcmItem& groups, const DcmTagKey& group) {
  DcmItem* item = nullptr;
  groups.findAndGetSequenceItem(group, item);
  return item;
}

/// The groups that have `group`; where none has, the shared one gets it, or each frame.
std::vector<DcmItem*> items_of(DcmDataset& dataset, const DcmTagKey& group) {
  std::vector<DcmItem*> items;
  const auto groups = functional_groups(dataset);
  for (auto* one : groups)
    if (auto* item = item_of(*one, group)) items.push_back(item);
  if (!items.empty()) return items;
  const bool shared = dataset.tagExists(DCM_SharedFunctionalGroupsSequence);
  for (auto* one : groups) {
    items.push_back(&new_item(*one, group, false));
    if (shared) break;
  }
  return items;
}

/// Where the sources of a multi-frame object's functional groups are (PS3.3 C.8.13.2.1).
void list_evidence(DcmDataset& dataset, const std::string& sop_class, const std::string& instance) {
  auto& study = new_item(dataset, DCM_SourceImageEvidenceSequence, true);
  set(study, DCM_StudyInstanceUID, text_of(dataset, DCM_StudyInstanceUID));
  auto& series = new_item(study, DCM_ReferencedSeriesSequence, false);
  set(series, DCM_SeriesInstanceUID, text_of(dataset, DCM_SeriesInstanceUID));
  auto& object = new_item(series, DCM_ReferencedSOPSequence, false);
  set(object, DCM_ReferencedSOPClassUID, sop_class);
  set(object, DCM_ReferencedSOPInstanceUID, instance);
}

/// Says that the object is derived, from what, how and by whom.
void describe(DcmDataset& dataset, const Derivation& derivation) {
  const bool multi_frame = dataset.tagExists(DCM_PerFrameFunctionalGroupsSequence);
  const auto sop_class = text_of(dataset, DCM_SOPClassUID);
  const auto instance = text_of(dataset, DCM_SOPInstanceUID);
  set_derived(dataset, DCM_ImageType, multi_frame);
  if (multi_frame) {
    for (auto* item : items_of(dataset, DCM_MRImageFrameTypeSequence))
      set_derived(*item, DCM_FrameType, true);
    for (auto* item : items_of(dataset, DCM_DerivationImageSequence))
      describe_derivation(*item, sop_class, instance, derivation);
    list_evidence(dataset, sop_class, instance);
  } else {
    describe_derivation(dataset, sop_class, instance, derivation);
  }
  if (!derivation.lossy.empty()) {
    set(dataset, DCM_LossyImageCompression, "01");
    const auto values = [&](const DcmTagKey& tag) {
      const auto text = text_of(dataset, tag);
      return text.empty() ? 0 : split(text, '\\').size();
    };
    const bool in_step = values(DCM_LossyImageCompressionMethod) ==
                         values(DCM_LossyImageCompressionRatio);  // each belongs to a method
    for (const auto& lossy : derivation.lossy) {
      append(dataset, DCM_LossyImageCompressionMethod, lossy.method);
      if (in_step) append(dataset, DCM_LossyImageCompressionRatio, decimal_string(lossy.ratio));
    }
  }
  if (derivation.burned_in) set(dataset, DCM_BurnedInAnnotation, "YES");
  name_series(dataset, derivation);
  auto& equipment = new_item(dataset, DCM_ContributingEquipmentSequence, true);
  set(equipment, DCM_Manufacturer, "mr-robustness");
  set(equipment, DCM_SoftwareVersions, version());
  set_code(equipment, DCM_PurposeOfReferenceCodeSequence, "109103", "DCM", "Modifying Equipment");
}

/// Windows are scaled as the bright end of the image was, so that it looks as bright as before. Of
/// an inverted image, whose value v shows as `mirror` - v, they are scaled as it shows.
struct WindowScale {
  double factor = 1;
  double mirror_before = 0, mirror_after = 0;
  bool inverted = false;
};

void adapt_window(DcmItem& item, const WindowScale& scale) {
  item.findAndDeleteElement(DCM_VOILUTSequence);  // of values that are others now
  for (const auto& tag : {DCM_WindowCenter, DCM_WindowWidth}) {
    std::string scaled;
    Float64 x = 0;
    for (unsigned long i = 0; item.findAndGetFloat64(tag, x, i).good(); ++i)
      scaled += (i > 0 ? "\\" : "") +
                decimal_string(scale.inverted && tag == DCM_WindowCenter
                                   ? scale.mirror_after - scale.factor * (scale.mirror_before - x)
                                   : x * scale.factor);
    if (!scaled.empty()) set(item, tag, scaled);
  }
}

void adapt_windows(DcmDataset& dataset, const WindowScale& scale) {
  constexpr double unseen = 0.02;
  if (std::fabs(scale.factor - 1) < unseen && scale.mirror_before == scale.mirror_after) return;
  adapt_window(dataset, scale);
  for (auto* groups : functional_groups(dataset))
    if (auto* item = item_of(*groups, DCM_FrameVOILUTSequence)) adapt_window(*item, scale);
}

void set_scaling(DcmItem& item, const Storage& storage) {
  set(item, DCM_RescaleIntercept, decimal_string(storage.intercept));
  set(item, DCM_RescaleSlope, decimal_string(storage.slope));
  if (text_of(item, DCM_RescaleType).empty()) set(item, DCM_RescaleType, "US");
}

void rescale(DcmDataset& dataset, const Storage& storage) {
  const auto rescale_philips = [&](DcmItem& item) {  // its values are the standard's from now on
    if (item.tagExists(philips_scale_slope))
      item.putAndInsertFloat32(DcmTag(philips_scale_slope, EVR_FL),
                               static_cast<Float32>(1 / storage.slope));
  };
  rescale_philips(dataset);
  dataset.findAndDeleteElement(DCM_RealWorldValueMappingSequence);
  const auto groups = functional_groups(dataset);
  if (groups.empty()) return set_scaling(dataset, storage);
  for (auto* item : items_of(dataset, DCM_PixelValueTransformationSequence))
    set_scaling(*item, storage);
  for (auto* group : groups) {
    group->findAndDeleteElement(DCM_RealWorldValueMappingSequence);
    if (auto* item = item_of(*group, philips_items)) rescale_philips(*item);
  }
}

/// Writes the scaling that each frame was read with, one for each that is kept, in order.
void write_scaling(DcmDataset& dataset, const std::vector<Storage>& frames) {
  DcmSequenceOfItems* sequence = nullptr;
  dataset.findAndGetSequence(DCM_PerFrameFunctionalGroupsSequence, sequence);
  if (!sequence) return set_scaling(dataset, frames.front());
  for (auto* groups : functional_groups(dataset))
    groups->findAndDeleteElement(DCM_PixelValueTransformationSequence);
  for (std::size_t i = 0; i < frames.size() && i < sequence->card(); ++i)
    set_scaling(new_item(*sequence->getItem(static_cast<unsigned long>(i)),
                         DCM_PixelValueTransformationSequence, false),
                frames[i]);
}

/// Leaves the frames of these indices, which rise.
void keep_frames(DcmDataset& dataset, const std::vector<int>& kept, int frames) {
  if (static_cast<int>(kept.size()) == frames) return;
  DcmSequenceOfItems* sequence = nullptr;
  dataset.findAndGetSequence(DCM_PerFrameFunctionalGroupsSequence, sequence);
  for (int i = frames; sequence && i-- > 0;)
    if (!std::binary_search(kept.begin(), kept.end(), i))
      delete sequence->remove(static_cast<unsigned long>(i));
  set(dataset, DCM_NumberOfFrames, std::to_string(kept.size()));
}

/// Stored pixels of one slice as they go to the file, and their extremes.
struct Pixels {
  std::string bytes;
  std::int64_t smallest = 0, largest = 0;
};

template <typename T>
void finish_pixels(const PixelFormat& format, Pixels& pixels) {
  auto* first = reinterpret_cast<T*>(pixels.bytes.data());
  auto* last = first + pixels.bytes.size() / sizeof(T);
  if (format.inverted)
    std::transform(first, last, first, [&](T x) { return static_cast<T>(format.mirror() - x); });
  const auto [a, b] = std::minmax_element(first, last);
  pixels.smallest = *a;
  pixels.largest = *b;
}

Pixels encode_slice(const Volume& volume, const DicomOrigin& origin, const Storage& storage,
                    std::int64_t k) {
  Pixels pixels;
  pixels.bytes.resize(static_cast<std::size_t>(numbers_per_plane(volume)) *
                      bytes_of(storage.datatype));
  encode_plane(volume, storage, k, pixels.bytes.data());
  switch (storage.datatype) {
    case Datatype::u8:
      finish_pixels<std::uint8_t>(origin.format, pixels);
      break;
    case Datatype::i8:
      finish_pixels<std::int8_t>(origin.format, pixels);
      break;
    case Datatype::u16:
      finish_pixels<std::uint16_t>(origin.format, pixels);
      break;
    default:
      finish_pixels<std::int16_t>(origin.format, pixels);
      break;
  }
  return pixels;
}

void put_pixels(DcmDataset& dataset, const PixelFormat& format, const Pixels& pixels,
                bool widened) {
  if (widened) {
    dataset.putAndInsertUint16(DCM_BitsStored, static_cast<Uint16>(format.bits_allocated));
    dataset.putAndInsertUint16(DCM_HighBit, static_cast<Uint16>(format.bits_allocated - 1));
  }
  const auto put_extreme = [&](const DcmTagKey& key, std::int64_t value) {
    if (!dataset.tagExists(key)) return;
    const DcmTag tag(key, format.is_signed ? EVR_SS : EVR_US);
    if (format.is_signed)
      dataset.putAndInsertSint16(tag, static_cast<Sint16>(value));
    else
      dataset.putAndInsertUint16(tag, static_cast<Uint16>(value));
  };
  put_extreme(DCM_SmallestImagePixelValue, pixels.smallest);
  put_extreme(DCM_LargestImagePixelValue, pixels.largest);
  OFCondition status;
  if (format.bits_allocated == 8) {
    status = dataset.putAndInsertUint8Array(DcmTag(DCM_PixelData, EVR_OB),
                                            reinterpret_cast<const Uint8*>(pixels.bytes.data()),
                                            static_cast<unsigned long>(pixels.bytes.size()));
  } else {
    status = dataset.putAndInsertUint16Array(DcmTag(DCM_PixelData, EVR_OW),
                                             reinterpret_cast<const Uint16*>(pixels.bytes.data()),
                                             static_cast<unsigned long>(pixels.bytes.size() / 2));
  }
  if (status.bad()) throw DataError(std::string("image to be written: ") + status.text());
}

std::string serialise(DcmFileFormat& file) {
  constexpr auto syntax = EXS_LittleEndianExplicit;
  auto status = file.validateMetaInfo(syntax, EWM_updateMeta);
  std::string out, block(1 << 16, '\0');
  DcmOutputBufferStream stream(block.data(), static_cast<offile_off_t>(block.size()));
  const auto drain = [&] {
    void* bytes = nullptr;
    offile_off_t n = 0;
    stream.flushBuffer(bytes, n);
    out.append(static_cast<const char*>(bytes), static_cast<std::size_t>(n));
  };
  file.transferInit();
  if (status.good()) {
    do {
      status = file.write(stream, syntax, EET_ExplicitLength, nullptr, EGL_recalcGL, EPD_noChange,
                          0, 0, 0, EWM_updateMeta);
      drain();
    } while (status == EC_StreamNotifyClient);
  }
  file.transferEnd();
  if (status.bad())
    throw DataError(std::string("image to be written: DICOM cannot be encoded: ") + status.text());
  return out;
}

using Planes = std::vector<std::int64_t>;

/// The planes of each source.
std::vector<Planes> planes_by_source(const DicomOrigin& origin) {
  std::vector<Planes> planes(origin.sources.size());
  for (std::size_t p = 0; p < origin.places.size(); ++p)
    planes[origin.places[p].source].push_back(static_cast<std::int64_t>(p));
  return planes;
}

std::vector<int> frames_in(const DicomOrigin& origin, const Planes& planes) {
  std::set<int> frames;
  for (const auto p : planes) frames.insert(origin.places[static_cast<std::size_t>(p)].frame);
  return {frames.begin(), frames.end()};
}

/// The scaling of the frames of one source, in the order of frames_in.
std::vector<Storage> storages_in(const DicomOrigin& origin, const Planes& planes) {
  std::map<int, Storage> storages;
  for (const auto p : planes)
    storages[origin.places[static_cast<std::size_t>(p)].frame] =
        origin.planes[static_cast<std::size_t>(p)];
  std::vector<Storage> list;
  for (const auto& [frame, storage] : storages) list.push_back(storage);
  return list;
}

/// The frames of one source as they go to its file. Tiles of a mosaic without a slice are 0.
Pixels encode_source(const Volume& volume, const DicomOrigin& origin, const Storage& storage,
                     std::size_t source, const Planes& planes) {
  const auto& file = origin.sources[source];
  const auto frames = frames_in(origin, planes);
  const auto pixel = bytes_of(storage.datatype);
  const auto row_bytes = static_cast<std::size_t>(file.columns) * pixel;
  const auto frame_bytes = static_cast<std::size_t>(file.rows) * row_bytes;
  Pixels all;
  all.smallest = std::numeric_limits<std::int64_t>::max();
  all.largest = std::numeric_limits<std::int64_t>::min();
  all.bytes.resize(frames.size() * frame_bytes);
  const auto rows = static_cast<std::size_t>(volume.shape()[2]);
  const auto width = static_cast<std::size_t>(volume.shape()[3]) * pixel;
  for (const auto p : planes) {
    const auto& place = origin.places[static_cast<std::size_t>(p)];
    const auto plane = encode_slice(volume, origin, storage, p);
    const auto frame = static_cast<std::size_t>(
        std::lower_bound(frames.begin(), frames.end(), place.frame) - frames.begin());
    auto* to = &all.bytes[frame * frame_bytes + static_cast<std::size_t>(place.row) * row_bytes +
                          static_cast<std::size_t>(place.column) * pixel];
    for (std::size_t r = 0; r < rows; ++r)
      std::memcpy(to + r * row_bytes, &plane.bytes[r * width], width);
    all.smallest = std::min(all.smallest, plane.smallest);
    all.largest = std::max(all.largest, plane.largest);
  }
  return all;
}

/// A mosaic cannot be read without the private header that says how many slices it has.
void require_no_mosaic(const DicomOrigin& origin) {
  for (std::size_t p = 1; p < origin.places.size(); ++p)
    if (origin.places[p].column != origin.places[0].column)
      throw UsageError(
          "--deidentify: a mosaic of slices needs its private header, which the profile removes; "
          "name a .nii.gz file, which has no header");
}

/// Gives each source's derived file to `sink`, with the source's name.
void encode_files(const Volume& volume, const DicomOrigin& origin, const Derivation& derivation,
                  std::uint64_t uid_seed,
                  const std::function<void(const std::string&, const std::string&)>& sink) {
  const auto storage = fitting_storage(volume);
  const bool rescaled =
      storage.slope != origin.storage.slope || storage.intercept != origin.storage.intercept;
  const auto planes = planes_by_source(origin);
  if (derivation.deidentify) require_no_mosaic(origin);
  std::vector<Pixels> pixels;
  bool widened = false;
  // UIDs name content: they come from the pixels too, so that no two different images share one.
  std::string identity = "mr-robustness " + std::to_string(uid_seed) + " " + derivation.text;
  for (std::size_t s = 0; s < planes.size(); ++s) {
    pixels.push_back(encode_source(volume, origin, storage, s, planes[s]));
    widened = widened || pixels.back().smallest < origin.format.lowest(origin.format.bits_stored) ||
              pixels.back().largest > origin.format.highest(origin.format.bits_stored);
    identity += " " + sha256_hex(pixels.back().bytes);
  }
  const double brightness = bright_end(volume);
  const double factor =
      origin.bright_end > 0 && brightness > 0 ? brightness / origin.bright_end : 1;
  WindowScale window{factor};
  if (origin.format.inverted) {
    const auto mirror = [&](const Storage& s) {
      return s.slope * static_cast<double>(origin.format.mirror()) + 2 * s.intercept;
    };
    window.inverted = true;
    window.mirror_before = mirror(origin.storage);
    window.mirror_after = mirror(storage);
  }
  const std::lock_guard<std::mutex> lock(origin.mutex);
  for (std::size_t s = 0; s < pixels.size(); ++s) {
    const auto& source = origin.sources[s];
    // Who is not to be named is not named by the file's preamble and meta header, either.
    DcmFileFormat file = derivation.deidentify ? DcmFileFormat(source.file->getDataset())
                                               : DcmFileFormat(*source.file);
    auto& dataset = *file.getDataset();
    drop_stale(dataset);
    if (derivation.deidentify) deidentify(dataset, *derivation.deidentify);
    keep_frames(dataset, frames_in(origin, planes[s]), source.frames);
    if (derivation.deidentify && !rescaled && origin.is_philips_scaled)
      write_scaling(dataset, storages_in(origin, planes[s]));  // the private scale is gone
    describe(dataset, derivation);
    if (text_of(dataset, DCM_SOPInstanceUID).empty())
      set(dataset, DCM_SOPInstanceUID, uid_from(std::to_string(s)));
    for (const auto& tag : {DCM_SeriesInstanceUID, DCM_SOPInstanceUID, DCM_ConcatenationUID,
                            DCM_SOPInstanceUIDOfConcatenationSource})
      if (const auto uid = text_of(dataset, tag); !uid.empty())
        set(dataset, tag, uid_from(identity + " " + uid));
    if (rescaled) rescale(dataset, storage);
    adapt_windows(dataset, window);
    put_pixels(dataset, origin.format, pixels[s], widened);
    pixels[s] = {};
    sink(source.file_name, serialise(file));
  }
}

/// "IM0001", "IM0001.ima" -> "IM0001.dcm"; a second one of that stem keeps its whole name, and more
/// of them get a count.
std::string derived_name(const std::string& source, std::set<std::string>& taken) {
  const auto dot = source.rfind('.');
  auto name = source.substr(0, dot == 0 ? std::string::npos : dot) + ".dcm";
  for (int count = 1; !taken.insert(name).second; ++count)
    name = source + (count == 1 ? "" : "_" + std::to_string(count)) + ".dcm";
  return name;
}

}  // namespace

void set(DcmItem& item, const DcmTagKey& tag, const std::string& value) {
  const auto status = item.putAndInsertString(tag, value.c_str());
  if (status.bad())
    throw DataError(std::string("image to be written: ") + DcmTag(tag).getTagName() + ": " +
                    status.text());
}

void set_code(DcmItem& item, const DcmTagKey& sequence, const std::string& value,
              const std::string& scheme, const std::string& meaning) {
  auto& code = new_item(item, sequence, false);
  set(code, DCM_CodeValue, value);
  set(code, DCM_CodingSchemeDesignator, scheme);
  set(code, DCM_CodeMeaning, meaning);
}

std::string uid_from(const std::string& text) {
  const auto hex = sha256_hex(text);
  const auto high = std::strtoull(hex.substr(0, 16).c_str(), nullptr, 16);
  const auto low = std::strtoull(hex.substr(16, 16).c_str(), nullptr, 16);
  Uint128 uuid = static_cast<Uint128>((high & ~0xF000ULL) | 0x8000ULL) << 64;
  uuid |= (low & ~(3ULL << 62)) | (2ULL << 62);
  std::string digits;
  for (; uuid > 0; uuid /= 10)
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(uuid % 10)));
  return "2.25." + digits;
}

std::string decimal_string(double scale) {
  char digits[32];  // nine digits and the longest exponent are 16 characters
  std::snprintf(digits, sizeof digits, "%.9g", scale);
  return digits;
}

double bright_end(const Volume& volume) {
  const auto n = volume.voxels.size();
  const auto stride = std::max<std::int64_t>(1, n / 16381);  // a prime: no line is favoured
  std::vector<float> sample;
  for (std::int64_t i = 0; i < n; i += stride) sample.push_back(volume.voxels[i]);
  if (sample.empty()) return 0;
  const auto at =
      sample.begin() + static_cast<std::ptrdiff_t>(0.995 * static_cast<double>(sample.size() - 1));
  std::nth_element(sample.begin(), at, sample.end());
  return *at;
}

double DicomOrigin::storable(double scale) const {
  return std::strtod(decimal_string(scale).c_str(), nullptr);
}

DicomKind dicom_kind(const Volume& volume) {
  const auto* origin = dynamic_cast<const DicomOrigin*>(volume.origin.get());
  return origin ? origin->kind : DicomKind::none;
}

std::string encode_dicom(const Volume& volume, const Derivation& derivation,
                         std::uint64_t uid_seed) {
  std::string encoded;
  encode_files(volume, origin_of(volume), derivation, uid_seed,
               [&](const std::string&, const std::string& bytes) { encoded = bytes; });
  return encoded;
}

void write_dicom_folder(const Volume& volume, const std::string& path, const Derivation& derivation,
                        std::uint64_t uid_seed, Overwrite overwrite) {
  AtomicFolder folder(path, overwrite);
  std::set<std::string> taken;
  int count = 0;
  encode_files(volume, origin_of(volume), derivation, uid_seed,
               [&](const std::string& source, const std::string& bytes) {
                 const auto name = derivation.deidentify ? "IM" + std::to_string(++count) + ".dcm"
                                                         : derived_name(source, taken);
                 write_file(folder.path() + "/" + name, bytes, Overwrite::no);
               });
  folder.commit();
}

}  // namespace mr::image
