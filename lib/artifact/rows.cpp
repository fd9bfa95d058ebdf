#include "artifact/rows.h"

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

}  // namespace mr::artifact
