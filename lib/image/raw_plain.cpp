// K-space without a header to speak of: BART's cfl and NumPy's npy.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "image/raw_file.h"
#include "image/storage.h"

namespace mr::image {
namespace {

std::uint64_t bytes_in(const std::string& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  if (error) throw MissingInputError(path + ": " + error.message());
  return bytes;
}

/// Nothing is said of space: voxels of 1 mm, an axial slice with the front at the top.
void without_geometry(RawHeader& header) {
  header.affine = centred_affine({1, 1, 1}, "LPS", header.shape);
  header.acquisition.slice_axis = 2;
}

/// Some bytes in a file, all of them there.
std::string bytes_at(const std::string& path, std::uint64_t offset, std::uint64_t n) {
  std::ifstream in(path, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(offset));
  std::string bytes(n, '\0');
  if (!in.read(bytes.data(), static_cast<std::streamsize>(n)))
    throw DataError(path + ": truncated: " + std::to_string(n) + " bytes are wanted after " +
                    std::to_string(offset));
  return bytes;
}

// ---- BART: sizes as text in NAME.hdr, complex64 in NAME.cfl, the first dimension contiguous ----

constexpr std::size_t bart_coil = 3, bart_slice = 13, bart_dims = 16;

std::array<std::int64_t, bart_dims> bart_sizes(const std::string& path) {
  const auto header = path.substr(0, path.size() - 4) + ".hdr";
  std::istringstream text(read_all(header));
  std::string line;
  if (!std::getline(text, line) || line.rfind("# Dimensions", 0) != 0 || !std::getline(text, line))
    throw DataError(header + ": not a BART header: want the line '# Dimensions', then the sizes");
  std::array<std::int64_t, bart_dims> sizes;
  sizes.fill(1);
  std::istringstream numbers(line);
  std::int64_t n = 0;
  for (std::size_t d = 0; numbers >> n; ++d) {
    if (d >= bart_dims || n < 1)
      throw DataError(header + ": want up to 16 sizes above 0, found " + line.substr(0, 60));
    sizes[d] = n;
  }
  for (std::size_t d = 4; d < bart_dims; ++d)
    if (sizes[d] != 1 && d != bart_slice)
      throw DataError(header + ": dimension " + std::to_string(d) + " has length " +
                      std::to_string(sizes[d]) +
                      "; want read, phase 1, phase 2, coil (0 to 3) and slice (13) alone");
  if (sizes[2] > 1 && sizes[bart_slice] > 1)
    throw DataError(header + ": a second phase encode and several slices");
  return sizes;
}

// ---- NumPy: a Python dictionary as text, then the array ----

struct Npy {
  std::vector<std::int64_t> shape;
  bool fortran = false, swapped = false, wide = false;
  std::uint64_t offset = 0;
};

/// What follows 'KEY': up to its end, in the header's dictionary.
std::string npy_value(const std::string& text, const std::string& key, const std::string& path) {
  const auto at = text.find("'" + key + "':");
  if (at == std::string::npos)
    throw DataError(path + ": the header of a .npy file lacks '" + key + "'");
  const auto begin = text.find_first_not_of(' ', at + key.size() + 3);
  const auto end = key == "shape" ? text.find(')', begin) : text.find_first_of(",}", begin);
  if (begin == std::string::npos || end == std::string::npos)
    throw DataError(path + ": the header of a .npy file is cut off");
  return text.substr(begin, end - begin);
}

Npy parse_npy(const std::string& path) {
  const auto start = read_prefix(path, 12);
  if (start.size() < 12) throw DataError(path + ": the header of a .npy file is cut off");
  const auto byte = [&](std::size_t i) {
    return std::uint64_t{static_cast<unsigned char>(start[i])};
  };
  const bool long_header = byte(6) >= 2;
  const std::uint64_t n = long_header ? byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24
                                      : byte(8) | byte(9) << 8;
  const std::uint64_t before = long_header ? 12 : 10;
  if (n > 65536)
    throw DataError(path + ": the header of a .npy file has " + std::to_string(n) + " bytes");
  const auto text = bytes_at(path, before, n);
  Npy npy;
  npy.offset = before + n;
  const auto type = npy_value(text, "descr", path);
  npy.wide = type == "'<c16'" || type == "'>c16'";
  npy.swapped = type == "'>c8'" || type == "'>c16'";
  if (!npy.wide && type != "'<c8'" && type != "'>c8'")
    throw DataError(path + ": want complex64 or complex128 (k-space), found " + type.substr(0, 20));
  npy.fortran = npy_value(text, "fortran_order", path) == "True";
  auto shape = npy_value(text, "shape", path);
  for (char& c : shape)
    if (c == '(' || c == ',') c = ' ';
  std::istringstream numbers(shape);
  for (std::int64_t length = 0; numbers >> length;) npy.shape.push_back(length);
  if (npy.shape.size() < 2 || npy.shape.size() > 4)
    throw DataError(path + ": an array of " + std::to_string(npy.shape.size()) +
                    " dimensions; want [slice, coil, rows, columns], [coil, rows, columns] or "
                    "[rows, columns]");
  return npy;
}

template <typename T>
Complex complex_at(const char* bytes, bool swapped) {
  T parts[2];
  std::memcpy(parts, bytes, sizeof parts);
  if (swapped) swap_bytes(reinterpret_cast<char*>(parts), sizeof(T), 2);
  return {static_cast<float>(parts[0]), static_cast<float>(parts[1])};
}

/// How samples lie in a file: how many apart along coils, slices, rows and columns.
struct Layout {
  std::uint64_t offset;  // [bytes]
  std::array<std::int64_t, 4> step;
  bool wide, swapped;
};

void read_samples(const std::string& path, const RawHeader& header, const Layout& in,
                  Complex* samples) {
  const auto [coils, slices, rows, columns] = header.shape;
  const std::size_t item = in.wide ? 16 : 8;
  const auto bytes =
      bytes_at(path, in.offset, static_cast<std::uint64_t>(coils * slices * rows * columns) * item);
  for (std::int64_t c = 0; c < coils; ++c)
    for (std::int64_t z = 0; z < slices; ++z)
      for (std::int64_t y = 0; y < rows; ++y)
        for (std::int64_t x = 0; x < columns; ++x) {
          const auto from = c * in.step[0] + z * in.step[1] + y * in.step[2] + x * in.step[3];
          const auto* at = bytes.data() + static_cast<std::size_t>(from) * item;
          *samples++ =
              in.wide ? complex_at<double>(at, in.swapped) : complex_at<float>(at, in.swapped);
        }
}

}  // namespace

RawHeader read_cfl_header(const std::string& path) {
  const auto sizes = bart_sizes(path);
  RawHeader header;
  header.shape = {sizes[bart_coil], std::max(sizes[2], sizes[bart_slice]), sizes[0], sizes[1]};
  require_size(header, bytes_in(path), false, path);
  header.image_size = {header.shape[1], header.shape[2], header.shape[3]};
  without_geometry(header);
  header.acquisition.mode = sizes[2] > 1 ? Mode::three_d : Mode::two_d;
  header.acquisition.phase_encode_axis = 0;
  return header;
}

void read_cfl(const std::string& path, const RawHeader& header, Complex* samples) {
  const auto [coils, slices, rows, columns] = header.shape;
  const auto plane = rows * columns;
  const bool encoded = header.acquisition.mode == Mode::three_d;  // slices before coils
  Layout layout{0, {plane, coils * plane, 1, rows}, false, false};
  if (encoded) layout.step = {slices * plane, plane, 1, rows};
  read_samples(path, header, layout, samples);
}

RawHeader read_npy_header(const std::string& path) {
  const auto npy = parse_npy(path);
  RawHeader header;
  const auto n = npy.shape.size();
  header.shape = {n > 2 ? npy.shape[n - 3] : 1, n > 3 ? npy.shape[0] : 1, npy.shape[n - 2],
                  npy.shape[n - 1]};
  const auto bytes = bytes_in(path);
  require_size(header, (bytes - std::min(bytes, npy.offset)) / (npy.wide ? 2 : 1), false, path);
  header.image_size = {header.shape[1], header.shape[2], header.shape[3]};
  without_geometry(header);
  header.acquisition.mode = Mode::two_d;
  return header;
}

void read_npy(const std::string& path, const RawHeader& header, Complex* samples) {
  const auto npy = parse_npy(path);
  const auto [coils, slices, rows, columns] = header.shape;
  const auto plane = rows * columns;
  Layout layout{npy.offset, {plane, coils * plane, columns, 1}, npy.wide, npy.swapped};
  if (npy.fortran) layout.step = {slices, 1, coils * slices, rows * coils * slices};
  read_samples(path, header, layout, samples);
}

}  // namespace mr::image
