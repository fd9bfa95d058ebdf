#include "image/jpeg.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>

#include "base/error.h"

namespace mr::image {
namespace {

/// libjpeg reports errors by a call that must not return; it jumps back to where the codec was
/// called, over C frames only.
struct Failure {
  jpeg_error_mgr manager;
  std::jmp_buf place;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave(j_common_ptr codec) {
  auto* failure = reinterpret_cast<Failure*>(codec->err);
  codec->err->format_message(codec, failure->message);
  std::longjmp(failure->place, 1);
}

/// Warnings, such as of an early end, make the image unusable too.
void heed(j_common_ptr codec, int level) {
  if (level < 0) leave(codec);
}

jpeg_error_mgr* report_to(Failure& failure) {
  jpeg_std_error(&failure.manager);
  failure.manager.error_exit = leave;
  failure.manager.emit_message = heed;
  return &failure.manager;
}

/// No object with a destructor lives in these two functions: a jump would pass it over. The bytes
/// are malloc'ed. Returns whether it went well.
bool compress(const std::uint8_t* pixels, int width, int height, int quality, Failure& failure,
              unsigned char** bytes, unsigned long* size) {
  jpeg_compress_struct codec{};
  codec.err = report_to(failure);
  if (setjmp(failure.place)) {
    jpeg_destroy_compress(&codec);
    return false;
  }
  jpeg_create_compress(&codec);
  jpeg_mem_dest(&codec, bytes, size);
  codec.image_width = static_cast<JDIMENSION>(width);
  codec.image_height = static_cast<JDIMENSION>(height);
  codec.input_components = 1;
  codec.in_color_space = JCS_GRAYSCALE;
  jpeg_set_defaults(&codec);
  jpeg_set_quality(&codec, quality, TRUE);
  jpeg_start_compress(&codec, TRUE);
  while (codec.next_scanline < codec.image_height) {
    auto* row = const_cast<JSAMPROW>(pixels + static_cast<std::size_t>(codec.next_scanline) *
                                                  static_cast<std::size_t>(width));
    jpeg_write_scanlines(&codec, &row, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  return true;
}

bool decompress(const std::string& bytes, Failure& failure, GreyPixels& image) {
  jpeg_decompress_struct codec{};
  codec.err = report_to(failure);
  if (setjmp(failure.place)) {
    jpeg_destroy_decompress(&codec);
    return false;
  }
  jpeg_create_decompress(&codec);
  jpeg_mem_src(&codec, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&codec, TRUE);
  codec.out_color_space = JCS_GRAYSCALE;
  jpeg_start_decompress(&codec);
  image.width = static_cast<int>(codec.output_width);
  image.height = static_cast<int>(codec.output_height);
  image.pixels.resize(static_cast<std::size_t>(image.width) *
                      static_cast<std::size_t>(image.height));
  while (codec.output_scanline < codec.output_height) {
    JSAMPROW row = image.pixels.data() + static_cast<std::size_t>(codec.output_scanline) *
                                             static_cast<std::size_t>(image.width);
    jpeg_read_scanlines(&codec, &row, 1);
  }
  jpeg_finish_decompress(&codec);
  jpeg_destroy_decompress(&codec);
  return true;
}

}  // namespace

std::string encode_jpeg(const GreyPixels& image, int quality) {
  if (image.width < 1 || image.height < 1 || image.width > 65500 || image.height > 65500)
    throw DataError("jpeg: want sides of 1 to 65500 pixels, got " + std::to_string(image.width) +
                    " x " + std::to_string(image.height));
  Failure failure{};
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  const bool done =
      compress(image.pixels.data(), image.width, image.height, quality, failure, &bytes, &size);
  std::string out;
  if (done) out.assign(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  if (!done) throw DataError(std::string("jpeg: ") + failure.message);
  return out;
}

GreyPixels decode_jpeg(const std::string& bytes) {
  Failure failure{};
  GreyPixels image;
  if (!decompress(bytes, failure, image)) throw DataError(std::string("jpeg: ") + failure.message);
  return image;
}

}  // namespace mr::image
