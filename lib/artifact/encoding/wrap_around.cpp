#include <algorithm>
#include <cmath>

#include "artifact/engine.h"
#include "artifact/object_extent.h"
#include "artifact/rows.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

/// The lines that the smaller field of view shows: [first, first + count).
struct FieldOfView {
  std::int64_t first, count;
};

/// Centred on the object, narrower than it by the part that folds, by one line at least.
FieldOfView field_of_view(const Context& context, double fold) {
  const auto object = object_extent(context, Role::phase_encode);
  if (object.count() < 2)
    throw DataError("wrap-around: want an object at least 2 lines wide, found " +
                    std::to_string(object.count()));
  const auto folded =
      static_cast<std::int64_t>(std::lround(fold * static_cast<double>(object.count())));
  const auto count = std::clamp(object.count() - folded, std::int64_t{1}, object.count() - 1);
  return {object.first + (object.count() - count) / 2, count};
}

/// All lines that lie whole fields of view apart come to lie on each other.
void fold_plane(const FieldOfView& fov, std::int64_t lines, std::int64_t columns, float* values) {
  std::vector<float> sum(static_cast<std::size_t>(fov.count * columns));
  for (std::int64_t y = 0; y < lines; ++y) {
    const auto to = ((y - fov.first) % fov.count + fov.count) % fov.count;
    add_scaled_row(1, values + y * columns, columns, sum.data() + to * columns);
  }
  std::fill(values, values + lines * columns, 0.0f);
  std::copy(sum.begin(), sum.end(), values + fov.first * columns);
}

bool acts(const Values& values) {
  return values.at("fold") != 0;
}

/// Along phase encoding only: along the readout a filter keeps out what lies beyond. The image
/// keeps its size; what lies outside the new field of view becomes 0.
Drawn draw(const Context& context, const Values& values) {
  const auto fov = field_of_view(context, values.at("fold"));
  Drawn drawn;
  drawn.values.set("first_line", fov.first).set("fov_lines", fov.count);
  drawn.apply = [fov](Block& block, int threads) {
    for_slices(block, threads, [&](float* re, float* im, std::int64_t) {
      fold_plane(fov, block.lines(), block.readout(), re);
      if (im) fold_plane(fov, block.lines(), block.readout(), im);
    });
  };
  return drawn;
}

}  // namespace

Artifact wrap_around() {
  return {{"wrap-around",
           "Field of view smaller than the object: its ends fold over to the other side",
           "Bernstein, King and Zhou 2004, Handbook of MRI Pulse Sequences, ch. 8 (aliasing)",
           Stage::encoding,
           {{"fold",
             "1",
             "share of the object's width along phase encoding that lies outside the field of view",
             0,
             0.9,
             {0.05, 0.1, 0.2, 0.3, 0.45},
             0}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
