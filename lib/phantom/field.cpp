#include "phantom/field.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kspace/axes.h"

namespace mr::phantom {
namespace {

constexpr std::int64_t size = 48;  // of the grid, each way; the leg and as much air
constexpr double step_mm = 4;
constexpr double water_ppm = -9.05, air_ppm = 0.36;
constexpr double hz_per_ppm_per_tesla = 42.577;  // hydrogen

double coordinate(std::int64_t i) {
  return step_mm * static_cast<double>(i - size / 2);
}

/// Susceptibility [ppm] on the grid [s, a, m].
Array<float> susceptibility(const Anatomy& anatomy) {
  Array<float> chi({size, size, size});
  std::int64_t n = 0;
  for (std::int64_t s = 0; s < size; ++s)
    for (std::int64_t a = 0; a < size; ++a)
      for (std::int64_t m = 0; m < size; ++m) {
        const auto content = anatomy.at({coordinate(m), coordinate(a), coordinate(s)});
        chi[n++] = static_cast<float>(content.base == Tissue::air ? air_ppm : water_ppm);
      }
  return chi;
}

/// Harmonics of order 2 at a place, in units of 60 mm.
std::array<double, 5> harmonics(const Vec& place) {
  const double x = place.m / 60, y = place.a / 60, z = place.s / 60;
  return {x * x - y * y, 2 * x * y, 2 * x * z, 2 * y * z, z * z - (x * x + y * y) / 2};
}

/// Value between the points of the grid, linearly.
double at(const Array<float>& field, const Vec& place) {
  const std::array<double, 3> from{place.s, place.a, place.m};
  std::array<std::int64_t, 3> first{};
  std::array<double, 3> part{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double x = std::clamp(from[axis] / step_mm + size / 2, 0.0, size - 1.001);
    first[axis] = static_cast<std::int64_t>(x);
    part[axis] = x - static_cast<double>(first[axis]);
  }
  double sum = 0;
  for (int corner = 0; corner < 8; ++corner) {
    double weight = 1;
    std::int64_t index = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const auto next = static_cast<std::int64_t>(corner >> axis & 1);
      weight *= next ? part[axis] : 1 - part[axis];
      index = index * size + first[axis] + next;
    }
    sum += weight * static_cast<double>(field[index]);
  }
  return sum;
}

/// Takes from `values` what a constant and the coordinates explain of them where `inside`, by
/// orthogonal projection.
void shim(std::vector<double>& values, const std::vector<Vec>& places,
          const std::vector<char>& inside) {
  const auto product = [&](const std::vector<double>& x, const std::vector<double>& y) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (inside[i]) sum += x[i] * y[i];
    return sum;
  };
  std::vector<std::vector<double>> basis(4);
  for (const auto& p : places) {
    basis[0].push_back(1);
    basis[1].push_back(p.m);
    basis[2].push_back(p.a);
    basis[3].push_back(p.s);
  }
  const auto take = [&](const std::vector<double>& b, std::vector<double>& from) {
    const double square = product(b, b);
    if (!(square > 0)) return;
    const double share = product(b, from) / square;
    for (std::size_t i = 0; i < b.size(); ++i) from[i] -= share * b[i];
  };
  for (std::size_t b = 0; b < basis.size(); ++b) {
    for (std::size_t before = 0; before < b; ++before) take(basis[before], basis[b]);
    take(basis[b], values);
  }
}

}  // namespace

void susceptibility_to_field(Array<float>& chi) {
  const auto n = chi.shape(0);
  Array<float> im;
  for (const int axis : {0, 1, 2})
    kspace::transform_axis(chi, im, axis, kspace::Direction::to_kspace, 1);
  const auto square = [&](std::int64_t i) { return std::pow(static_cast<double>(i - n / 2), 2); };
  for (std::int64_t i = 0; i < chi.size(); ++i) {
    const double along = square(i / (n * n));
    const double all = along + square(i / n % n) + square(i % n);
    const auto weight = static_cast<float>(all > 0 ? 1.0 / 3 - along / all : 0);
    chi[i] *= weight;
    im[i] *= weight;
  }
  for (const int axis : {0, 1, 2})
    kspace::transform_axis(chi, im, axis, kspace::Direction::to_image, 1);
}

Array<float> field_map(const Anatomy& anatomy, const Geometry& geometry, double field_t,
                       RandomKey magnet) {
  auto field = susceptibility(anatomy);
  susceptibility_to_field(field);
  std::array<double, 5> coefficients{};
  for (std::size_t c = 0; c < coefficients.size(); ++c) coefficients[c] = 0.3 * normal(magnet, c);
  std::vector<Vec> places;
  std::vector<double> values;
  std::vector<char> inside;
  const auto a = affine(geometry);
  const auto place = [&](std::size_t row, std::int64_t i, std::int64_t j, std::int64_t k) {
    return a[row][0] * static_cast<double>(i) + a[row][1] * static_cast<double>(j) +
           a[row][2] * static_cast<double>(k) + a[row][3];
  };
  for (std::int64_t k = 0; k < geometry.slices; ++k)
    for (std::int64_t j = 0; j < geometry.matrix; ++j)
      for (std::int64_t i = 0; i < geometry.matrix; ++i) {
        places.push_back({place(0, i, j, k), place(1, i, j, k), place(2, i, j, k)});
        double ppm = at(field, places.back());
        const auto of_magnet = harmonics(places.back());
        for (std::size_t c = 0; c < of_magnet.size(); ++c) ppm += coefficients[c] * of_magnet[c];
        values.push_back(ppm * hz_per_ppm_per_tesla * field_t);
        inside.push_back(anatomy.at(places.back()).base != Tissue::air);
      }
  shim(values, places, inside);
  Array<float> out(geometry.shape());
  std::copy(values.begin(), values.end(), out.begin());
  return out;
}

}  // namespace mr::phantom
