// Voxels of the object, as places where a source may lie.
#pragma once
#include <array>
#include <optional>

#include "artifact/engine.h"

namespace mr::artifact {

using Voxel = std::array<std::int64_t, 3>;  // along i, j, k

/// 1 where any frame has foreground, [k, j, i]: coils and repetitions see one object.
Array<std::uint8_t> foreground_of_any_frame(const Context& context);

/// One of the foreground of any frame, each as likely as another.
Voxel draw_foreground_voxel(const Context& context, RandomKey key);

/// One of those with a neighbour within their slice that is not foreground, or that the image ends
/// at; nothing where there is none.
std::optional<Voxel> draw_rim_voxel(const Context& context, RandomKey key);

}  // namespace mr::artifact
