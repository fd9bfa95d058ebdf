#include "artifact/field/metal_body.h"

#include <algorithm>
#include <cmath>

#include "base/simd.h"

namespace mr::artifact {
namespace {

double dot(const std::array<double, 3>& a, const std::array<double, 3>& b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/// Along a row, at t from its first point: the squared distance least + slope (t - foot)^2, and the
/// distance along the main field p0 + p1 t.
struct Row {
  double least, slope, foot, p0, p1;
  double distance2(double t) const { return least + slope * (t - foot) * (t - foot); }
};

/// near^2 (weight cos^2 - offset), times near for a sphere; near = radius / distance, at most 1.
struct Law {
  double radius2, hz, weight, offset, cubic;  // cubic: 1 or 0
};

MR_SIMD void fields(Row row, Law law, double step, std::int64_t n, double* hz) {
  for (std::int64_t i = 0; i < n; ++i) {
    const double t = step * static_cast<double>(i);
    const double r2 = std::max(row.distance2(t), 1e-12);
    const double along = row.p0 + t * row.p1;
    const double near2 = law.radius2 / std::max(r2, law.radius2);
    const double near = 1 + law.cubic * (__builtin_sqrt(near2) - 1);
    hz[i] = law.hz * near * near2 * (law.weight * along * along / r2 - law.offset);
  }
}

MR_SIMD void outsides(Row row, double radius2, double step, std::int64_t n, float* outside) {
  for (std::int64_t i = 0; i < n; ++i) {
    const double t = step * static_cast<double>(i);
    outside[i] = row.distance2(t) < radius2 ? 0.0f : 1.0f;
  }
}

}  // namespace

MetalBody::MetalBody(Form form, const Point_mm& centre,
                     const std::array<double, 3>& field_direction,
                     const std::array<double, 3>& axis, double radius_mm, double hz)
    : form_(form), centre_(centre), axis_{}, across_(field_direction), radius_(radius_mm), hz_(hz) {
  if (form_ == Form::sphere) return;
  axis_ = axis;
  for (std::size_t a = 0; a < 3; ++a) across_[a] -= dot(field_direction, axis_) * axis_[a];
}

void MetalBody::row(const Point_mm& start, std::size_t axis, double step_mm, std::int64_t n,
                    double* hz, float* outside) const {
  const Point_mm d{start[0] - centre_[0], start[1] - centre_[1], start[2] - centre_[2]};
  const double along = dot(d, axis_), lean = axis_[axis], slope = 1 - lean * lean;
  auto rest = d;  // across the row
  rest[axis] = 0;
  const double rest_along = dot(rest, axis_);
  // d + t e less its part along the cylinder: shortest where t = foot.
  const double foot = slope > 1e-12 ? rest_along * lean / slope - d[axis] : 0;
  const double least =
      slope > 1e-12 ? dot(rest, rest) - rest_along * rest_along / slope : dot(d, d) - along * along;
  const Row row{least, slope > 1e-12 ? slope : 0, foot, dot(d, across_), across_[axis]};
  const bool is_sphere = form_ == Form::sphere;
  const Law law{radius_ * radius_, hz_ / (is_sphere ? 3 : 2), is_sphere ? 3.0 : 2.0,
                is_sphere ? 1.0 : dot(across_, across_), is_sphere ? 1.0 : 0.0};
  fields(row, law, step_mm, n, hz);
  // A voxel on the very edge is outside, whatever the rounding.
  if (outside) outsides(row, law.radius2 * (1 - 1e-9), step_mm, n, outside);
}

}  // namespace mr::artifact
