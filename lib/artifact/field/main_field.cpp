#include "artifact/field/main_field.h"

#include <cmath>

namespace mr::artifact {

std::array<double, 3> main_field_direction(const image::Volume& volume) {
  std::array<double, 3> direction{};
  double square = 0;
  for (std::size_t a = 0; a < 3; ++a) {
    direction[a] = volume.affine[2][a] / volume.spacing_mm[a];
    square += direction[a] * direction[a];
  }
  if (!(square > 1e-12 && std::isfinite(square))) return {0, 0, 1};
  for (auto& d : direction) d /= std::sqrt(square);
  return direction;
}

double main_field_tesla(const image::Volume& volume) {
  return volume.acquisition.field_t.value_or(1.5);
}

}  // namespace mr::artifact
