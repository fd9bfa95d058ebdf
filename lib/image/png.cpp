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

}  // namespace mr::image
