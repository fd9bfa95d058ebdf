#include "image/raw.h"

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "image/raw_file.h"

namespace mr::image {
namespace {

struct Reader {
  RawHeader (*header)(const std::string& path);
  void (*samples)(const std::string& path, const RawHeader& header, Complex* samples);
};

/// Null where the file holds no k-space.
const Reader* find_reader(const std::string& path) {
  static constexpr Reader hdf5{read_hdf5_header, read_hdf5}, npy{read_npy_header, read_npy},
      cfl{read_cfl_header, read_cfl};
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return nullptr;
  if (ends_with(lower(path), ".cfl")) return &cfl;
  const auto prefix = read_prefix(path, 8);
  if (prefix == "\x89HDF\r\n\x1a\n") return &hdf5;
  return prefix.substr(0, 6) == "\x93NUMPY" ? &npy : nullptr;
}

const Reader& reader_of(const std::string& path) {
  if (const auto* reader = find_reader(path)) return *reader;
  throw DataError(path + ": holds no k-space that is read: want HDF5, .npy or .cfl");
}

}  // namespace

bool is_raw(const std::string& path) {
  return find_reader(path) != nullptr;
}

Raw read_raw(const std::string& path) {
  const auto& reader = reader_of(path);
  const auto header = reader.header(path);
  Raw raw;
  raw.image_size = header.image_size;
  raw.kspace.affine = header.affine;
  raw.kspace.spacing_mm = column_lengths(header.affine);
  raw.kspace.acquisition = header.acquisition;
  raw.kspace.acquisition.dim4 = "coil";
  raw.kspace.storage.datatype = Datatype::c64;
  raw.kspace.complex_voxels =
      Array<Complex>({header.shape[0], header.shape[1], header.shape[2], header.shape[3]});
  auto* samples = raw.kspace.complex_voxels.data();
  reader.samples(path, header, samples);
  for (std::int64_t i = 0; i < raw.kspace.complex_voxels.size(); ++i)
    if (!std::isfinite(samples[i].real()) || !std::isfinite(samples[i].imag()))
      throw DataError(path + ": a sample of k-space is not finite");
  return raw;
}

Header read_raw_header(const std::string& path) {
  const auto raw = reader_of(path).header(path);
  Header header;
  header.shape = {1, raw.image_size[0], raw.image_size[1], raw.image_size[2]};
  header.affine = cut_affine(raw.affine, raw.shape, raw.image_size);
  header.spacing_mm = column_lengths(raw.affine);
  header.acquisition = raw.acquisition;
  header.attributes = raw.attributes;
  header.subject = raw.subject;
  header.format = "k-space";
  return header;
}

Affine cut_affine(const Affine& affine, const std::array<std::int64_t, 4>& shape,
                  const std::array<std::int64_t, 3>& size) {
  Affine cut = affine;
  for (std::size_t axis = 0; axis < 3; ++axis) {  // i, j, k
    const auto first = static_cast<double>(first_kept(shape[3 - axis], size[2 - axis]));
    for (std::size_t r = 0; r < 3; ++r) cut[r][3] += affine[r][axis] * first;
  }
  return cut;
}

std::int64_t first_kept(std::int64_t length, std::int64_t kept) {
  return length / 2 - kept / 2;
}

Affine centred_affine(const std::array<double, 3>& spacing_mm, const std::string& directions,
                      const std::array<std::int64_t, 4>& shape,
                      const std::array<double, 3>& centre) {
  Affine a{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto letter = directions[axis];
    const std::size_t world = letter == 'L' || letter == 'R'   ? 0
                              : letter == 'A' || letter == 'P' ? 1
                                                               : 2;
    const bool positive = letter == 'R' || letter == 'A' || letter == 'S';
    a[world][axis] = (positive ? 1 : -1) * spacing_mm[axis];
  }
  for (std::size_t r = 0; r < 3; ++r) {
    a[r][3] = centre[r];
    for (std::size_t axis = 0; axis < 3; ++axis)
      a[r][3] -= a[r][axis] * static_cast<double>(shape[3 - axis] / 2);
  }
  a[3][3] = 1;
  return a;
}

void require_size(const RawHeader& header, std::uint64_t bytes, bool may_be_packed,
                  const std::string& name) {
  std::uint64_t promised = sizeof(Complex);
  for (const auto n : header.shape) {
    if (n < 1 || n > 32767)
      throw DataError(name + ": absurd dimensions: a length of " + std::to_string(n));
    promised *= static_cast<std::uint64_t>(n);  // below 2^63
  }
  if (promised > bytes * (may_be_packed ? 1032 : 1))
    throw DataError(name + ": truncated: header promises " + std::to_string(promised) +
                    " bytes, file has " + std::to_string(bytes));
}

}  // namespace mr::image
