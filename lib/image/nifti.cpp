#include "image/nifti.h"

#include <nifti2_io.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "image/storage.h"

namespace mr::image {
namespace {

constexpr std::size_t header1_bytes = sizeof(nifti_1_header),
                      header2_bytes = sizeof(nifti_2_header);
static_assert(header1_bytes == 348 && header2_bytes == 540, "NIfTI headers have no padding");
constexpr char magic2_tail[] = {'\0', '\r', '\n', '\032', '\n'};

struct Code {
  Datatype type;
  int code;
};
constexpr Code codes[] = {{Datatype::u8, 2},     {Datatype::i8, 256},   {Datatype::u16, 512},
                          {Datatype::i16, 4},    {Datatype::u32, 768},  {Datatype::i32, 8},
                          {Datatype::u64, 1280}, {Datatype::i64, 1024}, {Datatype::f32, 16},
                          {Datatype::f64, 64},   {Datatype::c64, 32},   {Datatype::c128, 1792}};

struct NiftiOrigin : FileOrigin {
  std::string header;      // as in the file, its byte order
  std::string extensions;  // what follows the header up to the voxels
  bool swapped = false;
  bool packed = false;  // came as gzip
  double storable(double scale) const override { return static_cast<float>(scale); }
};

/// A header in native byte order and in the wide types of NIfTI-2, and where it came from.
struct Parsed {
  nifti_2_header fields{};
  bool swapped = false;
  bool analyze =
      false;  // Analyze 7.5: a pair without geometry, of which the fields of space hold none
  std::array<std::int16_t, 3> origin{};  // Analyze: SPM's voxel at 0 mm, from 1; 0: not said
  std::string raw;
};

std::int32_t native_int(std::string_view bytes) {
  std::int32_t x = 0;
  std::memcpy(&x, bytes.data(), sizeof x);
  return x;
}

/// 1 or 2, or 0 where the first four bytes are no NIfTI header's length in either byte order.
int version_of(std::string_view bytes) {
  if (bytes.size() < 4) return 0;
  for (const auto size : {native_int(bytes), static_cast<std::int32_t>(__builtin_bswap32(
                                                 static_cast<std::uint32_t>(native_int(bytes))))})
    if (size == static_cast<int>(header1_bytes) || size == static_cast<int>(header2_bytes))
      return size == static_cast<int>(header1_bytes) ? 1 : 2;
  return 0;
}

std::string_view magic_of(std::string_view bytes, int version) {
  return version == 1 ? bytes.substr(offsetof(nifti_1_header, magic), 4)
                      : bytes.substr(offsetof(nifti_2_header, magic), 8);
}

/// '+' for one file, 'i' for a pair, 0 where the magic is not NIfTI's.
char layout_of(std::string_view magic, int version) {
  if (magic[0] != 'n' || (magic[1] != '+' && magic[1] != 'i') || magic[2] != '0' + version ||
      magic[3] != '\0')
    return 0;
  if (version == 2 && magic.substr(3) != std::string_view(magic2_tail, sizeof magic2_tail))
    return 0;
  return magic[1];
}

/// Of a whole raw header.
bool is_one_file(std::string_view raw) {
  const int version = raw.size() == header1_bytes ? 1 : 2;
  return layout_of(magic_of(raw, version), version) == '+';
}

template <typename To, typename From, std::size_t n>
void copy_numbers(To (&to)[n], const From (&from)[n]) {
  std::copy(std::begin(from), std::end(from), std::begin(to));
}

nifti_2_header widened(const nifti_1_header& h, const std::string& name) {
  nifti_2_header w{};
  w.datatype = h.datatype;
  w.bitpix = h.bitpix;
  w.intent_code = h.intent_code;
  copy_numbers(w.dim, h.dim);
  copy_numbers(w.pixdim, h.pixdim);
  if (!(h.vox_offset >= 0 && h.vox_offset < 0x1p53f) || std::floor(h.vox_offset) != h.vox_offset)
    throw DataError(name + ": want vox_offset >= 0 and whole, found " + shortest(h.vox_offset));
  w.vox_offset = static_cast<std::int64_t>(h.vox_offset);
  w.scl_slope = h.scl_slope;
  w.scl_inter = h.scl_inter;
  w.qform_code = h.qform_code;
  w.sform_code = h.sform_code;
  w.quatern_b = h.quatern_b;
  w.quatern_c = h.quatern_c;
  w.quatern_d = h.quatern_d;
  w.qoffset_x = h.qoffset_x;
  w.qoffset_y = h.qoffset_y;
  w.qoffset_z = h.qoffset_z;
  copy_numbers(w.srow_x, h.srow_x);
  copy_numbers(w.srow_y, h.srow_y);
  copy_numbers(w.srow_z, h.srow_z);
  w.dim_info = h.dim_info;
  w.slice_code = h.slice_code;
  w.slice_duration = h.slice_duration;
  w.xyzt_units = h.xyzt_units;
  return w;
}

bool is_header_name(const std::string& path) {
  const auto name = lower(path);
  return ends_with(name, ".hdr") || ends_with(name, ".hdr.gz");
}

/// What NIfTI has where Analyze 7.5 has other things. SPM keeps a scale where NIfTI does.
void forget_geometry(Parsed& p) {
  constexpr std::size_t originator = 253;  // five int16, of which SPM uses three
  for (std::size_t axis = 0; axis < 3; ++axis) {
    auto& origin = p.origin[axis];
    std::memcpy(&origin, p.raw.data() + originator + 2 * axis, sizeof origin);
    if (p.swapped) swap_bytes(reinterpret_cast<char*>(&origin), sizeof origin, 1);
  }
  auto& h = p.fields;
  h.qform_code = h.sform_code = 0;
  h.intent_code = h.slice_code = h.dim_info = h.xyzt_units = 0;
  if (!std::isfinite(h.scl_slope)) h.scl_slope = 0;
  if (!std::isfinite(h.scl_inter)) h.scl_inter = 0;
  for (double& size : h.pixdim)
    size = std::fabs(size);  // a sign said nothing that programs agree on
}

/// Analyze 7.5 as SPM and nibabel have it: the first axis runs to the left; 0 mm is at SPM's
/// origin, else in the centre.
Affine analyze_affine(const Parsed& p, const Affine& spacing) {
  Affine a = spacing;
  const auto length = [&](std::size_t axis) {
    return static_cast<double>(
        p.fields.dim[0] > static_cast<std::int64_t>(axis) ? p.fields.dim[axis + 1] : 1);
  };
  bool said = p.origin != std::array<std::int16_t, 3>{};
  for (std::size_t axis = 0; axis < 3; ++axis)
    said = said && p.origin[axis] > -length(axis) && p.origin[axis] < 2 * length(axis);
  a[0][0] = -a[0][0];
  for (std::size_t axis = 0; axis < 3; ++axis)
    a[axis][3] = -a[axis][axis] * (said ? p.origin[axis] - 1 : (length(axis) - 1) / 2) + 0.0;
  return a;
}

/// Reads the header's bytes and brings them to native order; checks what it is, not what it says.
Parsed read_raw_header(ByteSource& source) {
  const auto& name = source.name();
  Parsed p;
  p.raw.resize(header2_bytes);
  const auto have = source.read(p.raw.data(), header1_bytes);
  if (have == 0) throw DataError(name + ": empty file");
  const int version = version_of({p.raw.data(), have});
  if (version == 0) throw DataError(name + ": not an image file: want NIfTI, DICOM or PNG");
  const auto want = version == 1 ? header1_bytes : header2_bytes;
  const auto rest =
      have == header1_bytes ? source.read(p.raw.data() + have, want - header1_bytes) : 0;
  if (have + rest < want)
    throw DataError(name + ": truncated: a NIfTI-" + std::to_string(version) + " header has " +
                    std::to_string(want) + " bytes, file has " + std::to_string(have + rest));
  p.raw.resize(want);
  p.swapped = native_int(p.raw) != static_cast<std::int32_t>(want);
  if (layout_of(magic_of(p.raw, version), version) == 0) {
    p.analyze = version == 1 && is_header_name(name);
    if (!p.analyze) throw DataError(name + ": not a NIfTI file: bad magic");
  }
  if (version == 1) {
    nifti_1_header h;
    std::memcpy(&h, p.raw.data(), sizeof h);
    if (p.swapped) nifti_swap_as_nifti1(&h);
    p.fields = widened(h, name);
    if (p.analyze) forget_geometry(p);
  } else {
    std::memcpy(&p.fields, p.raw.data(), sizeof p.fields);
    if (p.swapped) nifti_swap_as_nifti2(&p.fields);
  }
  return p;
}

/// Bytes of a coloured voxel, 0 of others.
std::size_t channels_of(const nifti_2_header& h) {
  return h.datatype == DT_RGB24 ? 3 : h.datatype == DT_RGBA32 ? 4 : 0;
}

/// Of coloured voxels, of which only grey ones are read, uint8.
Datatype datatype_of(const nifti_2_header& h, const std::string& name) {
  if (const auto channels = channels_of(h);
      channels > 0 && h.bitpix == static_cast<int>(8 * channels))
    return Datatype::u8;
  const auto* found = std::find_if(std::begin(codes), std::end(codes),
                                   [&](const Code& c) { return c.code == h.datatype; });
  if (found == std::end(codes))
    throw DataError(name + ": datatype " + std::to_string(h.datatype) + " is not handled");
  const auto bits = static_cast<int>(8 * bytes_of(found->type));
  if (h.bitpix != bits)
    throw DataError(name + ": " + datatype_name(found->type) + " has " + std::to_string(bits) +
                    " bits per voxel, header says " + std::to_string(h.bitpix));
  return found->type;
}

Shape shape_of(const nifti_2_header& h, const std::string& name) {
  if (h.dim[0] < 2 || h.dim[0] > 7)
    throw DataError(name + ": want 2 to 7 dimensions, header says " + std::to_string(h.dim[0]));
  if (h.intent_code >= 3000 && h.intent_code < 3100)  // NIFTI_INTENT_CONNECTIVITY_DENSE, ...
    throw DataError(name + ": a CIFTI file (intent_code " + std::to_string(h.intent_code) +
                    "), which holds no image of voxels");
  Shape shape{1, 1, 1, 1};
  constexpr std::int64_t most_voxels = std::int64_t{1} << 48;
  std::int64_t voxels = 1;
  for (std::size_t axis = 1; axis <= static_cast<std::size_t>(h.dim[0]); ++axis) {
    const auto n = h.dim[axis];
    const auto dim = name + ": dim[" + std::to_string(axis) + "] is " + std::to_string(n);
    if (n < 1 || n > most_voxels / voxels) throw DataError(dim + ": absurd dimensions");
    voxels *= n;
    shape[axis <= 4 ? 4 - axis : 0] *= n;  // all beyond space are frames
  }
  return shape;
}

Storage scaling_of(const nifti_2_header& h, Datatype type, const std::string& name) {
  // NaN is what nibabel leaves where there is no scaling; 0 is the standard's way to say so.
  if (std::isnan(h.scl_slope) || h.scl_slope == 0) return {type, 1, 0};
  if (std::isinf(h.scl_slope) || !std::isfinite(h.scl_inter))
    throw DataError(name + ": scl_slope " + shortest(h.scl_slope) + ", scl_inter " +
                    shortest(h.scl_inter) + ": want finite numbers");
  return {type, h.scl_slope, h.scl_inter};
}

Affine to_affine(const nifti_dmat44& m) {
  Affine a{};
  for (std::size_t r = 0; r < 4; ++r)
    for (std::size_t c = 0; c < 4; ++c) a[r][c] = m.m[r][c];
  return a;
}

double determinant(const Affine& a) {
  return a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) -
         a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
         a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
}

/// Singular against the size of its own columns, so that units do not matter.
bool singular(const Affine& a) {
  const auto s = column_lengths(a);
  return !(std::fabs(determinant(a)) > 1e-6 * s[0] * s[1] * s[2]);
}

void require_finite(const Affine& a, const char* form, const std::string& name) {
  for (const auto& row : a)
    for (const double x : row)
      if (!std::isfinite(x)) throw DataError(name + ": the " + form + " is not finite");
}

/// pixdim[1..3]; an axis of one voxel may leave its own out.
std::array<double, 3> voxel_size(const nifti_2_header& h, const std::string& name) {
  std::array<double, 3> size{};
  for (std::size_t axis = 1; axis <= 3; ++axis) {
    const bool single = h.dim[0] < static_cast<std::int64_t>(axis) || h.dim[axis] == 1;
    const double p = h.pixdim[axis];
    size[axis - 1] = single && p <= 0 ? 1 : p;
    if (!(size[axis - 1] > 0))
      throw DataError(name + ": want pixdim[" + std::to_string(axis) + "] > 0, found " +
                      shortest(p));
  }
  return size;
}

/// Voxel to RAS+ mm: sform, else qform, else the spacing alone (nifti1.h, methods 3, 2 and 1).
/// A singular sform gives way to the qform.
Affine affine_of(const nifti_2_header& h, const std::string& name) {
  for (const auto axis : {1, 2, 3})
    if (!std::isfinite(h.pixdim[axis]))
      throw DataError(name + ": pixdim[" + std::to_string(axis) + "] is not finite");
  Affine a{};
  if (h.sform_code > 0) {
    std::copy(std::begin(h.srow_x), std::end(h.srow_x), a[0].begin());
    std::copy(std::begin(h.srow_y), std::end(h.srow_y), a[1].begin());
    std::copy(std::begin(h.srow_z), std::end(h.srow_z), a[2].begin());
    a[3] = {0, 0, 0, 1};
    require_finite(a, "sform", name);
    if (!singular(a)) return a;
    if (h.qform_code <= 0) throw DataError(name + ": the sform is singular and there is no qform");
  }
  const auto size = voxel_size(h, name);
  if (h.qform_code > 0) {
    const double bcd =
        h.quatern_b * h.quatern_b + h.quatern_c * h.quatern_c + h.quatern_d * h.quatern_d;
    if (bcd > 1 + 1e-3)  // float32 quaternions end a few 1e-7 above 1
      throw DataError(name + ": the qform's quaternion has length " + shortest(std::sqrt(bcd)) +
                      ", want at most 1");
    a = to_affine(nifti_quatern_to_dmat44(h.quatern_b, h.quatern_c, h.quatern_d, h.qoffset_x,
                                          h.qoffset_y, h.qoffset_z, size[0], size[1], size[2],
                                          h.pixdim[0] < 0 ? -1 : 1));
    require_finite(a, "qform", name);
    return a;
  }
  for (std::size_t axis = 0; axis < 3; ++axis) a[axis][axis] = size[axis];
  a[3][3] = 1;
  return a;
}

Acquisition acquisition_of(const nifti_2_header& h) {
  Acquisition a;
  const int phase = DIM_INFO_TO_PHASE_DIM(h.dim_info), slice = DIM_INFO_TO_SLICE_DIM(h.dim_info);
  if (phase > 0) a.phase_encode_axis = phase - 1;
  if (slice > 0) a.slice_axis = slice - 1;
  if (h.slice_code > 0 && h.slice_code <= NIFTI_SLICE_ALT_DEC2) {  // slices have times: not 3-D
    a.mode = Mode::two_d;
    a.slice_order = nifti_slice_string(h.slice_code);
  }
  const int time_units = XYZT_TO_TIME(h.xyzt_units);
  if (h.dim[0] >= 4 && h.dim[4] > 1 &&
      (time_units == NIFTI_UNITS_SEC || time_units == NIFTI_UNITS_MSEC ||
       time_units == NIFTI_UNITS_USEC))
    a.dim4 = "time";
  return a;
}

Header interpret(const Parsed& p, const std::string& name) {
  Header h;
  h.shape = shape_of(p.fields, name);
  h.affine = affine_of(p.fields, name);
  if (p.analyze) h.affine = analyze_affine(p, h.affine);
  h.spacing_mm = column_lengths(h.affine);
  h.acquisition = acquisition_of(p.fields);
  h.attributes = Json{{"datatype", datatype_name(datatype_of(p.fields, name))}};
  h.format = "nifti";
  return h;
}

/// "truncated: header promises 5242880 bytes, file has 1048576", before anything is allocated.
void require_capacity(const ByteSource& source, std::uint64_t bytes) {
  const auto capacity = source.capacity();
  if (bytes <= capacity) return;
  throw DataError(
      source.name() + ": truncated: header promises " + std::to_string(bytes) +
      (source.packed() ? " bytes, the gzip stream can hold at most " : " bytes, file has ") +
      std::to_string(capacity));
}

/// The next `n` bytes of the source; they have been checked to be possible.
std::string read_bytes(ByteSource& source, std::uint64_t n) {
  require_capacity(source, n);
  std::string bytes(n, '\0');
  const auto have = source.read(bytes.data(), n);
  if (have < n)
    throw DataError(source.name() + ": truncated: header promises " + std::to_string(n) +
                    " bytes before the voxels, file has " + std::to_string(have));
  return bytes;
}

/// The extensions that the header announces must lie between it and the voxels (nifti1.h: sizes
/// are multiples of 16); else the voxels are not where it says. Zeros may pad the rest.
void check_extensions(const std::string& bytes, bool swapped, const std::string& name) {
  if (bytes.empty() || bytes[0] == 0) return;
  std::size_t at = 4;
  do {
    std::int32_t size = 0;
    const auto room = bytes.size() - std::min(at, bytes.size());
    if (room < 8)
      throw DataError(name + ": the header says that an extension follows, with room for " +
                      std::to_string(room) + " bytes before the voxels");
    std::memcpy(&size, bytes.data() + at, sizeof size);
    if (swapped) swap_bytes(reinterpret_cast<char*>(&size), sizeof size, 1);
    if (size == 0 && at > 4) return;
    if (size < 16 || size % 16 != 0 || static_cast<std::size_t>(size) > room)
      throw DataError(name + ": a header extension of " + std::to_string(size) +
                      " bytes, with room for " + std::to_string(room) + " before the voxels");
    at += static_cast<std::size_t>(size);
  } while (at < bytes.size());
}

/// Reads and converts the voxels of `volume` piece by piece.
/// total, before  bytes of all voxels of the file, and of those in front of these; for messages
void read_voxels(ByteSource& source, bool swapped, const Shape& shape, Volume& volume,
                 NiftiOrigin& origin, std::uint64_t total, std::uint64_t before) {
  const auto type = volume.storage.datatype;
  const std::int64_t numbers = count(shape) * (is_complex(type) ? 2 : 1);
  const auto number_bytes = bytes_of(type) / (is_complex(type) ? 2 : 1);
  if (is_complex(type))
    volume.complex_voxels = Array<Complex>(shape);
  else
    volume.voxels = Array<float>(shape);
  auto* values = const_cast<float*>(plane_values(volume, 0));
  const bool keep = loses_bits(volume.storage);
  const bool direct = number_bytes == 4 && !is_integer(type) && !keep;  // float32 as it is
  const std::int64_t block = direct ? numbers : (1 << 18) / static_cast<std::int64_t>(number_bytes);
  std::string piece;
  if (keep)
    origin.stored.resize(static_cast<std::size_t>(numbers) * number_bytes);
  else if (!direct)
    piece.resize(static_cast<std::size_t>(block) * number_bytes);
  for (std::int64_t done = 0; done < numbers; done += block) {
    const auto n = std::min(block, numbers - done);
    const auto bytes = static_cast<std::size_t>(n) * number_bytes;
    const auto at = static_cast<std::size_t>(done) * number_bytes;
    char* raw = direct ? reinterpret_cast<char*>(values + done)
                       : (keep ? origin.stored.data() + at : piece.data());
    const auto have = source.read(raw, bytes);
    if (have < bytes)
      throw DataError(source.name() + ": truncated: header promises " + std::to_string(total) +
                      " bytes, file has " + std::to_string(before + at + have));
    if (swapped) swap_bytes(raw, number_bytes, static_cast<std::size_t>(n));
    if (!direct) decode(raw, volume.storage, n, values + done);
  }
}

/// Coloured voxels whose channels are equal, as grey ones; `header` then says uint8.
/// opacity  of the file's first voxel, which is set by the first call
/// throws DataError where there is a colour, or opacity that differs
void read_grey(ByteSource& source, std::size_t channels, const Shape& shape, Volume& volume,
               std::optional<char>& opacity) {
  const auto n = static_cast<std::uint64_t>(count(shape));
  const auto bytes = read_bytes(source, n * channels);
  volume.voxels = Array<float>(shape);
  auto* values = volume.voxels.data();
  if (!opacity) opacity = bytes[channels - 1];
  for (std::size_t i = 0; i < n; ++i) {
    const auto* voxel = &bytes[i * channels];
    if (voxel[0] != voxel[1] || voxel[0] != voxel[2] || (channels == 4 && voxel[3] != *opacity))
      throw DataError(source.name() + ": an RGB image with colours; want one number per voxel");
    values[i] = static_cast<unsigned char>(voxel[0]);
  }
}

/// NaN is where a resampling found no image: no signal.
void zero_nans(Volume& volume) {
  if (is_integer(volume.storage.datatype) || volume.is_complex()) return;
  auto* values = volume.voxels.data();
  for (std::int64_t i = 0; i < volume.voxels.size(); ++i)
    if (std::isnan(values[i])) values[i] = 0;
}

/// The image half of a pair: NAME.img or NAME.img.gz beside NAME.hdr[.gz].
std::string image_beside(const std::string& path) {
  auto stem = ends_with(path, ".gz") ? path.substr(0, path.size() - 3) : path;
  if (!ends_with(stem, ".hdr"))
    throw DataError(path + ": the header of a .hdr/.img pair, but its name does not end in .hdr");
  stem.resize(stem.size() - 4);
  for (const char* end : {".img", ".img.gz"})
    if (exists(stem + end)) return stem + end;
  throw MissingInputError(stem + ".img: No such file or directory, wanted by " + path);
}

template <typename T>
void put(std::string& raw, std::size_t offset, T value, bool swapped) {
  std::memcpy(raw.data() + offset, &value, sizeof value);
  if (swapped) swap_bytes(raw.data() + offset, sizeof value, 1);
}

template <typename H>
void put_datatype(std::string& raw, Datatype type, bool swapped) {
  H h;
  const auto code = std::find_if(std::begin(codes), std::end(codes), [&](const Code& c) {
                      return c.type == type;
                    })->code;
  put(raw, offsetof(H, datatype), static_cast<decltype(h.datatype)>(code), swapped);
  put(raw, offsetof(H, bitpix), static_cast<decltype(h.bitpix)>(8 * bytes_of(type)), swapped);
}

/// Writes what differs from the source into its raw header.
template <typename H>
void patch(std::string& raw, bool swapped, const Storage& was, const Storage& now,
           const std::string& description, std::size_t vox_offset, char layout) {
  H h;
  if (now.datatype != was.datatype) put_datatype<H>(raw, now.datatype, swapped);
  if (now.slope != was.slope || now.intercept != was.intercept) {
    put(raw, offsetof(H, scl_slope), static_cast<decltype(h.scl_slope)>(now.slope), swapped);
    put(raw, offsetof(H, scl_inter), static_cast<decltype(h.scl_inter)>(now.intercept), swapped);
  }
  if (!description.empty()) {
    std::string text = description.substr(0, sizeof h.descrip - 1);
    text.resize(sizeof h.descrip, '\0');
    raw.replace(offsetof(H, descrip), text.size(), text);
  }
  put(raw, offsetof(H, vox_offset), static_cast<decltype(h.vox_offset)>(vox_offset), swapped);
  raw[offsetof(H, magic) + 1] = layout;
}

void say_uint8(Parsed& p) {
  if (p.raw.size() == header1_bytes)
    put_datatype<nifti_1_header>(p.raw, Datatype::u8, p.swapped);
  else
    put_datatype<nifti_2_header>(p.raw, Datatype::u8, p.swapped);
}

/// NIfTI-1 header of an image made in memory, in native byte order.
std::string new_header(const Volume& volume, const Storage& storage) {
  nifti_1_header h{};
  const auto& shape = volume.shape();
  h.sizeof_hdr = header1_bytes;
  h.dim[0] = shape[0] > 1 ? 4 : 3;
  for (std::size_t axis = 1; axis <= 7; ++axis) {
    const auto n = axis <= 4 ? shape[4 - axis] : 1;
    if (n > 32767)
      throw DataError("image to be written: length " + std::to_string(n) +
                      " does not fit NIfTI-1, which holds 32767");
    h.dim[axis] = static_cast<short>(n);
    h.pixdim[axis] = axis <= 3 ? static_cast<float>(volume.spacing_mm[axis - 1]) : 0;
  }
  h.datatype = static_cast<short>(std::find_if(std::begin(codes), std::end(codes), [&](auto& c) {
                                    return c.type == storage.datatype;
                                  })->code);
  h.bitpix = static_cast<short>(8 * bytes_of(storage.datatype));
  h.scl_slope = static_cast<float>(storage.slope);
  h.scl_inter = static_cast<float>(storage.intercept);
  h.xyzt_units = NIFTI_UNITS_MM;
  nifti_dmat44 m{};
  for (std::size_t r = 0; r < 4; ++r)
    for (std::size_t c = 0; c < 4; ++c) m.m[r][c] = volume.affine[r][c];
  double b, c, d, x, y, z, qfac;
  nifti_dmat44_to_quatern(m, &b, &c, &d, &x, &y, &z, nullptr, nullptr, nullptr, &qfac);
  h.pixdim[0] = static_cast<float>(qfac);
  h.quatern_b = static_cast<float>(b);
  h.quatern_c = static_cast<float>(c);
  h.quatern_d = static_cast<float>(d);
  h.qoffset_x = static_cast<float>(x);
  h.qoffset_y = static_cast<float>(y);
  h.qoffset_z = static_cast<float>(z);
  float* const rows[] = {h.srow_x, h.srow_y, h.srow_z};
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t col = 0; col < 4; ++col) rows[r][col] = static_cast<float>(m.m[r][col]);
  h.qform_code = h.sform_code = NIFTI_XFORM_SCANNER_ANAT;
  const auto& acquisition = volume.acquisition;
  const int phase = acquisition.phase_encode_axis.value_or(-1);
  const int slice = acquisition.slice_axis.value_or(-1);
  const int frequency = phase >= 0 && slice >= 0 && phase != slice ? 3 - phase - slice : -1;
  h.dim_info = static_cast<char>(
      FPS_INTO_DIM_INFO((frequency + 1), (phase + 1), (slice + 1)));  // 0: not known
  std::memcpy(h.magic, "n+1", 4);
  return std::string(reinterpret_cast<const char*>(&h), sizeof h);
}

}  // namespace

bool looks_like_nifti(std::string_view bytes) {
  const int version = version_of(bytes);
  if (version == 0) return false;
  if (version == 1 && bytes.size() < header1_bytes) return true;  // too short to say more
  return layout_of(magic_of(bytes, version), version) != 0;
}

bool is_packed_nifti(const Volume& volume) {
  const auto* origin = dynamic_cast<const NiftiOrigin*>(volume.origin.get());
  return !origin || origin->packed;
}

Header read_nifti_header(ByteSource& source) {
  const auto parsed = read_raw_header(source);
  auto header = interpret(parsed, source.name());
  if (!is_one_file(parsed.raw)) image_beside(source.name());  // else there are no voxels
  return header;
}

struct NiftiReader::State {
  std::unique_ptr<ByteSource> source, image;  // image: the second file of a pair
  Header header;
  Storage storage;  // of the voxels in memory: colours are uint8
  NiftiOrigin origin;
  std::size_t channels = 0;  // of coloured voxels; 0: there are none
  std::optional<char> opacity;
  bool analyze = false;
  std::uint64_t in_front = 0, total = 0;  // bytes before the voxels, of their file, and theirs
  std::int64_t frame = 0;                 // the next one

  ByteSource& voxels() { return image ? *image : *source; }
  std::int64_t frames() const { return header.shape[0]; }
};

NiftiReader::NiftiReader(std::unique_ptr<ByteSource> from) : state_(std::make_unique<State>()) {
  auto& s = *state_;
  s.source = std::move(from);
  const auto& name = s.source->name();
  auto parsed = read_raw_header(*s.source);
  const auto& fields = parsed.fields;
  s.analyze = parsed.analyze;
  s.origin.storage = scaling_of(fields, datatype_of(fields, name), name);
  s.header = interpret(parsed, name);
  const auto range = range_of(s.origin.storage.datatype);
  s.origin.lowest = range[0];
  s.origin.highest = range[1];
  s.origin.swapped = parsed.swapped;
  s.origin.packed = s.source->packed();
  s.channels = channels_of(fields);
  s.storage = s.channels > 0 ? Storage{Datatype::u8, 1, 0} : s.origin.storage;
  const auto header_bytes = parsed.raw.size();
  s.in_front = static_cast<std::uint64_t>(fields.vox_offset);
  if (is_one_file(parsed.raw)) {
    if (fields.vox_offset < static_cast<std::int64_t>(header_bytes))
      throw DataError(name + ": want vox_offset of at least " + std::to_string(header_bytes) +
                      ", found " + std::to_string(fields.vox_offset));
    s.origin.extensions = read_bytes(*s.source, s.in_front - header_bytes);
    check_extensions(s.origin.extensions, parsed.swapped, name);
  } else {
    if (fields.vox_offset < 0) throw DataError(name + ": vox_offset is negative");
    auto& extensions = s.origin.extensions;
    extensions.resize(1 << 20);
    extensions.resize(s.source->read(extensions.data(), 1 << 20));
    if (!parsed.analyze) check_extensions(extensions, parsed.swapped, name);
    s.image = std::make_unique<ByteSource>(image_beside(name));
    read_bytes(*s.image, s.in_front);
  }
  const auto voxel_bytes = s.channels > 0 ? s.channels : bytes_of(s.storage.datatype);
  s.total = static_cast<std::uint64_t>(count(s.header.shape)) * voxel_bytes;
  require_capacity(s.voxels(), s.total);
  if (s.channels > 0) say_uint8(parsed);
  s.origin.header = std::move(parsed.raw);
}

NiftiReader::~NiftiReader() = default;

const Header& NiftiReader::header() const {
  return state_->header;
}

bool NiftiReader::keeps_header() const {
  return !state_->analyze;
}

Volume NiftiReader::read(std::int64_t frames) {
  auto& s = *state_;
  Volume volume;
  volume.storage = s.storage;
  volume.affine = s.header.affine;
  volume.spacing_mm = s.header.spacing_mm;
  volume.acquisition = s.header.acquisition;
  auto origin = std::make_shared<NiftiOrigin>(s.origin);
  origin->shape = s.header.shape;
  origin->shape[0] = frames;
  if (s.channels > 0)
    read_grey(s.voxels(), s.channels, origin->shape, volume, s.opacity);
  else
    read_voxels(
        s.voxels(), origin->swapped, origin->shape, volume, *origin, s.total,
        s.total / static_cast<std::uint64_t>(s.frames()) * static_cast<std::uint64_t>(s.frame));
  zero_nans(volume);
  require_finite(volume, s.source->name(),
                 frames < s.frames() ? std::optional(s.frame) : std::nullopt);
  s.frame += frames;
  if (s.frame == s.frames()) s.voxels().finish();
  if (!s.analyze)
    volume.origin = std::move(origin);  // else written as NIfTI, which says how it lies
  return volume;
}

void NiftiReader::rewind() {
  auto& s = *state_;
  s.voxels().rewind();
  read_bytes(s.voxels(), s.in_front);
  s.frame = 0;
}

namespace {

enum class Layout : char { one_file = '+', pair = 'i' };

void blank(std::string& raw, std::size_t at, std::size_t n) {
  std::fill_n(raw.begin() + static_cast<std::ptrdiff_t>(at), n, '\0');
}

/// Free texts that may say who was imaged.
template <typename H>
void blank_texts(std::string& raw) {
  blank(raw, offsetof(H, descrip), sizeof H::descrip);
  blank(raw, offsetof(H, aux_file), sizeof H::aux_file);
  blank(raw, offsetof(H, intent_name), sizeof H::intent_name);
}

/// The raw header with its extensions: what comes before the voxels, or the header of a pair.
std::string encode_header(const Volume& volume, const Storage& storage,
                          const Derivation& derivation, Layout layout) {
  const auto* origin = dynamic_cast<const NiftiOrigin*>(volume.origin.get());
  if (origin && origin->shape != volume.shape())
    throw std::logic_error("encode_nifti: the image has another shape than its source");
  const bool swapped = origin && origin->swapped;
  const Storage was = origin ? origin->storage : storage;
  std::string out = origin ? origin->header : new_header(volume, storage);
  std::string extensions = origin ? origin->extensions : std::string();
  if (derivation.deidentify) extensions.clear();  // of DICOM headers, comments, scanner reports
  if (extensions.size() < 4) extensions.resize(4, '\0');  // "no extensions"
  const auto vox_offset = layout == Layout::pair ? 0 : out.size() + extensions.size();
  const auto letter = static_cast<char>(layout);
  if (out.size() == header1_bytes) {
    if (derivation.deidentify) {
      blank(out, offsetof(nifti_1_header, db_name), sizeof nifti_1_header::db_name);
      blank_texts<nifti_1_header>(out);
    }
    patch<nifti_1_header>(out, swapped, was, storage, derivation.text, vox_offset, letter);
  } else {
    if (derivation.deidentify) blank_texts<nifti_2_header>(out);
    patch<nifti_2_header>(out, swapped, was, storage, derivation.text, vox_offset, letter);
  }
  return out + extensions;
}

void encode_voxels(const Volume& volume, const Storage& storage, const ByteSink& sink) {
  const auto* origin = dynamic_cast<const NiftiOrigin*>(volume.origin.get());
  const auto n = numbers_per_plane(volume);
  const auto number_bytes = bytes_of(storage.datatype) / (is_complex(storage.datatype) ? 2 : 1);
  const auto plane_bytes = static_cast<std::size_t>(n) * number_bytes;
  std::string stored(plane_bytes, '\0');
  for (std::int64_t p = 0; p < volume.shape()[0] * volume.shape()[1]; ++p) {
    encode_plane(volume, storage, p, stored.data());
    if (origin && origin->swapped)
      swap_bytes(stored.data(), number_bytes, static_cast<std::size_t>(n));
    sink(stored);
  }
}

}  // namespace

void encode_nifti(const Frames& frames, const Derivation& derivation, const ByteSink* header,
                  const ByteSink& voxels) {
  const auto layout = header ? Layout::pair : Layout::one_file;
  (header ? *header : voxels)(encode_header(frames.first, frames.storage, derivation, layout));
  encode_voxels(frames.first, frames.storage, voxels);
  for (Volume more; frames.next && frames.next(more);) encode_voxels(more, frames.storage, voxels);
}

}  // namespace mr::image
