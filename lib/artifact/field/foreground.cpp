#include "artifact/field/foreground.h"

#include <algorithm>

#include "artifact/rows.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

MR_SIMD void keep_both(const std::uint8_t* a, const std::uint8_t* b, std::int64_t n,
                       std::uint8_t* to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] &= a[i] & b[i];
}

MR_SIMD void take_away(const std::uint8_t* from, std::int64_t n, std::uint8_t* to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] ^= from[i];
}

/// Keeps voxels of `inner` that have both neighbours along a stored axis in the mask.
void erode(const Array<std::uint8_t>& mask, int axis, Array<std::uint8_t>& inner) {
  const auto n = mask.shape(2 - axis);
  std::int64_t stride = 1;
  for (int faster = 0; faster < axis; ++faster) stride *= mask.shape(2 - faster);
  for (std::int64_t start = 0; start < mask.size(); start += n * stride) {
    auto* first = inner.data() + start;
    const auto* from = mask.data() + start;
    if (n > 2) keep_both(from, from + 2 * stride, (n - 2) * stride, first + stride);
    std::fill_n(first, stride, std::uint8_t{0});
    std::fill_n(first + (n - 1) * stride, stride, std::uint8_t{0});
  }
}

}  // namespace

Array<std::uint8_t> foreground_of_any_frame(const Context& context) {
  const auto& volume = context.volume;
  Array<std::uint8_t> any({volume.length(2), volume.length(1), volume.length(0)});
  std::copy_n(context.facts.of_any_frame().begin(), any.size(), any.begin());
  return any;
}

namespace {

std::optional<Voxel> draw_voxel(const Array<std::uint8_t>& mask, RandomKey key) {
  const Ones ones(mask.data(), mask.size());
  if (ones.count() == 0) return std::nullopt;
  const auto at =
      ones.at(static_cast<std::int64_t>(below(key, 0, static_cast<std::uint64_t>(ones.count()))));
  const auto n = mask.shape(2);
  return Voxel{at % n, at / n % mask.shape(1), at / n / mask.shape(1)};
}

}  // namespace

Voxel draw_foreground_voxel(const Context& context, RandomKey key) {
  return *draw_voxel(foreground_of_any_frame(context), key);
}

std::optional<Voxel> draw_rim_voxel(const Context& context, RandomKey key) {
  auto rim = foreground_of_any_frame(context);
  auto inner = rim;
  for (const int axis : {context.roles.phase_encode, context.roles.readout})
    erode(rim, axis, inner);
  take_away(inner.data(), inner.size(), rim.data());
  return draw_voxel(rim, key);
}

}  // namespace mr::artifact
