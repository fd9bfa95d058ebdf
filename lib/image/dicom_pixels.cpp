#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>

#include <cstring>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "image/dicom_frames.h"
#include "image/jpeg.h"

namespace mr::image {
namespace {

/// Are pixels written as they are? DCMTK 3.6.9 deprecates the question that 3.6.7 answers.
bool is_native(E_TransferSyntax syntax) {
  return syntax == EXS_LittleEndianImplicit || syntax == EXS_LittleEndianExplicit ||
         syntax == EXS_BigEndianExplicit || syntax == EXS_DeflatedLittleEndianExplicit;
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

void clean_pixels(const PixelFormat& format, char* pixels, std::int64_t n) {
  switch (format.datatype()) {
    case Datatype::u8:
      return clean(format, reinterpret_cast<std::uint8_t*>(pixels), n);
    case Datatype::i8:
      return clean(format, reinterpret_cast<std::int8_t*>(pixels), n);
    case Datatype::u16:
      return clean(format, reinterpret_cast<std::uint16_t*>(pixels), n);
    default:
      return clean(format, reinterpret_cast<std::int16_t*>(pixels), n);
  }
}

/// The fragments of an encapsulated frame, end to end: all of them where it is the only frame, one
/// where there is one for each, else those from its place in the offset table to the next.
std::string fragments_of(DcmPixelData& pixel_data, int frame, int frames) {
  E_TransferSyntax syntax = EXS_Unknown;
  const DcmRepresentationParameter* parameter = nullptr;
  pixel_data.getOriginalRepresentationKey(syntax, parameter);
  DcmPixelSequence* sequence = nullptr;
  std::string bytes;
  if (pixel_data.getEncapsulatedRepresentation(syntax, parameter, sequence).bad()) return bytes;
  const auto append = [&](unsigned long i) {
    DcmPixelItem* item = nullptr;
    Uint8* data = nullptr;
    if (sequence->getItem(item, i).good() && item->getUint8Array(data).good() && data)
      bytes.append(reinterpret_cast<const char*>(data), item->getLength());
  };
  const auto fragments = sequence->card() - 1;  // item 0 is the offset table
  const auto at = static_cast<unsigned long>(frame);
  if (fragments == static_cast<unsigned long>(frames)) {
    append(1 + at);
    return bytes;
  }
  Uint64 begin = 0, end = std::numeric_limits<Uint64>::max();
  if (frames > 1) {
    DcmPixelItem* table = nullptr;
    Uint8* offsets = nullptr;
    if (sequence->getItem(table, 0).bad() || table->getUint8Array(offsets).bad() || !offsets ||
        table->getLength() != 4 * static_cast<Uint32>(frames))
      return bytes;
    const auto offset = [&](unsigned long i) {
      Uint64 x = 0;
      for (unsigned long byte = 4; byte-- > 0;) x = x << 8 | offsets[4 * i + byte];
      return x;
    };
    begin = offset(at);
    if (frame + 1 < frames) end = offset(at + 1);
  }
  Uint64 place = 0;
  for (unsigned long i = 1; i <= fragments; ++i) {
    if (place >= begin && place < end) append(i);
    DcmPixelItem* item = nullptr;
    if (sequence->getItem(item, i).bad()) break;
    place += 8 + Uint64{item->getLength()};
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

/// Bits of a sample, of the frame header of a JPEG stream (ITU-T T.81, B.2.2); 0 where it has none.
int jpeg_precision(std::string_view bytes) {
  for (std::size_t at = 2; at + 4 < bytes.size();) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[at + i]); };
    if (byte(0) != 0xff) return 0;
    const int marker = byte(1);
    if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc)
      return byte(4);
    at += marker == 0xff ? 1 : 2 + (std::size_t{byte(2)} << 8 | byte(3));
  }
  return 0;
}

/// n bytes at the front become n 16-bit numbers.
void widen(char* pixels, std::size_t n) {
  for (std::size_t i = n; i-- > 0;) {
    const std::uint16_t value = static_cast<unsigned char>(pixels[i]);
    std::memcpy(pixels + 2 * i, &value, sizeof value);
  }
}

}  // namespace

void read_frame(const DicomFile& file, int frame, std::vector<char>& pixels) {
  auto& dataset = file.dataset();
  auto* pixel_data = dynamic_cast<DcmPixelData*>(file.elements.find(DCM_PixelData));
  if (!pixel_data) throw DataError(file.name + ": holds no pixels");
  const auto n = static_cast<std::size_t>(file.rows) * static_cast<std::size_t>(file.columns);
  const auto pixel_bytes = static_cast<std::size_t>(file.format.bits_allocated / 8);
  const auto frame_bytes = n * pixel_bytes;
  if (frame_bytes >= std::numeric_limits<Uint32>::max())
    throw DataError(file.name + ": 4 GiB of pixels or more are not handled");
  pixels.resize(frame_bytes + frame_bytes % 2);
  const auto fail = [&](const std::string& why) {
    throw DataError(file.name + ": pixels cannot be read (" +
                    DcmXfer(dataset.getOriginalXfer()).getXferName() + "): " + why);
  };
  const auto syntax = dataset.getOriginalXfer();
  if (syntax == EXS_JPEG2000LosslessOnly || syntax == EXS_JPEG2000) {
    try {
      const auto samples =
          decode_jpeg2000(fragments_of(*pixel_data, frame, file.frames), file.columns, file.rows);
      // Whether the codestream or the header says that they are signed: the bits are the same.
      for (std::size_t i = 0; i < n; ++i) {
        const auto bits = static_cast<std::uint16_t>(samples[i]);
        std::memcpy(&pixels[i * pixel_bytes], &bits, pixel_bytes);  // little-endian
      }
    } catch (const DataError& e) {
      fail(e.what());
    }
  } else if (syntax == EXS_RLELossless) {
    if (!decode_rle(fragments_of(*pixel_data, frame, file.frames), n, pixel_bytes, pixels.data()))
      fail("damaged or cut off");
  } else if (is_native(syntax)) {  // past DCMTK's frames, which look up the size anew
    const auto end = (static_cast<std::uint64_t>(frame) + 1) * frame_bytes;
    if (end > pixel_data->getLength())
      fail("cut off: " + std::to_string(pixel_data->getLength()) + " bytes of at least " +
           std::to_string(end));
    const auto status = pixel_data->getPartialValue(
        pixels.data(), static_cast<Uint32>(frame) * static_cast<Uint32>(frame_bytes),
        static_cast<Uint32>(frame_bytes));
    if (status.bad()) fail(status.text());
  } else {
    Uint32 fragment = 0;
    OFString colour_model;
    const auto status = pixel_data->getUncompressedFrame(
        &dataset, static_cast<Uint32>(frame), fragment, pixels.data(),
        static_cast<Uint32>(pixels.size()), colour_model);
    if (status.bad()) fail(status.text());
    // DCMTK writes as many bits as the JPEG stream has, whatever is allocated.
    const bool jpeg = DcmXfer(syntax).getXferID() != nullptr && syntax != EXS_JPEGLSLossless &&
                      syntax != EXS_JPEGLSLossy;
    const int precision = jpeg && pixel_bytes == 2
                              ? jpeg_precision(fragments_of(*pixel_data, frame, file.frames))
                              : 0;
    if (precision > 0 && precision <= 8) widen(pixels.data(), n);
  }
  clean_pixels(file.format, pixels.data(), static_cast<std::int64_t>(n));
}

}  // namespace mr::image
