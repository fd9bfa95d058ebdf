#include "image/png.h"

#include <png.h>

#include <csetjmp>
#include <cstring>

#include "base/error.h"
#include "image/image_file.h"

namespace mr::image {

std::string encode_png(const std::vector<std::uint8_t>& pixels, int width, int height) {
  if (width < 1 || height < 1 ||
      pixels.size() != static_cast<std::size_t>(width) * static_cast<std::size_t>(height))
    throw std::logic_error("encode_png: width * height is not the number of pixels");
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_GRAY;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string out(bytes, '\0');
  if (!png_image_write_to_memory(&image, out.data(), &bytes, 0, pixels.data(), 0, nullptr))
    throw std::logic_error(std::string("encode_png: ") + image.message);
  out.resize(bytes);
  return out;
}

GreyPicture decode_png(const std::string& bytes, const std::string& name) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  GreyPicture picture;
  bool read = png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) != 0;
  if (read) {
    image.format = PNG_FORMAT_GRAY;
    picture.width = static_cast<int>(image.width);
    picture.height = static_cast<int>(image.height);
    picture.pixels.resize(PNG_IMAGE_SIZE(image));
    read = png_image_finish_read(&image, nullptr, picture.pixels.data(), 0, nullptr) != 0;
  }
  const std::string why = image.message;
  png_image_free(&image);
  if (!read) throw DataError(name + ": not a PNG: " + why);
  return picture;
}

namespace {

/// What libpng's callbacks know. Errors leave by longjmp, past no C++ object.
struct Reading {
  const std::string* bytes;
  std::size_t at = 0;
  char why[128] = "";
};

void take(png_structp png, png_bytep out, png_size_t n) {
  auto& reading = *static_cast<Reading*>(png_get_io_ptr(png));
  if (n > reading.bytes->size() - reading.at) png_error(png, "cut off");
  std::memcpy(out, reading.bytes->data() + reading.at, n);
  reading.at += n;
}

[[noreturn]] void fail(png_structp png, png_const_charp why) {
  auto& reading = *static_cast<Reading*>(png_get_error_ptr(png));
  std::strncpy(reading.why, why, sizeof reading.why - 1);
  png_longjmp(png, 1);
}

void ignore(png_structp, png_const_charp) {}

struct PngHeader {
  png_uint_32 width = 0, height = 0;
  int bits = 0, colour = 0;
  bool transparent = false;
};

/// libpng's reader, freed at the end.
struct PngReader {
  explicit PngReader(Reading& reading)
      : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &reading, fail, ignore)),
        info(png_create_info_struct(png)) {
    png_set_read_fn(png, &reading, take);
  }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }

  bool read_header(PngHeader& header) {
    if (setjmp(png_jmpbuf(png))) return false;
    png_read_info(png, info);
    png_get_IHDR(png, info, &header.width, &header.height, &header.bits, &header.colour, nullptr,
                 nullptr, nullptr);
    header.transparent = png_get_valid(png, info, PNG_INFO_tRNS) != 0;
    return true;
  }

  /// Rows as stored, samples of less than 8 bits a byte each, of 16 bits in native order.
  bool read_rows(png_bytep* rows) {
    if (setjmp(png_jmpbuf(png))) return false;
    png_set_packing(png);
    if constexpr (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) png_set_swap(png);
    png_read_image(png, rows);
    png_read_end(png, nullptr);
    return true;
  }

  png_structp png;
  png_infop info;
};

}  // namespace

bool looks_like_png(std::string_view bytes) {
  return bytes.substr(0, 8) == std::string_view("\x89PNG\r\n\x1a\n", 8);
}

Volume read_png(const std::string& bytes, const std::string& name) {
  Reading reading{&bytes};
  PngReader reader(reading);
  PngHeader header;
  const auto damaged = [&] { return DataError(name + ": damaged PNG: " + reading.why); };
  if (!reader.read_header(header)) throw damaged();
  const bool grey = header.colour == PNG_COLOR_TYPE_GRAY;
  if ((!grey && header.colour != PNG_COLOR_TYPE_RGB) || header.transparent)
    throw DataError(name + ": a PNG with a palette or transparency; want grey");
  const std::size_t channels = grey ? 1 : 3, sample_bytes = header.bits > 8 ? 2 : 1;
  const auto row_bytes = header.width * channels * sample_bytes;
  constexpr std::size_t best_ratio = 1032;  // of deflate
  if (row_bytes * header.height * static_cast<std::size_t>(std::min(header.bits, 8)) / 8 >
      bytes.size() * best_ratio)
    throw DataError(name + ": truncated: header promises " + std::to_string(header.width) + " x " +
                    std::to_string(header.height) + " pixels");
  std::string pixels(row_bytes * header.height, '\0');
  std::vector<png_bytep> rows;
  for (std::size_t y = 0; y < header.height; ++y)
    rows.push_back(reinterpret_cast<png_bytep>(&pixels[y * row_bytes]));
  if (!reader.read_rows(rows.data())) throw damaged();

  const Affine affine = {{{-1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}};
  auto volume = make_volume({1, 1, header.height, header.width}, affine,
                            sample_bytes == 2 ? Datatype::u16 : Datatype::u8);
  const auto sample = [&](std::size_t i) {
    std::uint16_t value = static_cast<std::uint8_t>(pixels[i * sample_bytes]);
    if (sample_bytes == 2) std::memcpy(&value, &pixels[i * 2], 2);
    return value;
  };
  for (std::int64_t i = 0; i < volume.voxels.size(); ++i) {
    const auto at = static_cast<std::size_t>(i) * channels;
    if (!grey && (sample(at) != sample(at + 1) || sample(at) != sample(at + 2)))
      throw DataError(name + ": a PNG in colours; want grey");
    volume.voxels[i] = sample(at);
  }
  return volume;
}

}  // namespace mr::image
