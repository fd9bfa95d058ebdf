#include <array>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "image/jpeg.h"

#include "check.h"

using namespace mr::image;

namespace {

GreyPixels smooth(int width, int height) {
  GreyPixels grey;
  grey.width = width;
  grey.height = height;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      grey.pixels.push_back(
          static_cast<std::uint8_t>(128 + 60 * std::sin(0.21 * x) * std::cos(0.13 * y) + y / 4));
  return grey;
}

int largest_error(const GreyPixels& a, const GreyPixels& b) {
  int largest = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i)
    largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}

}  // namespace

TEST_CASE("JPEG and JPEG 2000 keep the size, and at their best the pixels to a rounding or two") {
  for (const auto& size : {std::array<int, 2>{40, 24}, {37, 53}, {8, 1}, {1, 9}, {1, 1}}) {
    CAPTURE(size[0]);
    const auto grey = smooth(size[0], size[1]);
    const auto jpeg = decode_jpeg(encode_jpeg(grey, 100));
    CHECK((jpeg.width == size[0] && jpeg.height == size[1]));
    CHECK(largest_error(jpeg, grey) <= 2);
    const auto wavelet = decode_jpeg2000(encode_jpeg2000(grey, 1));
    CHECK((wavelet.width == size[0] && wavelet.height == size[1]));
    CHECK(largest_error(wavelet, grey) <= 2);
  }
}

TEST_CASE("a lower quality and a higher ratio make smaller files and larger errors") {
  const auto grey = smooth(128, 96);
  const auto good = encode_jpeg(grey, 80), poor = encode_jpeg(grey, 5);
  CHECK(good.size() > poor.size());
  CHECK(largest_error(decode_jpeg(good), grey) < largest_error(decode_jpeg(poor), grey));
  const auto fine = encode_jpeg2000(grey, 10), coarse = encode_jpeg2000(grey, 100);
  const auto overhead =
      encode_jpeg2000({std::vector<std::uint8_t>(128 * 96, 128), 128, 96}, 1).size();
  CHECK(overhead < 200);
  // The codec's own count of the headers is good to two or three dozen bytes.
  CHECK(fine.size() <= overhead + 128 * 96 / 10 + 40);
  CHECK(coarse.size() <= overhead + 128 * 96 / 100 + 40);
  CHECK(coarse.size() > overhead);
  CHECK(largest_error(decode_jpeg2000(fine), grey) < largest_error(decode_jpeg2000(coarse), grey));
}

TEST_CASE("a block of one value goes through JPEG unchanged: only its zero frequency is there") {
  GreyPixels grey{std::vector<std::uint8_t>(24 * 16, 136), 24, 16};
  CHECK(decode_jpeg(encode_jpeg(grey, 50)).pixels == grey.pixels);  // 8 x (136 - 128) / 8: exact
}

TEST_CASE("bytes that are no image, or end early, are refused") {
  const auto jpeg = encode_jpeg(smooth(64, 64), 50);
  const auto wavelet = encode_jpeg2000(smooth(64, 64), 5);
  CHECK_THROWS_AS(decode_jpeg(""), mr::DataError);
  CHECK_THROWS_AS(decode_jpeg("no image"), mr::DataError);
  CHECK_THROWS_AS(decode_jpeg(jpeg.substr(0, jpeg.size() / 2)), mr::DataError);
  CHECK_THROWS_AS(decode_jpeg2000(""), mr::DataError);
  CHECK_THROWS_AS(decode_jpeg2000("no image"), mr::DataError);
  CHECK_THROWS_AS(decode_jpeg2000(wavelet.substr(0, 40)), mr::DataError);
  CHECK_THROWS_AS(encode_jpeg({{}, 0, 0}, 50), mr::DataError);
}
