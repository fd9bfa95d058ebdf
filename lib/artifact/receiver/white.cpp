#include "artifact/receiver/white.h"

#include <vector>

#include "kspace/simd.h"

namespace mr::artifact {
namespace {

MR_SIMD void add_scaled(float factor, const float* x, std::int64_t n, float* to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] += factor * x[i];
}

}  // namespace

void add_white_noise(RandomKey key, std::int64_t slice, double sigma, std::int64_t n, float* re,
                     float* im) {
  std::vector<float> noise(static_cast<std::size_t>(im ? 2 * n : n));
  fill_normal(sub_key(key, static_cast<std::uint64_t>(slice)), 0, noise.data(), noise.size());
  add_scaled(static_cast<float>(sigma), noise.data(), n, re);
  if (im) add_scaled(static_cast<float>(sigma), noise.data() + n, n, im);
}

}  // namespace mr::artifact
