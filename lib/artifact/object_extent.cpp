#include "artifact/object_extent.h"

#include <algorithm>

namespace mr::artifact {

Extent object_extent(const Context& context, Role role) {
  const int axis = context.roles.axis(role);
  const auto n = context.volume.length(axis), step = stride(context.volume, axis);
  const auto& foreground = context.facts.foreground;
  std::vector<char> met(static_cast<std::size_t>(n), 0);
  for (std::int64_t i = 0; i < foreground.size(); ++i)
    if (foreground[i]) met[static_cast<std::size_t>(i / step % n)] = 1;
  const auto first = std::find(met.begin(), met.end(), 1);
  if (first == met.end()) return {};
  const auto last = std::find(met.rbegin(), met.rend(), 1);
  return {first - met.begin(), n - 1 - (last - met.rbegin())};
}

}  // namespace mr::artifact
