// What steps do to rows of voxels, by vector code.
#pragma once
#include <cstdint>

namespace mr::artifact {

void multiply_row(const float* by, std::int64_t n, float* values);  // values[i] *= by[i]
void add_scaled_row(float factor, const float* x, std::int64_t n, float* to);
void unite_row(const std::uint8_t* mask, std::int64_t n, std::uint8_t* to);  // to[i] |= mask[i]

}  // namespace mr::artifact
