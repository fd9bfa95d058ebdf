#include "kspace/coils.h"

#include <algorithm>
#include <cmath>

namespace mr::kspace {
namespace {

constexpr double pi = 3.14159265358979323846;

double dot(const Vector3& a, const Vector3& b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

struct Elliptic {
  double first, second;  // K(m), E(m)
};

/// Complete elliptic integrals of parameter m in [0, 1), by the arithmetic-geometric mean, which
/// converges quadratically (Abramowitz and Stegun 1964, 17.6).
Elliptic elliptic(double m) {
  double a = 1, b = std::sqrt(1 - m), sum = m / 2, power = 0.5;
  for (int i = 0; i < 12 && std::fabs(a - b) > 1e-15 * a; ++i) {
    const double c = (a - b) / 2, mean = (a + b) / 2;
    b = std::sqrt(a * b);
    a = mean;
    power *= 2;
    sum += power * c * c;
  }
  const double first = pi / (2 * a);
  return {first, first * (1 - sum)};
}

struct Cylindrical {
  double radial, axial;
};

/// At a distance r from the axis and z from the plane of a loop of radius a.
Cylindrical field_at(double a, double r, double z) {
  const double near = (a - r) * (a - r) + z * z, far = (a + r) * (a + r) + z * z;
  const auto [k, e] = elliptic(4 * a * r / far);
  const double scale = 1 / (2 * pi * std::sqrt(far));
  const double axial = scale * (k + (a * a - r * r - z * z) / near * e);
  // Close to the axis the radial terms cancel each other: there, their first order.
  const double squares = a * a + z * z;
  const double radial = r < 1e-4 * std::sqrt(squares)
                            ? 0.75 * a * a * z * r / (squares * squares * std::sqrt(squares))
                            : scale * z / r * (-k + (a * a + r * r + z * z) / near * e);
  return {radial, axial};
}

double root_of_squares(const std::vector<Loop>& loops, const Vector3& point) {
  double sum = 0;
  for (const auto& loop : loops) {
    const auto b = loop_field(loop, point);
    sum += b[0] * b[0] + b[1] * b[1];
  }
  return std::sqrt(sum);
}

}  // namespace

std::vector<Loop> ring_of_loops(int count, double distance, double radius, double first_rad) {
  std::vector<Loop> loops;
  for (int c = 0; c < count; ++c) {
    const double angle = first_rad + 2 * pi * c / count;
    const Vector3 outwards{std::cos(angle), std::sin(angle), 0};
    loops.push_back({{distance * outwards[0], distance * outwards[1], 0},
                     {-outwards[0], -outwards[1], 0},
                     radius});
  }
  return loops;
}

Vector3 loop_field(const Loop& loop, const Vector3& point) {
  Vector3 from{}, out{};
  for (std::size_t i = 0; i < 3; ++i) from[i] = point[i] - loop.centre[i];
  const double z = dot(from, loop.axis);
  for (std::size_t i = 0; i < 3; ++i) out[i] = from[i] - z * loop.axis[i];
  const double r = std::sqrt(dot(out, out));
  const auto [radial, axial] = field_at(loop.radius, r, z);
  Vector3 field{};
  for (std::size_t i = 0; i < 3; ++i)
    field[i] = axial * loop.axis[i] + (r > 0 ? radial * out[i] / r : 0);
  return field;
}

Array<std::complex<float>> loop_sensitivities(const std::vector<Loop>& loops, const CoilGrid& grid,
                                              std::int64_t slice) {
  const auto rows = grid.size[1], columns = grid.size[2];
  const double half = std::max(static_cast<double>(rows) * grid.spacing_mm[1],
                               static_cast<double>(columns) * grid.spacing_mm[2]) /
                      2;
  const auto place = [&](std::int64_t i, std::size_t axis) {
    return (static_cast<double>(i) - static_cast<double>(grid.size[axis] - 1) / 2) *
           grid.spacing_mm[axis] / half;
  };
  const double scale = 1 / root_of_squares(loops, {0, 0, 0});
  Array<std::complex<float>> out({static_cast<std::int64_t>(loops.size()), rows, columns});
  std::int64_t i = 0;
  for (const auto& loop : loops)
    for (std::int64_t y = 0; y < rows; ++y)
      for (std::int64_t x = 0; x < columns; ++x) {
        const auto b = loop_field(loop, {place(x, 2), place(y, 1), place(slice, 0)});
        out[i++] = {static_cast<float>(scale * b[0]), static_cast<float>(scale * b[1])};
      }
  return out;
}

}  // namespace mr::kspace
