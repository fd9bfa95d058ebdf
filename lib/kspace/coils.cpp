#include "kspace/coils.h"

#include <algorithm>
#include <cmath>

#include "kspace/simd.h"

namespace mr::kspace {
namespace {

constexpr double pi = 3.14159265358979323846;

double dot(const Vector3& a, const Vector3& b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

constexpr std::int64_t at_once = 8;  // points side by side

/// Complete elliptic integrals K(m), E(m) of 1 - m = complement, by the arithmetic-geometric mean,
/// which converges quadratically (Abramowitz and Stegun 1964, 17.6): six steps give double
/// precision up to m = 1 - 1e-8.
MR_SIMD void elliptic(const double* complement, double* first, double* second) {
  double mean[at_once], other[at_once], sum[at_once];
  for (std::int64_t l = 0; l < at_once; ++l) {
    mean[l] = 1;
    other[l] = std::sqrt(complement[l]);
    sum[l] = (1 - complement[l]) / 2;
  }
  double power = 0.5;
  for (int step = 0; step < 6; ++step) {
    power *= 2;
    for (std::int64_t l = 0; l < at_once; ++l) {
      const double c = (mean[l] - other[l]) / 2, next = (mean[l] + other[l]) / 2;
      other[l] = std::sqrt(mean[l] * other[l]);
      mean[l] = next;
      sum[l] += power * c * c;
    }
  }
  for (std::int64_t l = 0; l < at_once; ++l) {
    first[l] = pi / (2 * mean[l]);
    second[l] = first[l] * (1 - sum[l]);
  }
}

/// Field of a loop of radius a at distances r from its axis and z from its plane, point by point:
/// along the axis, and away from it divided by r.
MR_SIMD void fields_at(double a, const double* r, const double* z, double* radial_by_r,
                       double* axial) {
  double complement[at_once], first[at_once], second[at_once];
  for (std::int64_t l = 0; l < at_once; ++l) {
    const double near = (a - r[l]) * (a - r[l]) + z[l] * z[l];
    complement[l] = near / ((a + r[l]) * (a + r[l]) + z[l] * z[l]);
  }
  elliptic(complement, first, second);
  for (std::int64_t l = 0; l < at_once; ++l) {
    const double rr = r[l] * r[l], zz = z[l] * z[l];
    const double far = (a + r[l]) * (a + r[l]) + zz;
    const double by_near = second[l] / (far * complement[l]);
    const double scale = 1 / (2 * pi * std::sqrt(far));
    axial[l] = scale * (first[l] + (a * a - rr - zz) * by_near);
    // Close to the axis the radial terms cancel each other: there, their first order.
    const double squares = a * a + zz;
    const double close = 0.75 * a * a * z[l] / (squares * squares * std::sqrt(squares));
    const double apart =
        scale * z[l] / std::max(rr, 1e-300) * ((a * a + rr + zz) * by_near - first[l]);
    radial_by_r[l] = rr < 1e-8 * squares ? close : apart;
  }
}

/// A point from the axis of a loop, at right angles; along: from the loop's plane.
Vector3 from_axis(const Loop& loop, const Vector3& point, double& along) {
  Vector3 from{};
  for (std::size_t a = 0; a < 3; ++a) from[a] = point[a] - loop.centre[a];
  along = dot(from, loop.axis);
  for (std::size_t a = 0; a < 3; ++a) from[a] -= along * loop.axis[a];
  return from;
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
  double r[at_once] = {}, z[at_once] = {}, radial_by_r[at_once], axial[at_once];
  const auto out = from_axis(loop, point, z[0]);
  r[0] = std::sqrt(dot(out, out));
  fields_at(loop.radius, r, z, radial_by_r, axial);
  Vector3 field{};
  for (std::size_t i = 0; i < 3; ++i) field[i] = axial[0] * loop.axis[i] + radial_by_r[0] * out[i];
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
  std::vector<double> places;
  for (std::int64_t x = 0; x < columns + at_once; ++x) places.push_back(place(x, 2));
  alignas(64) double away_x[at_once], away_y[at_once], r[at_once], z[at_once];
  alignas(64) double radial_by_r[at_once], axial[at_once];
  std::int64_t i = 0;
  for (const auto& loop : loops)
    for (std::int64_t y = 0; y < rows; ++y) {
      const double from_y = place(y, 1) - loop.centre[1], from_z = place(slice, 0) - loop.centre[2];
      for (std::int64_t first = 0; first < columns; first += at_once) {
        for (std::int64_t l = 0; l < at_once; ++l) {
          const double from_x = places[static_cast<std::size_t>(first + l)] - loop.centre[0];
          z[l] = from_x * loop.axis[0] + from_y * loop.axis[1] + from_z * loop.axis[2];
          away_x[l] = from_x - z[l] * loop.axis[0];
          away_y[l] = from_y - z[l] * loop.axis[1];
          const double away_z = from_z - z[l] * loop.axis[2];
          r[l] = std::sqrt(away_x[l] * away_x[l] + away_y[l] * away_y[l] + away_z * away_z);
        }
        fields_at(loop.radius, r, z, radial_by_r, axial);
        for (std::int64_t l = 0; l < std::min(at_once, columns - first); ++l)
          out[i++] = {
              static_cast<float>(scale * (axial[l] * loop.axis[0] + radial_by_r[l] * away_x[l])),
              static_cast<float>(scale * (axial[l] * loop.axis[1] + radial_by_r[l] * away_y[l]))};
      }
    }
  return out;
}

}  // namespace mr::kspace
