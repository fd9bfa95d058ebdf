// 8-bit grey PNG, for thumbnails and contact sheets.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace mr::image {

/// pixels [height, width], row 0 at the top. Same pixels, same bytes.
std::string encode_png(const std::vector<std::uint8_t>& pixels, int width, int height);

struct GreyPicture {
  std::vector<std::uint8_t> pixels;  // [height, width]
  int width = 0, height = 0;
};
/// Colours become their luminance. throws DataError "NAME: not a PNG: ..."
GreyPicture decode_png(const std::string& bytes, const std::string& name);

}  // namespace mr::image
