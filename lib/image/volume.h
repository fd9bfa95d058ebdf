// image/: images in memory, and the files they come from. nifticlib, DCMTK, libpng, libjpeg,
// OpenJPEG and the gzip library are used here only. A Volume's voxels are [F, Z, Y, X]: frames
// (time, echo or coil; 1 for a plain image), then the stored axes k, j, i of the file, i
// contiguous.
#pragma once
#include <array>
#include <complex>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/array.h"
#include "base/json_fwd.h"

namespace mr::image {

using Complex = std::complex<float>;
using Affine = std::array<std::array<double, 4>, 4>;  // voxel (i, j, k, 1) to RAS+ mm

enum class Datatype { u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, c64, c128 };
std::string datatype_name(Datatype type);  // "uint8", ..., "complex128"
std::vector<std::string> datatype_names();

enum class Mode { two_d, three_d };

/// What is known of how the image was acquired. An unset member is unknown, never guessed here.
struct Acquisition {
  std::optional<Mode> mode;                // 2-D multi-slice or 3-D encoding
  std::optional<int> phase_encode_axis;    // stored axis: 0 i, 1 j, 2 k
  std::optional<int> phase_encode_sign;    // +1 or -1
  std::optional<int> slice_axis;           // stored axis of slices (2-D) or of the second encode
  std::optional<std::string> slice_order;  // sequential, interleaved, reverse, or NIfTI's words
  std::optional<std::string> line_order;   // of phase encoding; see kspace/shots.h
  std::optional<double> tr_ms, te_ms, ti_ms, echo_spacing_ms, flip_deg, field_t;
  std::optional<int> echo_train;
  std::optional<std::string> sequence;
  std::optional<std::string> dim4;     // coil | time | echo
  std::optional<std::string> combine;  // of the coils of k-space: rss | sense
};

std::vector<std::string> acquisition_members();  // that merge_acquisition knows

/// Reads the manifest's "acquisition" object over `base`: what it names wins.
/// throws DataError "NAME: acquisition: ..." on an unknown value
Acquisition merge_acquisition(const Acquisition& base, const Json& object, const std::string& name);
Json to_json(const Acquisition& acquisition);

/// What a file needs to be written back as it came (raw header, source datasets). Opaque.
struct Origin {
  virtual ~Origin() = default;
};

/// How voxels are stored in the file: stored = (value - intercept) / slope.
struct Storage {
  Datatype datatype = Datatype::f32;
  double slope = 1, intercept = 0;

  bool operator==(const Storage& other) const {
    return datatype == other.datatype && slope == other.slope && intercept == other.intercept;
  }
  bool operator!=(const Storage& other) const { return !(*this == other); }
};

struct Volume {
  Array<float> voxels;            // [F, Z, Y, X]; empty when the image is complex
  Array<Complex> complex_voxels;  // [F, Z, Y, X]; empty when it is real
  Affine affine{};
  std::array<double, 3> spacing_mm{1, 1, 1};  // along i, j, k
  Acquisition acquisition;
  Storage storage;
  std::shared_ptr<const Origin> origin;  // null: made in memory, written as NIfTI-1

  bool is_complex() const { return !complex_voxels.empty(); }
  const Shape& shape() const { return is_complex() ? complex_voxels.shape() : voxels.shape(); }
  std::int64_t frames() const { return shape()[0]; }
  /// Length along the stored axis 0 i, 1 j, 2 k.
  std::int64_t length(int axis) const { return shape()[static_cast<std::size_t>(3 - axis)]; }
};

/// Spacing of an affine's grid along i, j, k [mm].
std::array<double, 3> column_lengths(const Affine& affine);

/// Closest RAS orientation of the stored axes, e.g. {'R','A','S'} or {'P','S','R'}.
std::array<char, 3> orientation(const Affine& affine);

/// Stored axis that runs closest to left-right (0), anterior-posterior (1), inferior-superior (2).
int axis_along(const Affine& affine, int world_axis);

}  // namespace mr::image
