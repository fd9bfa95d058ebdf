#include <png.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "base/text.h"
#include "check.h"
#include "image/byte_source.h"
#include "image/child.h"
#include "image/image_file.h"
#include "image/png.h"

using namespace mr::image;
using mr::DataError;
using mr::Json;

namespace {

/// A NIfTI file put together byte by byte from the standard's offsets, not with our writer.
struct Nifti {
  int version = 1;
  bool big_endian = false;
  std::string bytes;

  explicit Nifti(int v = 1, bool big = false) : version(v), big_endian(big) {
    bytes.resize(v == 1 ? 348 : 540);
    integer(0, 4, v == 1 ? 348 : 540);
    if (v == 1)
      bytes.replace(344, 4, std::string("n+1\0", 4));
    else
      bytes.replace(4, 8, std::string("n+2\0\r\n\032\n", 8));
    dims({3, 4, 3, 2, 1, 1, 1, 1});
    for (std::size_t a = 1; a <= 3; ++a) pixdim(a, 1 + static_cast<double>(a));
    vox_offset(v == 1 ? 352 : 544);
    scaling(1, 0);
  }
  Nifti& integer(std::size_t offset, std::size_t size, std::int64_t value) {
    for (std::size_t i = 0; i < size; ++i)
      bytes[offset + (big_endian ? size - 1 - i : i)] = static_cast<char>(value >> (8 * i));
    return *this;
  }
  template <typename Bits, typename T>
  Nifti& real(std::size_t offset, T value) {
    Bits bits;
    std::memcpy(&bits, &value, sizeof bits);
    return integer(offset, sizeof bits, static_cast<std::int64_t>(bits));
  }
  Nifti& number(std::size_t offset1, std::size_t offset2, double value) {
    return version == 1 ? real<std::uint32_t>(offset1, static_cast<float>(value))
                        : real<std::uint64_t>(offset2, value);
  }
  Nifti& dims(const std::array<std::int64_t, 8>& d) {
    for (std::size_t i = 0; i < 8; ++i)
      version == 1 ? integer(40 + 2 * i, 2, d[i]) : integer(16 + 8 * i, 8, d[i]);
    return *this;
  }
  Nifti& datatype(int code, int bits) {
    return version == 1 ? integer(70, 2, code).integer(72, 2, bits)
                        : integer(12, 2, code).integer(14, 2, bits);
  }
  Nifti& pixdim(std::size_t axis, double mm) { return number(76 + 4 * axis, 104 + 8 * axis, mm); }
  Nifti& vox_offset(std::int64_t n) {
    return version == 1 ? real<std::uint32_t>(108, static_cast<float>(n)) : integer(168, 8, n);
  }
  Nifti& scaling(double slope, double intercept) {
    return number(112, 176, slope).number(116, 184, intercept);
  }
  Nifti& codes(int qform, int sform) {
    return version == 1 ? integer(252, 2, qform).integer(254, 2, sform)
                        : integer(344, 4, qform).integer(348, 4, sform);
  }
  Nifti& srow(std::size_t row, const std::array<double, 4>& values) {
    for (std::size_t c = 0; c < 4; ++c)
      number(280 + 16 * row + 4 * c, 400 + 32 * row + 8 * c, values[c]);
    return *this;
  }
  /// The file: header, "no extensions" (or what is given), voxels in its byte order.
  template <typename T>
  std::string with(const std::vector<T>& voxels,
                   std::string extension = std::string(4, '\0')) const {
    std::string out = bytes + extension;
    for (const T& value : voxels) {
      std::string one(sizeof(T), '\0');
      std::memcpy(one.data(), &value, sizeof(T));
      out += big_endian ? std::string(one.rbegin(), one.rend()) : one;
    }
    return out;
  }
};

Volume read(const std::string& bytes) {
  return read_image(bytes, "test.nii");
}

std::string encode(const Volume& v) {
  return encode_image(v, {""}, false);
}

template <typename T>
std::vector<T> ramp(double first, double step) {
  std::vector<T> v(24);
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<T>(first + step * static_cast<double>(i));
  return v;
}

template <typename T>
void check_datatype(int code, double first, double step) {
  CAPTURE(code);
  for (const int version : {1, 2})
    for (const bool big : {false, true}) {
      CAPTURE(version);
      CAPTURE(big);
      const auto stored = ramp<T>(first, step);
      Nifti file(version, big);
      file.datatype(code, 8 * sizeof(T)).scaling(0.5, -3);
      const auto bytes = file.with(stored);
      const auto volume = read(bytes);
      REQUIRE(volume.shape() == mr::Shape{1, 2, 3, 4});
      for (std::size_t i = 0; i < stored.size(); ++i)
        CHECK(volume.voxels[static_cast<std::int64_t>(i)] ==
              static_cast<float>(static_cast<double>(stored[i]) * 0.5 - 3));
      CHECK(volume.storage.slope == 0.5);
      CHECK(encode(volume) == bytes);
    }
}

mr::RandomKey key(std::string_view name) {
  return mr::random_key(7, {name});
}

Affine diagonal(double x, double y, double z) {
  Affine a{};
  a[0][0] = x, a[1][1] = y, a[2][2] = z, a[3][3] = 1;
  return a;
}

/// Does reading end in a Volume or in one of our errors? (Anything else fails the test.)
void survives(const std::string& bytes) {
  try {
    read(bytes);
  } catch (const mr::Error& e) {
    CHECK(std::string(e.what()).find('\n') == std::string::npos);
  }
}

std::string message_of(const std::string& bytes) {
  try {
    read(bytes);
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

struct Folder {
  std::string path =
      (std::filesystem::temp_directory_path() / ("image_test." + std::to_string(::getpid())))
          .string();
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

std::string data_folder() {
  const char* folder = std::getenv("MR_DATA");
  if (folder && mr::is_folder(folder)) return folder;
  MESSAGE("skipped: MR_DATA is not a folder with real data");
  return "";
}

}  // namespace

TEST_CASE("every datatype is read in both byte orders and versions, and written back as it was") {
  check_datatype<std::uint8_t>(2, 3, 10);
  check_datatype<std::int8_t>(256, -128, 11);
  check_datatype<std::uint16_t>(512, 1, 2800);
  check_datatype<std::int16_t>(4, -32768, 2800);
  check_datatype<std::uint32_t>(768, 4294967295.0 - 23 * 1e8, 1e8);
  check_datatype<std::int32_t>(8, -2147483648.0, 1.8e8 + 1);
  check_datatype<std::uint64_t>(1280, 12345678901.0, 7e17);
  check_datatype<std::int64_t>(1024, -9.2e18, 7.9e17);
  check_datatype<float>(16, -1.7f, 0.3);
  check_datatype<double>(64, -1.7, 0.3);
}

TEST_CASE("complex voxels are read, scaled in both parts, and written back as they were") {
  for (const bool big : {false, true}) {
    Nifti file(1, big);
    file.dims({3, 4, 3, 1, 1, 1, 1, 1}).datatype(32, 64);
    const auto parts = ramp<float>(-2, 0.25);
    const auto volume = read(file.with(parts));
    REQUIRE(volume.is_complex());
    CHECK(volume.complex_voxels[1] == Complex(parts[2], parts[3]));
    CHECK(encode(volume) == file.with(parts));
    file.datatype(1792, 128).scaling(2, 1);
    const auto doubles = ramp<double>(-2, 0.1);
    CHECK(read(file.with(doubles)).complex_voxels[0].imag() ==
          static_cast<float>(2 * doubles[1] + 1));
    CHECK(encode(read(file.with(doubles))) == file.with(doubles));
  }
}

TEST_CASE("a header's extensions and unused bytes are kept") {
  Nifti file;
  file.datatype(4, 16).vox_offset(352 + 32).bytes.replace(148, 80, std::string(80, 'd'));
  file.bytes.replace(4, 10, "data_type!");
  std::string extension = std::string("\1\0\0\0", 4) + std::string("\x20\0\0\0\6\0\0\0", 8);
  extension += "a comment, 24 bytes long";
  const auto bytes = file.with(ramp<std::int16_t>(0, 7), extension);
  CHECK(encode(read(bytes)) == bytes);
  const auto described = encode_image(read(bytes), {"mr-corrupt: motion:3"}, false);
  CHECK(described.substr(148, 21) == std::string("mr-corrupt: motion:3\0", 21));
  CHECK(described.substr(0, 148) == bytes.substr(0, 148));
  CHECK(described.substr(228) == bytes.substr(228));
}

TEST_CASE("a 4-D image has frames, a 2-D one a single slice, beyond 4-D there are more of them") {
  Nifti file;
  file.datatype(2, 8).dims({4, 4, 3, 1, 2, 1, 1, 1});
  CHECK(read(file.with(ramp<std::uint8_t>(0, 1))).shape() == mr::Shape{2, 1, 3, 4});
  file.dims({2, 6, 4, 0, 0, 0, 0, 0});
  CHECK(read(file.with(ramp<std::uint8_t>(0, 1))).shape() == mr::Shape{1, 1, 4, 6});
  file.dims({5, 4, 3, 1, 1, 2, 1, 1});
  CHECK(read(file.with(ramp<std::uint8_t>(0, 1))).shape() == mr::Shape{2, 1, 3, 4});
  file.dims({6, 2, 2, 1, 2, 1, 3, 1});
  const auto bytes = file.with(ramp<std::uint8_t>(0, 1));
  CHECK(read(bytes).shape() == mr::Shape{6, 1, 2, 2});
  CHECK(encode(read(bytes)) == bytes);
}

TEST_CASE("the affine is the sform, else the qform, else the spacing") {
  Nifti file;
  file.datatype(2, 8);
  const auto voxels = ramp<std::uint8_t>(0, 1);
  CHECK(read(file.with(voxels)).affine == diagonal(2, 3, 4));
  // A half turn about z, (b, c, d) = (0, 0, 1), and shifted: x and y change sign.
  file.codes(1, 0).number(264, 368, 1).number(268, 376, 10).number(76, 104, -1);
  auto turned = diagonal(-2, -3, -4);
  turned[0][3] = 10;
  const auto qform = read(file.with(voxels)).affine;
  for (std::size_t r = 0; r < 4; ++r)
    for (std::size_t c = 0; c < 4; ++c) CHECK(qform[r][c] == doctest::Approx(turned[r][c]));
  file.codes(1, 1).srow(0, {0, 0, 5, 1}).srow(1, {6, 0, 0, 2}).srow(2, {0, -7, 0, 3});
  const auto volume = read(file.with(voxels));
  CHECK(volume.affine == Affine{{{0, 0, 5, 1}, {6, 0, 0, 2}, {0, -7, 0, 3}, {0, 0, 0, 1}}});
  CHECK(volume.spacing_mm == std::array<double, 3>{6, 7, 5});
  CHECK(orientation(volume.affine) == std::array<char, 3>{'A', 'I', 'R'});
  CHECK(axis_along(volume.affine, 0) == 2);
  CHECK(axis_along(volume.affine, 1) == 0);
  file.srow(0, {0, 0, 0, 0});  // singular: the qform stands in
  CHECK(read(file.with(voxels)).affine == qform);
  file.codes(0, 1);
  CHECK(message_of(file.with(voxels)).find("singular") != std::string::npos);
}

TEST_CASE("no stored axis is named twice, however oblique the image") {
  const double s = std::sqrt(0.5);
  const Affine oblique{{{s, s, 0, 0}, {s, -s, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}};
  const auto letters = orientation(oblique);
  CHECK(std::set<char>(letters.begin(), letters.end()).size() == 3);
  CHECK(axis_along(oblique, 0) != axis_along(oblique, 1));
}

TEST_CASE("dim_info gives phase-encode and slice axes; what it leaves out stays unknown") {
  Nifti file;
  file.datatype(2, 8);
  CHECK(to_json(read(file.with(ramp<std::uint8_t>(0, 1))).acquisition) == Json::object());
  file.bytes[39] = static_cast<char>(2 | (1 << 2) | (3 << 4));
  const auto a = read(file.with(ramp<std::uint8_t>(0, 1))).acquisition;
  CHECK(a.phase_encode_axis == 0);
  CHECK(a.slice_axis == 2);
  CHECK(!a.mode);
}

TEST_CASE("what a header cannot mean is refused, in one line that says why") {
  const auto voxels = ramp<std::int16_t>(0, 1);
  const auto file = [] { return Nifti().datatype(4, 16); };
  struct Case {
    std::string bytes, message;
  };
  const std::vector<Case> cases = {
      {"", "empty file"},
      {"hello, this is a text", "not an image file: want NIfTI, DICOM or PNG"},
      {file().bytes.substr(0, 100), "truncated: a NIfTI-1 header has 348 bytes, file has 100"},
      {file().dims({0, 4, 3, 2, 1, 1, 1, 1}).with(voxels), "want 2 to 7 dimensions"},
      {file().dims({3, 4, 0, 2, 1, 1, 1, 1}).with(voxels), "dim[2] is 0: absurd dimensions"},
      {file().dims({3, 4, -3, 2, 1, 1, 1, 1}).with(voxels), "dim[2] is -3: absurd dimensions"},
      {file().dims({3, 32767, 32767, 32767, 1, 1, 1, 1}).with(voxels),
       "truncated: header promises 70362301923326 bytes, file has 48"},
      {file().dims({7, 32767, 32767, 32767, 32767, 32767, 32767, 32767}).with(voxels),
       "absurd dimensions"},
      {Nifti(2).datatype(4, 16).dims({3, std::int64_t{1} << 62, 4, 4, 1, 1, 1, 1}).with(voxels),
       "absurd dimensions"},
      {file().datatype(128, 24).with(voxels), "truncated: header promises 72 bytes"},
      {file().datatype(4095, 16).with(voxels), "datatype 4095 is not handled"},
      {file().datatype(4, 64).with(voxels), "int16 has 16 bits per voxel, header says 64"},
      {file().vox_offset(0).with(voxels), "want vox_offset of at least 348, found 0"},
      {file().number(108, 0, NAN).with(voxels), "want vox_offset"},
      {Nifti(2).datatype(4, 16).vox_offset(std::int64_t{1} << 62).with(voxels), "truncated"},
      {file().with(voxels, std::string("\1\0\0\0", 4)),
       "the header says that an extension follows, with room for 0 bytes before the voxels"},
      {file().scaling(INFINITY, 0).with(voxels), "scl_slope inf"},
      {file().pixdim(1, 0).with(voxels), "want pixdim[1] > 0, found 0"},
      {file().pixdim(2, NAN).with(voxels), "pixdim[2] is not finite"},
      {file().codes(0, 1).srow(0, {NAN, 0, 0, 0}).with(voxels), "the sform is not finite"},
  };
  for (const auto& c : cases) {
    const auto message = message_of(c.bytes);
    CAPTURE(message);
    CHECK(message.find(c.message) != std::string::npos);
    CHECK(message.rfind("test.nii: ", 0) == 0);
  }
  CHECK_THROWS_AS(read_image("/nowhere/image.nii"), mr::MissingInputError);
}

TEST_CASE("a scl_slope of 0 or NaN means no scaling") {
  for (const double slope : {0.0, static_cast<double>(NAN)}) {
    Nifti file;
    file.datatype(4, 16).scaling(slope, 5);
    CHECK(read(file.with(ramp<std::int16_t>(0, 1))).voxels[23] == 23);
  }
}

TEST_CASE("voxels that are not finite are counted, and the first is named as (i, j, k)") {
  auto voxels = ramp<float>(0, 1);
  voxels[17] = INFINITY;  // i 1, j 1, k 1 of 4 x 3 x 2
  voxels[16] = NAN;       // counts as 0
  voxels[18] = INFINITY;
  voxels[23] = -INFINITY;
  Nifti file;
  file.datatype(16, 32);
  CHECK(message_of(file.with(voxels)) ==
        "test.nii: 3 voxels are not finite, the first at (1, 1, 1)");
  voxels[18] = voxels[23] = 0;
  CHECK(message_of(file.with(voxels)) == "test.nii: 1 voxel is not finite, at (1, 1, 1)");
  Nifti wide;
  auto doubles = ramp<double>(0, 1);
  doubles[0] = 1e300;  // finite, but not in float32
  CHECK(message_of(wide.datatype(64, 64).with(doubles)).find("not finite") != std::string::npos);
}

TEST_CASE("a file cut anywhere is refused, plain or gzip") {
  Nifti file;
  const auto volume = read(file.datatype(4, 16).with(ramp<std::int16_t>(-9, 700)));
  for (const bool packed : {false, true}) {
    const auto whole = encode_image(volume, {""}, packed);
    CHECK(read(whole).voxels == volume.voxels);
    for (std::size_t n = 0; n < whole.size(); ++n) {
      CAPTURE(n);
      CHECK_THROWS_AS(read(whole.substr(0, n)), DataError);
    }
  }
}

TEST_CASE("gzip: same bytes every time, and checksums are verified") {
  Nifti file;
  const auto plain = file.datatype(4, 16).with(ramp<std::int16_t>(-9, 700));
  const auto volume = read(plain);
  const auto packed = encode_image(volume, {""}, true);
  CHECK(packed == encode_image(volume, {""}, true));
  CHECK(packed.substr(0, 8) == std::string("\x1f\x8b\x08\0\0\0\0\0", 8));  // no name, no time
  CHECK(packed.size() < plain.size());

  auto wrong = packed;
  wrong[wrong.size() - 8] ^= 1;
  CHECK(message_of(wrong) == "test.nii: gzip checksum is wrong");
  wrong = packed;
  wrong.back() ^= 1;  // its length
  CHECK(message_of(wrong) == "test.nii: gzip checksum is wrong");
  CHECK(read(packed + "whatever follows").voxels == volume.voxels);
}

TEST_CASE(
    "gzip that cannot hold what its header promises is refused before anything is allocated") {
  Nifti file;
  file.datatype(2, 8).dims({3, 30000, 30000, 30000, 1, 1, 1, 1});
  const auto message = message_of(gzip(file.with(ramp<std::uint8_t>(0, 1))));
  CHECK(message.find("test.nii: truncated: header promises 27000000000000 bytes, the gzip stream "
                     "can hold at most ") == 0);
}

TEST_CASE("members of gzip may follow each other, at any place of the image") {
  Nifti file;
  const auto plain = file.datatype(4, 16).with(ramp<std::int16_t>(-9, 700));
  for (std::size_t cut = 0; cut <= plain.size(); cut += 19)
    CHECK(read(gzip(plain.substr(0, cut)) + gzip(plain.substr(cut))).voxels == read(plain).voxels);
}

TEST_CASE("damage of any byte ends in an image or in an error, never in a crash") {
  Nifti file;
  const auto plain = file.datatype(4, 16).with(ramp<std::int16_t>(-9, 700));
  const auto packed = encode_image(read(plain), {""}, true);
  for (const auto& whole : {plain, packed})
    for (std::uint64_t trial = 0; trial < 3000; ++trial) {
      auto bytes = whole;
      for (std::uint64_t hit = 0; hit < 1 + trial % 3; ++hit)
        bytes[mr::below(key("where"), 3 * trial + hit, bytes.size())] =
            static_cast<char>(mr::below(key("what"), 3 * trial + hit, 256));
      survives(bytes);
    }
}

TEST_CASE("quantise gives the voxels that a reader of the written file sees, and only once") {
  const Datatype types[] = {Datatype::u8,  Datatype::i8,  Datatype::u16, Datatype::i16,
                            Datatype::u32, Datatype::i32, Datatype::u64, Datatype::i64,
                            Datatype::f32, Datatype::f64};
  for (const auto type : types)
    for (const double scale : {1e-3, 1.0, 300.0, 1e12})
      for (const double offset : {0.0, 1.0}) {  // positive values alone, or both signs
        CAPTURE(datatype_name(type));
        CAPTURE(scale);
        auto volume = make_volume({1, 3, 5, 7}, diagonal(1, 2, 3), type);
        for (std::int64_t i = 0; i < volume.voxels.size(); ++i)
          volume.voxels[i] = static_cast<float>(
              scale * (mr::uniform(key("voxel"), static_cast<std::uint64_t>(i)) - 0.5 * offset));
        volume.voxels[4] = 0;
        const auto before = volume;
        const auto file_of_unquantised = encode(volume);
        quantise(volume);
        auto again = volume;
        quantise(again);
        CHECK(again.voxels == volume.voxels);
        CHECK(again.storage.slope == volume.storage.slope);
        const auto back = read(encode(volume));
        CHECK(back.voxels == volume.voxels);
        CHECK(back.storage.slope == volume.storage.slope);
        CHECK(encode(volume) == file_of_unquantised);
        const bool is_float = type == Datatype::f32 || type == Datatype::f64;
        if (is_float) CHECK(volume.voxels == before.voxels);
        // Half a step, and the rounding of values near `scale` to float32.
        const double tolerance =
            is_float ? 0 : 0.5 * volume.storage.slope * (1 + 1e-5) + scale * 6e-8;
        for (std::int64_t i = 0; i < volume.voxels.size(); ++i)
          CHECK(std::fabs(static_cast<double>(volume.voxels[i]) - before.voxels[i]) <= tolerance);
        const bool is_unsigned = type == Datatype::u8 || type == Datatype::u16 ||
                                 type == Datatype::u32 || type == Datatype::u64;
        if (offset == 0 || !is_unsigned) CHECK(volume.voxels[4] == 0);
      }
}

TEST_CASE("quantise keeps the file's scaling while every value fits, and no longer") {
  Nifti file;
  file.datatype(4, 16).scaling(0.25, 100);
  auto volume = read(file.with(ramp<std::int16_t>(-32768, 2800)));
  volume.voxels[3] = 107.13f;
  quantise(volume);
  CHECK(volume.storage.slope == 0.25);
  CHECK(volume.voxels[3] == 107.25f);
  volume.voxels[3] = 100 + 0.25f * 32767;
  quantise(volume);
  CHECK(volume.storage.slope == 0.25);
  volume.voxels[3] += 1;
  quantise(volume);
  CHECK(volume.storage.slope != 0.25);
  CHECK(read(encode(volume)).voxels == volume.voxels);
}

TEST_CASE("where float32 is coarser than the file, untouched voxels keep their bits") {
  Nifti file;
  const auto stored = ramp<std::int32_t>(1999999999, -1000001);
  auto volume = read(file.datatype(8, 32).with(stored));
  volume.voxels[5] = 12;
  auto expected = stored;
  expected[5] = 12;
  CHECK(encode(volume) == file.with(expected));
  quantise(volume);
  CHECK(encode(volume) == file.with(expected));
}

TEST_CASE("voxels that are not finite are not written") {
  auto volume = make_volume({1, 1, 2, 2}, diagonal(1, 1, 1), Datatype::i16);
  volume.voxels[3] = NAN;
  CHECK_THROWS_AS(quantise(volume), DataError);
  CHECK_THROWS_AS(encode(volume), DataError);
}

TEST_CASE("an image made in memory reads back with its geometry and axes") {
  for (const auto type : {Datatype::f32, Datatype::c64}) {
    const Affine affine{{{0, -2, 0, 5}, {0, 0, 3, -6}, {4, 0, 0, 7}, {0, 0, 0, 1}}};
    auto volume = make_volume({2, 3, 4, 5}, affine, type);
    volume.acquisition.phase_encode_axis = 1;
    volume.acquisition.slice_axis = 2;
    for (std::int64_t i = 0; i < 120; ++i) {
      const auto x = static_cast<float>(mr::normal(key("made"), static_cast<std::uint64_t>(i)));
      if (volume.is_complex())
        volume.complex_voxels[i] = {x, -2 * x};
      else
        volume.voxels[i] = x;
    }
    const auto back = read(encode(volume));
    CHECK(back.voxels == volume.voxels);
    CHECK(back.complex_voxels == volume.complex_voxels);
    CHECK(back.affine == affine);
    CHECK(back.spacing_mm == std::array<double, 3>{4, 2, 3});
    CHECK(back.acquisition.phase_encode_axis == 1);
    CHECK(back.acquisition.slice_axis == 2);
  }
}

TEST_CASE("a magnitude of a complex file is written as real, and the reverse") {
  auto volume = make_volume({1, 1, 2, 2}, diagonal(1, 1, 1), Datatype::c64);
  auto complex = read(encode(volume));
  complex.voxels = mr::Array<float>({1, 1, 2, 2});
  complex.complex_voxels = {};
  complex.voxels[1] = 5;
  const auto back = read(encode(complex));
  CHECK(!back.is_complex());
  CHECK(back.voxels == complex.voxels);
  CHECK(back.storage.datatype == Datatype::f32);
}

TEST_CASE("files: recognised by content, pairs found, nothing replaced without leave") {
  const Folder folder;
  Nifti file;
  const auto bytes = file.datatype(4, 16).with(ramp<std::int16_t>(-9, 700));
  const auto path = folder.path + "/named.dcm";
  mr::write_file(path, bytes, mr::Overwrite::no);
  const auto volume = read_image(path);
  CHECK(volume.voxels == read(bytes).voxels);
  CHECK(natural_extension(volume) == ".nii");
  CHECK_THROWS_AS(write_image(volume, path, {""}, 0, mr::Overwrite::yes), mr::UsageError);
  write_image(volume, folder.path + "/out.nii.gz", {""}, 0, mr::Overwrite::no);
  CHECK_THROWS_AS(write_image(volume, folder.path + "/out.nii.gz", {""}, 0, mr::Overwrite::no),
                  mr::CannotCreateError);
  CHECK(natural_extension(read_image(folder.path + "/out.nii.gz")) == ".nii.gz");
  const auto header = read_header(folder.path + "/out.nii.gz");
  CHECK(header.shape == volume.shape());
  CHECK(header.affine == volume.affine);
  CHECK(header.format == "nifti");

  auto pair = file.vox_offset(0).bytes;
  pair[345] = 'i';
  mr::write_file(folder.path + "/pair.hdr", pair, mr::Overwrite::no);
  CHECK_THROWS_AS(read_image(folder.path + "/pair.hdr"), mr::MissingInputError);
  mr::write_file(folder.path + "/pair.img", bytes.substr(352), mr::Overwrite::no);
  for (const char* name : {"/pair.hdr", "/pair.img"})
    CHECK(read_image(folder.path + name).voxels == volume.voxels);
  CHECK(read(encode(read_image(folder.path + "/pair.hdr"))).voxels == volume.voxels);
  CHECK_NOTHROW(read_header(folder.path + "/pair.hdr"));
  std::filesystem::remove(folder.path + "/pair.img");
  CHECK_THROWS_AS(read_header(folder.path + "/pair.hdr"), mr::MissingInputError);
}

TEST_CASE("an image is recognised by its first bytes, packed or not; a text is not one") {
  Nifti file;
  const auto bytes = file.datatype(4, 16).with(ramp<std::int16_t>(-9, 700));
  CHECK(looks_like_image(bytes));
  CHECK(looks_like_image(encode_image(read(bytes), {""}, true)));
  CHECK(looks_like_image(std::string(128, '\0') + "DICM"));
  CHECK(!looks_like_image("{\"schema\": \"mr-manifest/1\"}"));
  CHECK(!looks_like_image(""));
  CHECK(!looks_like_image(std::string("\x1f\x8b\x08\0\0\0", 6)));
}

TEST_CASE("what a manifest says of the acquisition wins over the header, and is checked") {
  Acquisition header;
  header.tr_ms = 2000;
  header.mode = Mode::three_d;
  const auto a = merge_acquisition(
      header, Json::parse(R"({"mode": "2d", "phase_encode_axis": "j-", "te_ms": 30, "x": 1})"),
      "m");
  CHECK(a.mode == Mode::two_d);
  CHECK(a.phase_encode_axis == 1);
  CHECK(a.phase_encode_sign == -1);
  CHECK(a.tr_ms == 2000);
  CHECK(merge_acquisition({}, to_json(a), "m").phase_encode_sign == -1);
  CHECK(to_json(merge_acquisition({}, to_json(a), "m")) == to_json(a));
  CHECK_THROWS_WITH_AS(merge_acquisition({}, Json::parse(R"({"mode": "4d"})"), "m.json"),
                       "m.json: acquisition: unknown mode '4d'; did you mean '2d'?", DataError);
  CHECK_THROWS_AS(merge_acquisition({}, Json::parse(R"({"tr_ms": -1})"), "m"), DataError);
  CHECK_THROWS_AS(merge_acquisition({}, Json::parse(R"({"phase_encode_axis": "q"})"), "m"),
                  DataError);
  CHECK_THROWS_AS(merge_acquisition({}, Json::parse("[]"), "m"), DataError);
}

TEST_CASE("a PNG holds the pixels that went in, row 0 at the top") {
  const int width = 7, height = 3;
  std::vector<std::uint8_t> pixels(21);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(12 * i);
  const auto png = encode_png(pixels, width, height);
  CHECK(png == encode_png(pixels, width, height));
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, png.data(), png.size()));
  CHECK(image.width == 7);
  CHECK(image.height == 3);
  CHECK(image.format == PNG_FORMAT_GRAY);
  std::vector<std::uint8_t> back(21);
  REQUIRE(png_image_finish_read(&image, nullptr, back.data(), 0, nullptr));
  CHECK(back == pixels);
}

TEST_CASE("one EPI volume in all 48 orders and flips of its axes is one image in space") {
  const auto data = data_folder();
  if (data.empty()) return;
  const auto reference = read_image(data + "/nifti/nifti_space/RAS.nii.gz");
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data + "/nifti/nifti_space")) {
    const auto name = entry.path().filename().string();
    if (!mr::ends_with(name, ".nii.gz")) continue;
    CAPTURE(name);
    ++files;
    const auto volume = read_image(entry.path().string());
    const auto letters = orientation(volume.affine);
    CHECK(std::string(letters.begin(), letters.end()) == name.substr(0, 3));
    std::array<std::int64_t, 3> stride{};  // in this file, of a step to R, A, S
    std::int64_t start = 0;
    for (int world = 0; world < 3; ++world) {
      const int axis = axis_along(volume.affine, world);
      std::int64_t step = 1;
      for (int a = 0; a < axis; ++a) step *= volume.length(a);
      const bool flipped =
          std::string("LPI").find(letters[static_cast<std::size_t>(axis)]) != std::string::npos;
      if (flipped) start += step * (volume.length(axis) - 1);
      stride[static_cast<std::size_t>(world)] = flipped ? -step : step;
    }
    std::int64_t differ = 0, at = 0;
    for (std::int64_t k = 0; k < reference.length(2); ++k)
      for (std::int64_t j = 0; j < reference.length(1); ++j)
        for (std::int64_t i = 0; i < reference.length(0); ++i, ++at)
          differ += volume.voxels[start + i * stride[0] + j * stride[1] + k * stride[2]] !=
                    reference.voxels[at];
    CHECK(differ == 0);
  }
  CHECK(files == 48);
}

TEST_CASE("of the mutated files exactly those with harmless defects are read") {
  const auto data = data_folder();
  if (data.empty()) return;
  // Header fields that are not used (an unset or unused form), or a rest after the voxels: the
  // voxels are whole and mean what they say.
  const std::set<std::string> harmless = {"gz_bomb_100MB.nii.gz",
                                          "gz_named_nii.nii",
                                          "gz_trailing_garbage.nii.gz",
                                          "gz_two_members.nii.gz",
                                          "pixdim_0.nii",
                                          "pixdim_neg.nii",
                                          "qfac_0.nii",
                                          "quatern_gt1.nii",
                                          "quatern_nan.nii",
                                          "raw_named_gz.nii.gz",
                                          "sform_qform_disagree.nii",
                                          "slope_0.nii",
                                          "slope_2_inter_m10.nii",
                                          "slope_nan.nii",
                                          "trailing_garbage.nii",
                                          "xform_codes_neg.nii"};
  int files = 0;
  const auto folder = data + "/malformed/nifti-mutated";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto name = entry.path().filename().string();
    if (name.find(".nii") == std::string::npos) continue;
    CAPTURE(name);
    ++files;
    if (harmless.count(name) == 0) {
      CHECK_THROWS_AS(read_image(entry.path().string()), DataError);
      continue;
    }
    const auto volume = read_image(entry.path().string());
    const double slope = name == "slope_2_inter_m10.nii" ? 2 : 1;
    std::vector<float> values(volume.voxels.begin(), volume.voxels.end());
    std::sort(values.begin(), values.end());  // the ramp 0..26 runs along k first
    REQUIRE(values.size() == 27);
    for (std::size_t i = 0; i < 27; ++i)
      CHECK(values[i] == slope * static_cast<double>(i) - (slope == 2 ? 10 : 0));
  }
  CHECK(files == 57);
}

TEST_CASE("what a library does to its own process is an error of the file") {
  using mr::image::ByteSink;
  using mr::image::Child;
  {
    Child child("a.h5", [](const ByteSink& sink) { sink("hello"); });
    CHECK(child.read_all() == "hello");
    CHECK_NOTHROW(child.finish());
  }
  {
    Child child("a.h5", [](const ByteSink&) { throw mr::DataError("a.h5: no k-space"); });
    char one = 0;
    CHECK_THROWS_WITH_AS(child.read(&one, 1), "a.h5: no k-space", mr::DataError);
  }
  {
    Child child("a.h5", [](const ByteSink& sink) {
      sink("he");
      std::raise(SIGKILL);  // as a fault would, without a debugger's trap
    });
    char three[3];
    CHECK_THROWS_WITH_AS(child.read(three, 3), "a.h5: damaged: the library that reads it crashed",
                         mr::DataError);
  }
  {
    Child child("a.h5", [](const ByteSink& sink) { sink("he"); });
    char three[3];
    CHECK_THROWS_WITH_AS(child.read(three, 3), "a.h5: ends before its data do", mr::DataError);
  }
}
