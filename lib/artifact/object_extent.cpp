#include "artifact/object_extent.h"

#include <algorithm>
#include <cstring>

#include "artifact/rows.h"

namespace mr::artifact {

Extent object_extent(const Context& context, Role role) {
  const int axis = context.roles.axis(role);
  const auto n = context.volume.length(axis), step = stride(context.volume, axis);
  const auto row = context.volume.length(0);  // stored contiguously
  const auto& foreground = context.facts.of_any_frame();
  std::vector<std::uint8_t> met(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < foreground.size(); i += row) {
    const auto* mask = foreground.data() + i;
    if (axis == 0)
      unite_row(mask, n, met.data());
    else if (auto& at = met[static_cast<std::size_t>(i / step % n)]; at == 0)
      at = std::memchr(mask, 1, static_cast<std::size_t>(row)) != nullptr;
  }
  const auto first = std::find(met.begin(), met.end(), 1);
  if (first == met.end()) return {};
  const auto last = std::find(met.rbegin(), met.rend(), 1);
  return {first - met.begin(), n - 1 - (last - met.rbegin())};
}

}  // namespace mr::artifact
