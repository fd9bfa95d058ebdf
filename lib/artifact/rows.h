// What steps do to rows of voxels, by vector code.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace mr::artifact {

void multiply_row(const float* by, std::int64_t n, float* values);  // values[i] *= by[i]
void add_scaled_row(float factor, const float* x, std::int64_t n, float* to);
void unite_row(const std::uint8_t* mask, std::int64_t n, std::uint8_t* to);  // to[i] |= mask[i]

std::int64_t count_ones(const std::uint8_t* mask, std::int64_t n);  // of 0 and 1

/// Voxels of a part, where several threads scan an image: as many as are worth it.
constexpr std::int64_t scan_part = 1 << 18;
constexpr std::int64_t parts_of(std::int64_t voxels) {
  return (voxels + scan_part - 1) / scan_part;
}

/// Sums side by side, in an order that no machine changes.
constexpr std::int64_t sum_lanes = 8;
constexpr std::int64_t whole_lanes(std::int64_t n) {
  return (n + sum_lanes - 1) / sum_lanes * sum_lanes;
}

/// Rows of n numbers with zeros behind them up to whole lanes; rows that need none as they lie.
template <typename T>
class PaddedRows {
 public:
  explicit PaddedRows(std::int64_t n)
      : n_(n), copy_(static_cast<std::size_t>(n == whole_lanes(n) ? 0 : whole_lanes(n))) {}
  const T* operator()(const T* row) {
    if (copy_.empty()) return row;
    std::copy_n(row, n_, copy_.begin());
    return copy_.data();
  }

 private:
  std::int64_t n_;
  std::vector<T> copy_;
};

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
