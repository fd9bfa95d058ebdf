#include "image/png.h"

#include <png.h>

#include "base/error.h"

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

}  // namespace mr::image
