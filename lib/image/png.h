// 8-bit grey PNG, for thumbnails and contact sheets.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace mr::image {

/// pixels [height, width], row 0 at the top. Same pixels, same bytes.
std::string encode_png(const std::vector<std::uint8_t>& pixels, int width, int height);

}  // namespace mr::image
