// Signed distances in mm, negative inside. Ellipsoids and blends are first-order approximations,
// exact on the surface, which is where they decide the tissue.
#pragma once
#include <algorithm>
#include <cmath>

namespace mr::phantom {

/// A place or direction in the knee: m to lateral, a to anterior, s to superior [mm].
struct Vec {
  double m = 0, a = 0, s = 0;
};
inline Vec operator+(const Vec& p, const Vec& q) {
  return {p.m + q.m, p.a + q.a, p.s + q.s};
}
inline Vec operator-(const Vec& p, const Vec& q) {
  return {p.m - q.m, p.a - q.a, p.s - q.s};
}
inline Vec operator*(double f, const Vec& p) {
  return {f * p.m, f * p.a, f * p.s};
}
inline double dot(const Vec& p, const Vec& q) {
  return p.m * q.m + p.a * q.a + p.s * q.s;
}
inline double norm(const Vec& p) {
  return std::sqrt(dot(p, p));
}

inline double ellipsoid(const Vec& p, const Vec& centre, const Vec& radii) {
  const Vec d = p - centre;
  const Vec per_radius{1 / radii.m, 1 / radii.a, 1 / radii.s};  // mostly constants: no division
  const Vec q{d.m * per_radius.m, d.a * per_radius.a, d.s * per_radius.s};
  const double gradient = norm({q.m * per_radius.m, q.a * per_radius.a, q.s * per_radius.s});
  if (gradient < 1e-9) return -std::min({radii.m, radii.a, radii.s});
  const double k = norm(q);
  return k * (k - 1) / gradient;
}

/// Elliptic column along s.
inline double column(double m, double a, double radius_m, double radius_a) {
  return ellipsoid({m, a, 0}, {}, {radius_m, radius_a, 1});
}

/// Where along the segment a point lies (0..1), and how far from it.
struct Along {
  double t, distance;
};
inline Along along(const Vec& p, const Vec& from, const Vec& to) {
  const Vec axis = to - from;
  const double t = std::clamp(dot(p - from, axis) / dot(axis, axis), 0.0, 1.0);
  return {t, norm(p - from - t * axis)};
}
inline double capsule(const Vec& p, const Vec& from, const Vec& to, double radius) {
  return along(p, from, to).distance - radius;
}

/// Union and intersection whose edge is rounded over about `width` mm.
inline double smooth_min(double x, double y, double width) {
  const double h = std::max(width - std::abs(x - y), 0.0) / width;
  return std::min(x, y) - h * h * width / 4;
}
inline double smooth_max(double x, double y, double width) {
  return -smooth_min(-x, -y, width);
}

}  // namespace mr::phantom
