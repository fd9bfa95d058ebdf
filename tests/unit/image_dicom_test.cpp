#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "check.h"
#include "image/image_file.h"

using namespace mr::image;
using mr::DataError;

namespace {

/// The folder with real DICOM, or "" and a message.
std::string dicom_folder() {
  const char* folder = std::getenv("MR_DATA");
  if (folder && mr::is_folder(folder)) return std::string(folder) + "/dicom";
  MESSAGE("skipped: MR_DATA is not a folder with real data");
  return "";
}

Volume read(const std::string& bytes) {
  return read_image(bytes, "test.dcm");
}

/// The file with one text replaced by another of the same length.
std::string edited(std::string bytes, const std::string& from, const std::string& to) {
  const auto at = bytes.find(from);
  REQUIRE(at != std::string::npos);
  REQUIRE(from.size() == to.size());
  return bytes.replace(at, from.size(), to);
}

double sum(const Volume& v) {
  double total = 0;
  for (const float x : v.voxels) total += x;
  return total;
}

struct Folder {
  std::string path =
      (std::filesystem::temp_directory_path() / ("image_dicom_test." + std::to_string(::getpid())))
          .string();
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

}  // namespace

TEST_CASE("one image in five transfer syntaxes is one image; sums are those of another reader") {
  const auto data = dicom_folder();
  if (data.empty()) return;
  for (const char* name : {"", "_RLE", "_bigendian", "_expb", "_implicit", "_jpeg_ls_lossless"}) {
    CAPTURE(name);
    const auto volume = read_image(data + "/pydicom/MR_small" + name + ".dcm");
    CHECK(volume.shape() == mr::Shape{1, 1, 64, 64});
    CHECK(sum(volume) == 2125338);
    const auto [low, high] = std::minmax_element(volume.voxels.begin(), volume.voxels.end());
    CHECK(*low == 127);
    CHECK(*high == 2145);
    CHECK(volume.spacing_mm[0] == 0.3125);
    // LPS (-83.9063, -91.2, 6.6406), identity orientation: RAS turns the first two signs.
    CHECK(volume.affine[0] == std::array<double, 4>{-0.3125, 0, 0, 83.9063});
    CHECK(volume.affine[1] == std::array<double, 4>{0, -0.3125, 0, 91.2});
    CHECK(volume.affine[2][3] == 6.6406);
  }
}

TEST_CASE("bits above those stored are ignored, and the sign is that of the highest stored bit") {
  const auto data = dicom_folder();
  if (data.empty()) return;
  const auto folder = data + "/derived-12bit/";
  CHECK(sum(read_image(folder + "u12_clean.dcm")) == 1442148);
  CHECK(sum(read_image(folder + "u12_dirty_high_bits.dcm")) == 3380594);
  CHECK(sum(read_image(folder + "s12_no_sign_extension.dcm")) == -2653852);
  CHECK(sum(read_image(folder + "s12_dirty_high_bits.dcm")) == -2653852);
}

TEST_CASE("rescaled values are slope * stored + intercept") {
  const auto data = dicom_folder();
  if (data.empty()) return;
  const auto volume = read_image(data + "/wg04_mr4/MR4_UNC.dcm");
  double stored = 0;
  for (const float x : volume.voxels) stored += std::round((x + 19595.0) / 9.570207);
  CHECK(stored == 397325908);
}

TEST_CASE("the acquisition comes from the header; a row phase encode runs along i") {
  const auto data = dicom_folder();
  if (data.empty()) return;
  const auto a = read_image(data + "/wg04_mr4/MR4_UNC.dcm").acquisition;
  CHECK(a.mode == Mode::two_d);
  CHECK(a.phase_encode_axis == 0);
  CHECK(a.slice_axis == 2);
  CHECK(a.te_ms == 64);
  CHECK(a.field_t == 1);
  const auto header = read_header(data + "/derived-12bit/u12_clean.dcm");
  CHECK(header.acquisition.phase_encode_axis == 1);
  CHECK(header.acquisition.echo_train == 1);
  CHECK(header.attributes["manufacturer"] == "SIEMENS");
  CHECK(header.format == "dicom");
}

TEST_CASE("MONOCHROME1 is inverted when read, and inverted back when written") {
  const auto data = dicom_folder();
  if (data.empty()) return;
  const auto bytes = mr::read_all(data + "/derived-12bit/u12_clean.dcm");
  const auto plain = read(bytes);
  const auto inverted = read(edited(bytes, "MONOCHROME2", "MONOCHROME1"));
  for (std::int64_t i = 0; i < plain.voxels.size(); ++i)
    REQUIRE(inverted.voxels[i] == 4095 - plain.voxels[i]);
  CHECK(read(encode_image(inverted, {""}, false)).voxels == inverted.voxels);
}

TEST_CASE("a value beyond the stored bits takes more of those allocated, then another slope") {
  const auto data = dicom_folder();
  if (data.empty()) return;
  auto volume = read_image(data + "/derived-12bit/u12_clean.dcm");
  for (const float peak : {4095.f, 4096.f, 65535.f, 65536.f, 1e6f}) {
    CAPTURE(peak);
    volume.voxels[100] = peak;
    auto quantised = volume;
    quantise(quantised);
    CHECK((quantised.storage.slope == 1) == (peak <= 65535));
    CHECK(std::fabs(quantised.voxels[100] - peak) <= 0.51 * quantised.storage.slope);
    const auto back = read(encode_image(volume, {""}, false));
    CHECK(back.voxels == quantised.voxels);
    CHECK(back.storage.slope == quantised.storage.slope);
    auto again = quantised;
    quantise(again);
    CHECK(again.voxels == quantised.voxels);
  }
}

TEST_CASE("new UIDs depend on seed, derivation and voxels, and on nothing else") {
  const auto data = dicom_folder();
  if (data.empty()) return;
  auto volume = read_image(data + "/derived-12bit/u12_clean.dcm");
  const auto file = encode_image(volume, {"a"}, false, 1);
  CHECK(file == encode_image(volume, {"a"}, false, 1));
  const auto uid = [](const std::string& bytes) {  // the media storage instance, in the file's meta
    return bytes.substr(bytes.find("2.25."), 44);
  };
  CHECK(uid(file) != uid(encode_image(volume, {"b"}, false, 1)));
  CHECK(uid(file) != uid(encode_image(volume, {"a"}, false, 2)));
  volume.voxels[0] += 1;
  CHECK(uid(file) != uid(encode_image(volume, {"a"}, false, 1)));
}

TEST_CASE("a series is sorted by position; its header agrees; a folder goes out") {
  const auto data = dicom_folder();
  if (data.empty()) return;
  const Folder folder;
  const auto from =
      data + "/dcm_qa_nih/In/20180918GE/mr_0004/axial_epi_fmri_interleaved_i_to_s-000";
  std::filesystem::create_directory(folder.path + "/in");
  for (int i = 1; i <= 15; ++i) {
    const auto number = (i < 10 ? "0" : "") + std::to_string(i);
    std::filesystem::copy_file(from + number + ".dcm",
                               folder.path + "/in/s" + std::to_string(7 * i % 16) + ".dcm");
  }
  auto volume = read_image(folder.path + "/in");
  CHECK(volume.shape() == mr::Shape{1, 15, 64, 64});
  CHECK(volume.spacing_mm[2] == doctest::Approx(5));
  const auto header = read_header(folder.path + "/in");
  CHECK(header.shape == volume.shape());
  CHECK(header.affine == volume.affine);
  CHECK(natural_extension(volume) == "");
  CHECK_THROWS_AS(encode_image(volume, {""}, false), mr::UsageError);
  volume.voxels[5] = 1e6f;  // all slices get one new scaling
  quantise(volume);
  write_image(volume, folder.path + "/out", {"test"}, 3, mr::Overwrite::no);
  const auto back = read_image(folder.path + "/out");
  CHECK(back.voxels == volume.voxels);
  CHECK(back.affine == volume.affine);
  CHECK_THROWS_AS(write_image(volume, folder.path + "/out", {"test"}, 3, mr::Overwrite::no),
                  mr::CannotCreateError);
  // The first volume of the reference NIfTI, which dcm2niix wrote with rows flipped.
  const auto reference = read_image(data + "/dcm_qa_nih/Ref/DCM2NIIX_regression_test_4.nii");
  const auto again = read_image(folder.path + "/in");
  std::int64_t differ = 0;
  for (std::int64_t k = 0; k < 15; ++k)
    for (std::int64_t j = 0; j < 64; ++j)
      for (std::int64_t i = 0; i < 64; ++i)
        differ +=
            again.voxels[(k * 64 + j) * 64 + i] != reference.voxels[(k * 64 + 63 - j) * 64 + i];
  CHECK(differ == 0);
  for (std::size_t r = 0; r < 3; ++r)  // voxel (0, 63, 0) of theirs is (0, 0, 0) of ours
    CHECK(again.affine[r][3] ==
          doctest::Approx(reference.affine[r][3] + 63 * reference.affine[r][1]).epsilon(1e-4));
}

TEST_CASE("a DICOM file cut anywhere is refused, in memory and on disk") {
  const auto data = dicom_folder();
  if (data.empty()) return;
  const Folder folder;
  const auto bytes = mr::read_all(data + "/derived-12bit/u12_clean.dcm");
  for (std::size_t n = 0; n < bytes.size(); n += 37) {
    CAPTURE(n);
    CHECK_THROWS_AS(read(bytes.substr(0, n)), DataError);
    mr::write_file(folder.path + "/cut.dcm", bytes.substr(0, n), mr::Overwrite::yes);
    CHECK_THROWS_AS(read_image(folder.path + "/cut.dcm"), DataError);
  }
}

TEST_CASE("damage of any byte ends in an image or in an error of one line, never in a crash") {
  const auto data = dicom_folder();
  if (data.empty()) return;
  for (const char* name : {"", "_RLE", "_implicit", "_jpeg_ls_lossless"}) {
    CAPTURE(name);
    const auto whole = mr::read_all(data + "/pydicom/MR_small" + name + ".dcm");
    const auto key = mr::random_key(7, {name});
    for (std::uint64_t trial = 0; trial < 200; ++trial) {
      auto bytes = whole;
      for (std::uint64_t hit = 0; hit < 1 + trial % 3; ++hit) {
        const auto draw = 2 * (3 * trial + hit);
        bytes[mr::below(key, draw, bytes.size())] =
            static_cast<char>(mr::below(key, draw + 1, 256));
      }
      try {
        read(bytes);
      } catch (const mr::Error& e) {
        CHECK(std::string(e.what()).find('\n') == std::string::npos);
      }
    }
  }
}

TEST_CASE("what a message quotes from a header is short and printable") {
  const auto data = dicom_folder();
  if (data.empty()) return;
  const auto bytes = mr::read_all(data + "/derived-12bit/u12_clean.dcm");
  CHECK_THROWS_WITH_AS(read(edited(bytes, "MONOCHROME2", "RGB\n\a      ")),
                       "test.dcm: an RGB image or palette (photometric interpretation 'RGB?\?'); "
                       "want one number per voxel",
                       DataError);
}
