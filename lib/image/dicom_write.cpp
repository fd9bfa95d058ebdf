#include <dcmtk/dcmdata/dcostrmb.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/run.h"
#include "base/text.h"
#include "image/dicom_origin.h"

namespace mr::image {
namespace {

__extension__ using Uint128 = unsigned __int128;

/// "2.25." and a UUID in decimal (ITU-T X.667), version 8 (RFC 9562), from a SHA-256.
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

const DicomOrigin& origin_of(const Volume& volume) {
  const auto* origin = dynamic_cast<const DicomOrigin*>(volume.origin.get());
  if (!origin || origin->shape != volume.shape())
    throw std::logic_error("write DICOM: the image has another shape than its source");
  return *origin;
}

std::string string_of(DcmItem& item, const DcmTagKey& tag) {
  OFString value;
  item.findAndGetOFStringArray(tag, value);
  return value.c_str();
}

void set(DcmItem& item, const DcmTagKey& tag, const std::string& value) {
  const auto status = item.putAndInsertString(tag, value.c_str());
  if (status.bad())
    throw DataError(std::string("image to be written: ") + DcmTag(tag).getTagName() + ": " +
                    status.text());
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
        DCM_LargestPixelValueInSeries, DCM_ReferencedImageEvidenceSequence})
    dataset.findAndDeleteElement(tag);
  for (int group = 0x6000; group < 0x6020; group += 2) {  // overlays in the pixels' spare bits
    const auto g = static_cast<Uint16>(group);
    if (!dataset.tagExists(DcmTagKey(g, 0x0010)) || dataset.tagExists(DcmTagKey(g, 0x3000)))
      continue;
    for (Uint16 element = 0; element < 0x3000; ++element)
      dataset.findAndDeleteElement(DcmTagKey(g, element));
  }
}

void set_code(DcmItem& item, const DcmTagKey& sequence, const std::string& value,
              const std::string& scheme, const std::string& meaning) {
  auto& code = new_item(item, sequence, false);
  set(code, DCM_CodeValue, value);
  set(code, DCM_CodingSchemeDesignator, scheme);
  set(code, DCM_CodeMeaning, meaning);
}

/// Values after those that are there.
void append(DcmItem& item, const DcmTagKey& tag, const std::string& value) {
  const auto before = string_of(item, tag);
  set(item, tag, before.empty() ? value : before + "\\" + value);
}

/// A series of its own in an archive's list: another number, and what was done behind its name.
void name_series(DcmDataset& dataset, const Derivation& derivation) {
  Sint32 number = 0;
  if (dataset.findAndGetSint32(DCM_SeriesNumber, number).good() && number < 1000000000)
    set(dataset, DCM_SeriesNumber, std::to_string(number + 1000));
  if (derivation.text.empty()) return;
  constexpr std::size_t longest = 64;  // of LO
  auto name = string_of(dataset, DCM_SeriesDescription);
  const auto added = derivation.text.substr(0, longest);
  if (name.empty() || name.size() + 1 + added.size() > longest)
    name = added;
  else
    name += " " + added;
  set(dataset, DCM_SeriesDescription, name);
}

/// Says that the object is derived, from what, how and by whom.
void describe(DcmDataset& dataset, const Derivation& derivation) {
  auto image_type = split(string_of(dataset, DCM_ImageType), '\\');
  image_type.resize(std::max<std::size_t>(image_type.size(), 3), "OTHER");
  image_type[0] = "DERIVED";
  image_type[1] = "SECONDARY";
  std::string joined;
  for (const auto& part : image_type) joined += (joined.empty() ? "" : "\\") + part;
  set(dataset, DCM_ImageType, joined);
  auto& source = new_item(dataset, DCM_SourceImageSequence, false);
  set(source, DCM_ReferencedSOPClassUID, string_of(dataset, DCM_SOPClassUID));
  set(source, DCM_ReferencedSOPInstanceUID, string_of(dataset, DCM_SOPInstanceUID));
  set_code(source, DCM_PurposeOfReferenceCodeSequence, "121322", "DCM",
           "Source image for image processing operation");
  if (!derivation.text.empty()) {
    set(dataset, DCM_DerivationDescription, derivation.text.substr(0, 1024));
    // No code of CID 7203 says that artifacts were simulated: one of a private scheme.
    set_code(dataset, DCM_DerivationCodeSequence, "artifact", "99MRROBUST",
             "Simulated MR artifacts");
  }
  if (!derivation.lossy.empty()) {
    set(dataset, DCM_LossyImageCompression, "01");
    for (const auto& method : derivation.lossy)
      append(dataset, DCM_LossyImageCompressionMethod, method);
  }
  if (derivation.burned_in) set(dataset, DCM_BurnedInAnnotation, "YES");
  name_series(dataset, derivation);
  auto& equipment = new_item(dataset, DCM_ContributingEquipmentSequence, true);
  set(equipment, DCM_Manufacturer, "mr-robustness");
  set(equipment, DCM_SoftwareVersions, version());
  set_code(equipment, DCM_PurposeOfReferenceCodeSequence, "109103", "DCM", "Modifying Equipment");
}

/// Windows are scaled as the bright end of the image was, so that it looks as bright as before.
void adapt_window(DcmDataset& dataset, double factor) {
  constexpr double unseen = 0.02;
  if (std::fabs(factor - 1) < unseen) return;
  dataset.findAndDeleteElement(DCM_VOILUTSequence);  // of values that are others now
  for (const auto& tag : {DCM_WindowCenter, DCM_WindowWidth}) {
    std::string scaled;
    Float64 x = 0;
    for (unsigned long i = 0; dataset.findAndGetFloat64(tag, x, i).good(); ++i)
      scaled += (i > 0 ? "\\" : "") + decimal_string(x * factor);
    if (!scaled.empty()) set(dataset, tag, scaled);
  }
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

/// All slices as files, in order along Z.
std::vector<std::string> encode_files(const Volume& volume, const DicomOrigin& origin,
                                      const Derivation& derivation, std::uint64_t uid_seed) {
  const auto storage = fitting_storage(volume);
  const bool rescaled =
      storage.slope != origin.storage.slope || storage.intercept != origin.storage.intercept;
  std::vector<Pixels> pixels;
  bool widened = false;
  // UIDs name content: they come from the pixels too, so that no two different images share one.
  std::string identity = "mr-robustness " + std::to_string(uid_seed) + " " + derivation.text;
  for (std::int64_t k = 0; k < volume.shape()[1]; ++k) {
    pixels.push_back(encode_slice(volume, origin, storage, k));
    widened = widened || pixels.back().smallest < origin.format.lowest(origin.format.bits_stored) ||
              pixels.back().largest > origin.format.highest(origin.format.bits_stored);
    identity += " " + sha256_hex(pixels.back().bytes);
  }
  const double brightness = bright_end(volume);
  const double factor =
      origin.bright_end > 0 && brightness > 0 ? brightness / origin.bright_end : 1;
  const std::lock_guard<std::mutex> lock(origin.mutex);
  std::vector<std::string> files;
  for (std::size_t k = 0; k < pixels.size(); ++k) {
    DcmFileFormat file(*origin.sources[k].file);
    auto& dataset = *file.getDataset();
    drop_stale(dataset);
    describe(dataset, derivation);
    const auto series = string_of(dataset, DCM_SeriesInstanceUID);
    const auto instance = string_of(dataset, DCM_SOPInstanceUID);
    set(dataset, DCM_SeriesInstanceUID, uid_from(identity + " series " + series));
    set(dataset, DCM_SOPInstanceUID, uid_from(identity + " instance " + instance));
    if (rescaled) {
      set(dataset, DCM_RescaleIntercept, decimal_string(storage.intercept));
      set(dataset, DCM_RescaleSlope, decimal_string(storage.slope));
      if (string_of(dataset, DCM_RescaleType).empty()) set(dataset, DCM_RescaleType, "US");
      dataset.findAndDeleteElement(DCM_RealWorldValueMappingSequence);
    }
    adapt_window(dataset, factor);
    put_pixels(dataset, origin.format, pixels[k], widened);
    files.push_back(serialise(file));
  }
  return files;
}

/// "IM0001", "IM0001.ima" -> "IM0001.dcm"; a second one of that stem keeps its whole name.
std::string derived_name(const std::string& source, std::set<std::string>& taken) {
  const auto dot = source.rfind('.');
  auto name = source.substr(0, dot == 0 ? std::string::npos : dot) + ".dcm";
  if (!taken.insert(name).second) {
    name = source + ".dcm";
    taken.insert(name);
  }
  return name;
}

}  // namespace

std::string decimal_string(double scale) {
  char digits[32];  // nine digits and the longest exponent are 16 characters
  std::snprintf(digits, sizeof digits, "%.9g", scale);
  return digits;
}

double bright_end(const Volume& volume) {
  const auto n = volume.voxels.size();
  const auto stride = std::max<std::int64_t>(1, n / 65521);  // a prime: no line is favoured
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
  return encode_files(volume, origin_of(volume), derivation, uid_seed).front();
}

void write_dicom_folder(const Volume& volume, const std::string& path, const Derivation& derivation,
                        std::uint64_t uid_seed, Overwrite overwrite) {
  const auto& origin = origin_of(volume);
  const auto files = encode_files(volume, origin, derivation, uid_seed);
  AtomicFolder folder(path, overwrite);
  std::set<std::string> taken;
  for (std::size_t k = 0; k < files.size(); ++k)
    write_file(folder.path() + "/" + derived_name(origin.sources[k].file_name, taken), files[k],
               Overwrite::no);
  folder.commit();
}

}  // namespace mr::image
