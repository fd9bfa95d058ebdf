#include "artifact/export/intensity.h"

#include <algorithm>
#include <cmath>

#include "kspace/simd.h"

namespace mr::artifact {
namespace {

MR_SIMD void take_magnitude(const float* re, const float* im, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = __builtin_sqrtf(re[i] * re[i] + im[i] * im[i]);
}

/// Gives complex numbers of modulus `before` the modulus `after`; equal ones keep their bits.
void set_magnitude(const float* before, const float* after, std::int64_t n, float* re, float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    if (after[i] == before[i]) continue;
    const float factor = before[i] > 0 ? after[i] / before[i] : 0;
    re[i] = before[i] > 0 ? re[i] * factor : after[i];
    im[i] *= factor;
  }
}

}  // namespace

void on_magnitude(Block& block, bool complex_image, int threads,
                  const std::function<void(float* values, std::int64_t slice)>& body) {
  if (!complex_image && block.is_real()) {
    for_slices(block, threads, [&](float* re, float*, std::int64_t slice) { body(re, slice); });
    return;
  }
  block.make_complex();
  const auto n = block.plane_size();
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    std::vector<float> before(static_cast<std::size_t>(n));
    take_magnitude(re, im, n, before.data());
    auto after = before;
    body(after.data(), slice);
    if (complex_image)
      set_magnitude(before.data(), after.data(), n, re, im);
    else
      std::copy(after.begin(), after.end(), re);
  });
  if (!complex_image) block.im = {};
}

std::vector<float> clean_magnitudes(const Context& context, Where where) {
  const auto& volume = context.volume;
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(count(volume.shape())));
  for (std::int64_t i = 0; i < count(volume.shape()); ++i)
    if (where == Where::everywhere || context.facts.foreground[i] != 0)
      values.push_back(volume.is_complex() ? std::abs(volume.complex_voxels[i])
                                           : std::fabs(volume.voxels[i]));
  return values;
}

double quantile(std::vector<float>& values, double share) {
  const double rank = share * static_cast<double>(values.size() - 1);
  const auto lower = std::min(static_cast<std::size_t>(rank), values.size() - 1);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(lower);
  std::nth_element(values.begin(), at, values.end());
  const auto low = static_cast<double>(*at);
  if (lower + 1 == values.size()) return low;
  const auto high = static_cast<double>(*std::min_element(at + 1, values.end()));
  return low + (rank - static_cast<double>(lower)) * (high - low);
}

}  // namespace mr::artifact
