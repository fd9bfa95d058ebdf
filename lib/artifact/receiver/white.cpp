#include "artifact/receiver/white.h"

#include <vector>

#include "artifact/rows.h"

namespace mr::artifact {

void add_white_noise(RandomKey key, std::int64_t slice, double sigma, std::int64_t n, float* re,
                     float* im) {
  std::vector<float> noise(static_cast<std::size_t>(im ? 2 * n : n));
  fill_normal(sub_key(key, static_cast<std::uint64_t>(slice)), 0, noise.data(), noise.size());
  add_scaled_row(static_cast<float>(sigma), noise.data(), n, re);
  if (im) add_scaled_row(static_cast<float>(sigma), noise.data() + n, n, im);
}

}  // namespace mr::artifact
