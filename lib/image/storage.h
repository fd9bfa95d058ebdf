// How voxels lie in files: datatypes, scaling, byte order. Private to the room.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "image/volume.h"

namespace mr::image {

std::size_t bytes_of(Datatype type);
bool is_complex(Datatype type);
bool is_integer(Datatype type);

/// What every reader leaves in Volume::origin.
struct FileOrigin : Origin {
  Shape shape;
  Storage storage;
  std::vector<Storage> planes;     // of plane f * Z + z, where each has its own scaling; else empty
  double lowest = 0, highest = 0;  // stored integers that the file can hold
  std::string
      stored;  // native-order voxels as stored, where float32 cannot give them back; else ""

  /// The nearest number to `scale` that the file's slope and intercept fields can hold.
  virtual double storable(double scale) const = 0;
};

/// Stored integers that fit the datatype and are doubles, {lowest, highest}.
std::array<double, 2> range_of(Datatype type);

/// True where float32 values do not determine the stored ones.
bool loses_bits(const Storage& storage);

/// Stored (native order) to values, slope * stored + intercept, rounded once to float32.
/// n counts real numbers: a complex voxel is two.
void decode(const char* stored, const Storage& storage, std::int64_t n, float* values);

/// The reverse, to the nearest integer (ties to even) for integer types. Values must fit.
void encode(const float* values, const Storage& storage, std::int64_t n, char* stored);

void swap_bytes(char* data, std::size_t element_bytes, std::size_t n);

/// Storage in which every voxel fits: the volume's own, else one with a new scaling.
/// throws DataError where voxels are not finite
Storage fitting_storage(const Volume& volume);

/// Stored voxels (native order) of plane p = f * Z + z of the volume under `storage`, bit for bit
/// those of the source where the values are.
void encode_plane(const Volume& volume, const Storage& storage, std::int64_t plane, char* stored);

/// Scaling of one plane: the source's own where the volume keeps it.
Storage plane_storage(const Volume& volume, const Storage& storage, std::int64_t plane);

/// Complex voxels count as two numbers.
std::int64_t numbers_per_plane(const Volume& volume);
const float* plane_values(const Volume& volume, std::int64_t plane);

/// first_frame  of the series that these frames are of; unset: they are all
/// throws DataError "NAME: 3 voxels are not finite, the first at (i, j, k)"
void require_finite(const Volume& volume, const std::string& name,
                    std::optional<std::int64_t> first_frame = {});

}  // namespace mr::image
