#include "artifact/rows.h"

#include <algorithm>

#include "base/simd.h"

namespace mr::artifact {

MR_SIMD void multiply_row(const float* by, std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) values[i] *= by[i];
}

MR_SIMD void add_scaled_row(float factor, const float* x, std::int64_t n, float* to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] += factor * x[i];
}

MR_SIMD void unite_row(const std::uint8_t* mask, std::int64_t n, std::uint8_t* to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] |= mask[i];
}

namespace {

constexpr std::int64_t piece = 4096;

MR_SIMD std::int32_t ones_of(const std::uint8_t* mask, std::int64_t n) {
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += mask[i];
  return sum;
}

}  // namespace

std::int64_t count_ones(const std::uint8_t* mask, std::int64_t n) {
  std::int64_t sum = 0;
  for (std::int64_t first = 0; first < n; first += piece)
    sum += ones_of(mask + first, std::min(piece, n - first));
  return sum;
}

Ones::Ones(const std::uint8_t* mask, std::int64_t n) : mask_(mask), before_{0} {
  for (std::int64_t first = 0; first < n; first += piece)
    before_.push_back(before_.back() + ones_of(mask + first, std::min(piece, n - first)));
}

std::int64_t Ones::at(std::int64_t rank) const {
  const auto found = std::upper_bound(before_.begin(), before_.end(), rank) - 1;
  auto left = rank - *found;
  auto i = (found - before_.begin()) * piece;
  for (; left > 0 || mask_[i] == 0; ++i) left -= mask_[i];
  return i;
}

}  // namespace mr::artifact
