#include "artifact/reference/ref.h"
#include "kspace/lines.h"

namespace mr::artifact {
namespace {

void transpose(const std::vector<float>& from, std::int64_t rows, std::int64_t columns, float* to) {
  for (std::int64_t y = 0; y < rows; ++y)
    for (std::int64_t x = 0; x < columns; ++x)
      to[x * rows + y] = from[static_cast<std::size_t>(y * columns + x)];
}

/// Every g-th line of the centred spectrum, from the first, times 1 - intensity, the central one
/// spared; g of U{0..7}, intensity of U(0, N), along either axis of the slice. g = 0 is no ghost.
void corrupt(ref::Slice slice, RandomKey key, double percent) {
  const auto ghosts = static_cast<std::int64_t>(below(key, 0, 8));
  const bool along_rows = below(key, 1, 2) == 0;
  const double intensity = uniform(key, 2, 0, percent);
  if (ghosts == 0) return;
  const auto n = along_rows ? slice.rows : slice.columns;
  std::vector<std::complex<double>> weights(static_cast<std::size_t>(n), 1.0);
  for (std::int64_t line = 0; line < n; line += ghosts)
    if (line != n / 2) weights[static_cast<std::size_t>(line)] = 1 - intensity;

  const auto columns = slice.size() / n;
  std::vector<float> re(slice.voxels, slice.voxels + slice.size()), im(re.size());
  if (!along_rows) {
    const auto stored = re;
    transpose(stored, slice.rows, slice.columns, re.data());
  }
  kspace::LineFilter(weights).apply(re.data(), im.data(), columns, columns, true);
  if (along_rows)
    std::copy(re.begin(), re.end(), slice.voxels);
  else
    transpose(re, n, columns, slice.voxels);
}

}  // namespace

Artifact ref_ghosting() {
  return ref::artifact<corrupt>(ref::row(
      "ghosting", "As published: every g-th line of k-space scaled by 1 - U(0, N), g of 0..7",
      "TorchIO 0.18 RandomGhosting(intensity=N, num_ghosts=7)", Stage::encoding));
}

}  // namespace mr::artifact
