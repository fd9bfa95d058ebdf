// PNG: 8-bit grey, for thumbnails and contact sheets; grey images of up to 16 bits, to be read.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "image/volume.h"

namespace mr::image {

/// pixels [height, width], row 0 at the top. Same pixels, same bytes.
std::string encode_png(const std::vector<std::uint8_t>& pixels, int width, int height);

struct GreyPicture {
  std::vector<std::uint8_t> pixels;  // [height, width]
  int width = 0, height = 0;
};
/// Colours become their luminance. throws DataError "NAME: not a PNG: ..."
GreyPicture decode_png(const std::string& bytes, const std::string& name);

bool looks_like_png(std::string_view bytes);

/// One slice of the stored numbers, 1 to 16 bits, without any gamma; colours whose three channels
/// are equal are grey. A PNG has no geometry: voxels are 1 mm, i runs to the left and j to the
/// back, as an axial slice is looked at. throws DataError "NAME: ..." on colours, transparency,
/// damage, and sizes that the bytes cannot hold, before anything of that size is allocated
Volume read_png(const std::string& bytes, const std::string& name);

}  // namespace mr::image
