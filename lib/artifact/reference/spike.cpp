#include <cmath>
#include <numeric>

#include "artifact/reference/ref.h"

namespace mr::artifact {
namespace {

/// None or one sample of the spectrum gets U(-N, N) times the largest one, which for a magnitude
/// image is its sum: a plane wave of that many times the mean, of which the real part is kept.
void corrupt(ref::Slice slice, RandomKey key, double percent) {
  if (below(key, 0, 2) == 0) return;
  const auto count = static_cast<double>(slice.size());
  const double mean = std::accumulate(slice.voxels, slice.voxels + slice.size(), 0.0) / count;
  const double amplitude = uniform(key, 1, -percent, percent) * mean;
  const auto turns = [&](std::uint64_t index, std::int64_t n) {
    const auto line = static_cast<std::int64_t>(below(key, index, static_cast<std::uint64_t>(n)));
    return 2 * 3.14159265358979323846 * static_cast<double>(line - n / 2) / static_cast<double>(n);
  };
  const double per_row = turns(2, slice.rows), per_column = turns(3, slice.columns);
  for (std::int64_t y = 0; y < slice.rows; ++y)
    for (std::int64_t x = 0; x < slice.columns; ++x)
      slice.voxels[y * slice.columns + x] +=
          static_cast<float>(amplitude * std::cos(per_row * static_cast<double>(y) +
                                                  per_column * static_cast<double>(x)));
}

}  // namespace

Artifact ref_spike() {
  return ref::artifact<corrupt>(
      ref::row("spike", "As published: a wave of U(-N, N) times the slice's mean, or none",
               "TorchIO 0.18 RandomSpike(intensity=N)", Stage::receiver));
}

}  // namespace mr::artifact
