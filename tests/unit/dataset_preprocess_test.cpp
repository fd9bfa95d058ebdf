#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "check.h"
#include "dataset/corrupt.h"
#include "dataset/preprocess.h"
#include "image/image_file.h"

using namespace mr::dataset;
using mr::image::Affine;

namespace {

/// Affine whose stored axes i, j, k grow towards the given directions, e.g. "RAS", "PSR".
Affine affine_of(const std::string& codes) {
  Affine affine{};
  affine[3][3] = 1;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const char c = codes[axis];
    const std::size_t world = c == 'R' || c == 'L' ? 0 : (c == 'A' || c == 'P' ? 1 : 2);
    affine[world][axis] = c == 'R' || c == 'A' || c == 'S' ? 1 : -1;
  }
  return affine;
}

mr::image::Volume ramp(const std::string& codes, mr::Shape shape) {
  auto volume =
      mr::image::make_volume(std::move(shape), affine_of(codes), mr::image::Datatype::f32);
  std::iota(volume.voxels.begin(), volume.voxels.end(), 0.0f);
  return volume;
}

/// A volume whose voxels say where they lie: 10000 R + 100 A + S (world index from the L, P, I
/// end).
mr::image::Volume located(const std::string& codes) {
  const std::int64_t extent[3] = {4, 6, 5};  // along R, A, S
  std::int64_t length[3], world[3];
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const char c = codes[axis];
    world[axis] = c == 'R' || c == 'L' ? 0 : (c == 'A' || c == 'P' ? 1 : 2);
    length[axis] = extent[world[axis]];
  }
  auto volume = ramp(codes, {1, length[2], length[1], length[0]});
  std::int64_t at = 0;
  for (std::int64_t k = 0; k < length[2]; ++k)
    for (std::int64_t j = 0; j < length[1]; ++j)
      for (std::int64_t i = 0; i < length[0]; ++i) {
        std::int64_t place[3];
        const std::int64_t index[3] = {i, j, k};
        for (std::size_t axis = 0; axis < 3; ++axis) {
          const char c = codes[axis];
          const bool grows = c == 'R' || c == 'A' || c == 'S';
          place[world[axis]] = grows ? index[axis] : length[axis] - 1 - index[axis];
        }
        volume.voxels[at++] = static_cast<float>(10000 * place[0] + 100 * place[1] + place[2]);
      }
  return volume;
}

Preprocess plain(int height, int width) {
  Preprocess p;
  p.standardisation = Standardisation::none;
  p.size = {height, width};
  return p;
}

std::vector<float> picture(const mr::image::Volume& volume, std::optional<Slice> slice,
                           const Preprocess& p) {
  std::vector<float> out(input_elements(p));
  extract(volume, slice, measure_scaling(volume, p), p, out.data());
  return out;
}

}  // namespace

TEST_CASE(
    "a picture is the same however the volume is stored: rows from superior, columns from right") {
  for (const char* codes : {"RAS", "LPS", "PSR", "ASL", "SRA", "IPL", "RSA"}) {
    CAPTURE(codes);
    const auto volume = located(codes);
    const int coronal = mr::image::axis_along(volume.affine, 1);
    const bool grows = std::string(codes)[static_cast<std::size_t>(coronal)] == 'A';
    const auto pixels = picture(volume, Slice{coronal, grows ? 2 : 3}, plain(5, 4));
    for (int row = 0; row < 5; ++row)
      for (int column = 0; column < 4; ++column)
        CHECK(pixels[static_cast<std::size_t>(row * 4 + column)] ==
              static_cast<float>(10000 * (3 - column) + 200 + (4 - row)));
  }
}

TEST_CASE("axial pictures begin anterior and right, sagittal ones superior and anterior") {
  const auto volume = located("RAS");
  const auto axial = picture(volume, Slice{2, 1}, plain(6, 4));
  CHECK(axial[0] == 10000 * 3 + 100 * 5 + 1);
  CHECK(axial[1] == 10000 * 2 + 100 * 5 + 1);
  CHECK(axial[4] == 10000 * 3 + 100 * 4 + 1);
  const auto sagittal = picture(volume, Slice{0, 1}, plain(5, 6));
  CHECK(sagittal[0] == 10000 + 100 * 5 + 4);
  CHECK(sagittal[1] == 10000 + 100 * 4 + 4);
  CHECK(sagittal[6] == 10000 + 100 * 5 + 3);
}

TEST_CASE("cropping and padding keep the middle") {
  auto volume = ramp("LPS", {1, 1, 5, 7});  // stored as it is shown
  const auto cropped = picture(volume, std::nullopt, plain(3, 3));
  CHECK(cropped[4] == 2 * 7 + 3);
  const auto padded = picture(volume, std::nullopt, plain(9, 9));
  CHECK(padded[4 * 9 + 4] == 2 * 7 + 3);
  CHECK(std::accumulate(padded.begin(), padded.end(), 0.0f) == 34 * 35 / 2);
}

TEST_CASE("resampling to the image's own spacing changes nothing; constants and ramps are kept") {
  auto volume = ramp("LPS", {1, 1, 12, 16});
  auto p = plain(12, 16);
  const auto before = picture(volume, std::nullopt, p);
  p.spacing_mm = 1;
  const auto same = picture(volume, std::nullopt, p);
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(same[i] == doctest::Approx(before[i]));
  p.spacing_mm = 2;
  p.size = {6, 8};
  const auto half = picture(volume, std::nullopt, p);
  // Row 2, column 3 of the coarse grid lies at (4.5, 6.5) of the fine one.
  CHECK(half[2 * 8 + 3] == doctest::Approx(4.5 * 16 + 6.5));
}

TEST_CASE("volume-percentile removes gain and offset of the image") {
  auto volume = ramp("RAS", {1, 4, 12, 10});
  auto p = plain(12, 10);
  p.standardisation = Standardisation::volume_percentile;
  const auto before = picture(volume, Slice{2, 1}, p);
  for (auto& v : volume.voxels) v = 1000 * v + 77;
  const auto after = picture(volume, Slice{2, 1}, p);
  for (std::size_t i = 0; i < before.size(); ++i)
    CHECK(after[i] == doctest::Approx(before[i]).epsilon(1e-5));
  // Percentiles 1 and 99 of 0..479 are 4.79 and 474.21 (type 7).
  const auto scaling = measure_scaling(ramp("RAS", {1, 4, 12, 10}), p);
  CHECK(scaling.offset == doctest::Approx(4.79));
  CHECK(1 / scaling.factor == doctest::Approx(469.42));
}

TEST_CASE("slice-zscore gives each picture mean 0 and variance 1; a flat one is 0") {
  auto volume = ramp("LPS", {1, 1, 12, 10});
  auto p = plain(12, 10);
  p.standardisation = Standardisation::slice_zscore;
  const auto pixels = picture(volume, std::nullopt, p);
  double sum = 0, squares = 0;
  for (const double v : pixels) sum += v, squares += v * v;
  CHECK(std::abs(sum) < 1e-3);
  CHECK(squares / 120 == doctest::Approx(1).epsilon(1e-5));
  std::fill(volume.voxels.begin(), volume.voxels.end(), 5.0f);
  for (const float v : picture(volume, std::nullopt, p)) CHECK(v == 0);
}

TEST_CASE("scale multiplies, none leaves, and both say so in JSON") {
  auto p = plain(4, 4);
  set_standardisation(p, "scale:1e4");
  CHECK(p.scale == 1e4);
  const auto again = preprocess_from_json(to_json(p), "m");
  CHECK(to_json(again) == to_json(p));
  CHECK(picture(ramp("LPS", {1, 1, 4, 4}), std::nullopt, p)[5] == 5e4f);
  CHECK_THROWS_AS(set_standardisation(p, "scale:0"), mr::UsageError);
  CHECK_THROWS_WITH_AS(set_standardisation(p, "volume-percentil"),
                       doctest::Contains("did you mean 'volume-percentile'"), mr::UsageError);
}

TEST_CASE("a sample that is not in the image is refused, and the message says why") {
  const auto volume = ramp("RAS", {1, 4, 12, 10});
  const auto p = plain(12, 10);
  CHECK_THROWS_WITH_AS(picture(volume, Slice{2, 4}, p),
                       "has no slice 4 along axis k: its length is 4", mr::DataError);
  CHECK_THROWS_WITH_AS(picture(volume, std::nullopt, p), doctest::Contains("names no slice"),
                       mr::DataError);
}

TEST_CASE("of repeats the first is seen, of coils the root of the sum of squares") {
  const auto p = plain(12, 10);
  auto volume = ramp("RAS", {2, 4, 12, 10});
  const auto n = volume.voxels.size() / 2;
  const auto first = picture(ramp("RAS", {1, 4, 12, 10}), Slice{2, 1}, p);
  CHECK(picture(volume, Slice{2, 1}, p) == first);
  std::copy_n(volume.voxels.begin(), n, volume.voxels.begin() + n);
  volume.acquisition.dim4 = "coil";
  const auto combined = picture(volume, Slice{2, 1}, p);
  for (std::size_t i = 0; i < first.size(); ++i)
    CHECK(combined[i] == doctest::Approx(std::sqrt(2.0) * first[i]));
}

TEST_CASE("the path of an image keeps folders and escapes what a file name cannot hold") {
  CHECK(image_path("out", "site/knee 1", ".nii") == "out/site/knee%201.nii");
  CHECK(image_path("out", "../x", ".nii") == "out/%2E./x.nii");
  CHECK(image_path("out", "/x//y", ".nii") == "out/%2Fx/%2Fy.nii");
}

TEST_CASE(
    "neighbouring slices are channels, in one anatomical order; at the border one is repeated") {
  auto p = plain(5, 4);
  p.neighbours = 3;
  CHECK(input_shape(p) == std::vector<std::int64_t>{3, 5, 4});
  for (const char* codes : {"RAS", "RPS", "LPI"}) {
    CAPTURE(codes);
    const auto volume = located(codes);
    const bool grows = codes[1] == 'A';
    const auto place = [&](int from_posterior) {
      return grows ? from_posterior : 5 - from_posterior;
    };
    const auto coronal = [&](int from_posterior) {
      return picture(volume, Slice{1, place(from_posterior)}, plain(5, 4));
    };
    const auto middle = picture(volume, Slice{1, place(2)}, p),
               last = picture(volume, Slice{1, place(5)}, p);
    for (std::size_t c = 0; c < 3; ++c) {
      const auto own = [&](const std::vector<float>& x) {
        return std::vector<float>(x.begin() + static_cast<std::ptrdiff_t>(20 * c),
                                  x.begin() + static_cast<std::ptrdiff_t>(20 * (c + 1)));
      };
      CHECK(own(middle) == coronal(1 + static_cast<int>(c)));
      CHECK(own(last) == coronal(std::min(5, 4 + static_cast<int>(c))));
    }
  }
}

TEST_CASE(
    "a whole image is cropped or padded about its middle, towards right, anterior or superior") {
  auto p = plain(6, 4);
  p.depth = 3;
  CHECK(input_shape(p) == std::vector<std::int64_t>{1, 3, 6, 4});
  for (const char* codes : {"RAS", "RAI"}) {
    auto volume = located(codes);  // 5 slices, along S
    volume.acquisition.mode = mr::image::Mode::two_d;
    const auto cropped = picture(volume, std::nullopt, p);
    for (int d = 0; d < 3; ++d)
      CHECK(cropped[static_cast<std::size_t>(24 * d)] == 10000 * 3 + 100 * 5 + 1 + d);
    p.depth = 8;
    const auto padded = picture(volume, std::nullopt, p);
    for (int d = 0; d < 8; ++d)
      CHECK(padded[static_cast<std::size_t>(24 * d)] ==
            (d >= 2 && d < 7 ? 10000 * 3 + 100 * 5 + (d - 2) : 0));
    p.depth = 3;
    CHECK_THROWS_AS(picture(volume, Slice{2, 0}, p), mr::DataError);
  }
  p.depth.reset();
  p.neighbours = 5;
  const auto read = preprocess_from_json(to_json(p), "m.pt");
  CHECK(read.neighbours == 5);
  CHECK(!read.depth);
}
