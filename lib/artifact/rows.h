// What steps do to rows of voxels, by vector code.
#pragma once
#include <cstdint>
#include <vector>

namespace mr::artifact {

void multiply_row(const float* by, std::int64_t n, float* values);  // values[i] *= by[i]
void add_scaled_row(float factor, const float* x, std::int64_t n, float* to);
void unite_row(const std::uint8_t* mask, std::int64_t n, std::uint8_t* to);  // to[i] |= mask[i]

std::int64_t count_ones(const std::uint8_t* mask, std::int64_t n);  // of 0 and 1

/// The voxels of a mask, 0 or 1, in their order; the mask must stay.
class Ones {
 public:
  Ones(const std::uint8_t* mask, std::int64_t n);
  std::int64_t count() const { return before_.back(); }
  std::int64_t at(std::int64_t rank) const;  // index of the voxel; 0 <= rank < count()

 private:
  const std::uint8_t* mask_;
  std::vector<std::int64_t> before_;  // ones in front of each piece, and all
};

}  // namespace mr::artifact
