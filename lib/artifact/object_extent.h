// Where the object lies in its image.
#pragma once
#include "artifact/engine.h"

namespace mr::artifact {

/// Indices [first, last] of the foreground along one axis; empty where last < first.
struct Extent {
  std::int64_t first = 0, last = -1;
  std::int64_t count() const { return last - first + 1; }
  double centre() const { return static_cast<double>(first + last) / 2; }
};

/// Of the foreground of all frames: coils and repetitions see one object.
Extent object_extent(const Context& context, Role role);

}  // namespace mr::artifact
