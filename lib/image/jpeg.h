// Grey JPEG and JPEG 2000 in memory: 8 bits, for what lossy export does to an image, and JPEG 2000
// of up to 16 bits, to be read. Same pixels, same bytes. Pixels are [height, width], row 0 at the
// top.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace mr::image {

struct GreyPixels {
  std::vector<std::uint8_t> pixels;
  int width = 0, height = 0;
};

/// Baseline, with the example tables of the standard scaled as libjpeg does.
/// quality  1..100
/// throws   DataError where a side is not in 1..65500
/// source   Wallace 1992, IEEE Trans Consum Electron 38:xviii
std::string encode_jpeg(const GreyPixels& image, int quality);

/// throws DataError "jpeg: ..." on bytes that are not a grey JPEG image
GreyPixels decode_jpeg(const std::string& bytes);

/// One tile of the irreversible 9/7 wavelet. What the file has more than that of an image of one
/// value (128) is cut to 1/ratio of 8 bits a pixel: headers weigh little in files of usual size,
/// and a small image must not consist of them alone.
/// ratio    at least 1
/// throws   DataError where a side is not in 1..65500, or the codec fails
/// source   Taubman and Marcellin 2002, JPEG2000
std::string encode_jpeg2000(const GreyPixels& image, double ratio);

/// throws DataError "jpeg2000: ..." on bytes that are not an 8-bit grey codestream
GreyPixels decode_jpeg2000(const std::string& bytes);

/// Samples of up to 16 bits, signed or not, [height, width], of a codestream or a .jp2 file.
/// throws   DataError "jpeg2000: ..." also where the size is another; nothing of the size that the
///          bytes claim is allocated before
std::vector<std::int32_t> decode_jpeg2000(const std::string& bytes, int width, int height);

}  // namespace mr::image
