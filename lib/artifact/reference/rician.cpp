#include <algorithm>
#include <cmath>

#include "artifact/reference/ref.h"

namespace mr::artifact {
namespace {

/// sqrt((I + s n1)^2 + (s n2)^2), s = N % of the slice's maximum.
void corrupt(ref::Slice slice, RandomKey key, double percent) {
  const auto n = static_cast<std::size_t>(slice.size());
  const double sigma =
      percent / 100 * static_cast<double>(*std::max_element(slice.voxels, slice.voxels + n));
  std::vector<float> noise(2 * n);
  fill_normal(key, 0, noise.data(), noise.size());
  for (std::size_t i = 0; i < n; ++i)
    slice.voxels[i] = static_cast<float>(
        std::hypot(static_cast<double>(slice.voxels[i]) + sigma * static_cast<double>(noise[i]),
                   sigma * static_cast<double>(noise[n + i])));
}

}  // namespace

Artifact ref_rician() {
  return ref::artifact<corrupt>(ref::row("rician",
                                         "As published: noise of N % of the slice's maximum",
                                         "src/data/knee_data.py", Stage::receiver));
}

}  // namespace mr::artifact
