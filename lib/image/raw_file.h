// What the readers of measured k-space share. Private to the room.
#pragma once
#include <string>

#include "image/raw.h"

namespace mr::image {

/// What a reader knows before it reads samples.
struct RawHeader {
  std::array<std::int64_t, 4> shape{};       // coils, slices, rows, columns
  std::array<std::int64_t, 3> image_size{};  // slices, rows, columns
  Affine affine{};                           // of the encoded grid
  Acquisition acquisition;
  Json attributes = Json::object();
  std::string subject;  // "": not said
};

/// An affine of that spacing along i, j, k whose columns run towards `directions` ("LSA": to the
/// left, superior, anterior), with the centre of the grid (index n / 2) at `centre` [RAS+ mm].
Affine centred_affine(const std::array<double, 3>& spacing_mm, const std::string& directions,
                      const std::array<std::int64_t, 4>& shape,
                      const std::array<double, 3>& centre = {0, 0, 0});

/// throws DataError unless all lengths are in 1 .. 32767 and a file of `bytes` can hold the
/// samples, packed at most 1032:1 where it may be
void require_size(const RawHeader& header, std::uint64_t bytes, bool may_be_packed,
                  const std::string& name);

/// Of all readers: `samples` are zeros, of header.shape; those that were not measured stay so.
RawHeader read_hdf5_header(const std::string& path);
void read_hdf5(const std::string& path, const RawHeader& header, Complex* samples);

RawHeader read_cfl_header(const std::string& path);
void read_cfl(const std::string& path, const RawHeader& header, Complex* samples);

RawHeader read_npy_header(const std::string& path);
void read_npy(const std::string& path, const RawHeader& header, Complex* samples);

}  // namespace mr::image
