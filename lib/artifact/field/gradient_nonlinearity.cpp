#include <algorithm>
#include <cmath>

#include "artifact/field/main_field.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

using Point = std::array<double, 3>;  // along the stored axes, from voxel n / 2 of each

/// How far from where the image shows it a voxel's signal comes from [mm]: for the gradient along
/// each axis a solid harmonic of order 3 and one of order 5 that have its symmetry. Coordinates are
/// in halves of the image's diagonal.
struct Warp {
  std::size_t bore = 2;                                 // the stored axis nearest to the main field
  std::array<std::array<double, 2>, 3> coefficients{};  // [axis][order 3, order 5], mm
  Point spacing{};                                      // in units
  double unit_mm = 1;

  double along(std::size_t axis, const Point& x) const {
    return x[axis] * factor(axis, squares(x)).value;
  }

  /// Derivative of along(axis) with respect to x[by].
  double slope(std::size_t axis, std::size_t by, const Point& x) const {
    const auto f = factor(axis, squares(x));
    const double steep = 2 * x[axis] * x[by] * (by == bore ? f.by_zz : f.by_rr);
    return steep + (by == axis ? f.value : 0);
  }

 private:
  struct Squares {
    double zz, rr;  // along the bore, and from its axis
  };
  Squares squares(const Point& x) const {
    const double a = x[(bore + 1) % 3], b = x[(bore + 2) % 3];
    return {x[bore] * x[bore], a * a + b * b};
  }

  /// along(axis) / x[axis], and its derivatives with respect to the squares.
  struct Factor {
    double value, by_zz, by_rr;
  };
  Factor factor(std::size_t axis, Squares at) const {
    const auto [third, fifth] = coefficients[axis];
    const double zz = at.zz, rr = at.rr;
    if (axis == bore)
      return {third * (2 * zz - 3 * rr) + fifth * (8 * zz * zz - 40 * zz * rr + 15 * rr * rr),
              2 * third + fifth * (16 * zz - 40 * rr), -3 * third + fifth * (30 * rr - 40 * zz)};
    return {third * (4 * zz - rr) + fifth * (8 * zz * zz - 12 * zz * rr + rr * rr),
            4 * third + fifth * (16 * zz - 12 * rr), -third + fifth * (2 * rr - 12 * zz)};
  }
};

/// |det(1 + du/dx)| over the axes that are warped: volume that a voxel of the image stems from.
double volume_ratio(const Warp& warp, const std::vector<std::size_t>& axes, const Point& x) {
  std::array<std::array<double, 3>, 3> m{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  for (const auto a : axes)
    for (const auto b : axes) m[a][b] += warp.slope(a, b, x) / warp.unit_mm;
  return std::fabs(m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
                   m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
                   m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]));
}

/// Cubic convolution of four neighbours, a = -1/2 (Keys 1981, IEEE Trans ASSP 29:1153).
struct Taps {
  std::int64_t first = 0;
  std::array<double, 4> weight{};
};

Taps taps(double at) {
  const double below = std::floor(at), t = at - below;
  return {static_cast<std::int64_t>(below) - 1,
          {t * (-0.5 + t * (1 - 0.5 * t)), 1 + t * t * (-2.5 + 1.5 * t),
           t * (0.5 + t * (2 - 1.5 * t)), t * t * (-0.5 + 0.5 * t)}};
}

/// Value between voxels; 0 outside of the image. Along axes of whole coordinates one tap has all
/// the weight.
double interpolate(const Array<float>& image, const Point& at) {
  std::array<Taps, 3> along;
  for (std::size_t a = 0; a < 3; ++a) along[a] = taps(at[a]);
  const auto inside = [&](std::int64_t i, int axis) { return i >= 0 && i < image.shape(axis); };
  const auto voxel = [&](std::int64_t z, std::int64_t y) {
    return image.data() + (z * image.shape(1) + y) * image.shape(2) + along[2].first;
  };
  const bool whole_rows = inside(along[2].first, 2) && inside(along[2].first + 3, 2);
  const auto& w = along[2].weight;
  double sum = 0;
  for (std::size_t s = 0; s < 4; ++s) {
    const auto z = along[0].first + static_cast<std::int64_t>(s);
    if (along[0].weight[s] == 0 || !inside(z, 0)) continue;
    for (std::size_t p = 0; p < 4; ++p) {
      const auto y = along[1].first + static_cast<std::int64_t>(p);
      if (along[1].weight[p] == 0 || !inside(y, 1)) continue;
      const float* v = voxel(z, y);
      double row = 0;
      if (whole_rows)
        row = w[0] * static_cast<double>(v[0]) + w[1] * static_cast<double>(v[1]) +
              w[2] * static_cast<double>(v[2]) + w[3] * static_cast<double>(v[3]);
      else
        for (std::size_t r = 0; r < 4; ++r)
          if (inside(along[2].first + static_cast<std::int64_t>(r), 2))
            row += w[r] * static_cast<double>(v[r]);
      sum += along[0].weight[s] * along[1].weight[p] * row;
    }
  }
  return sum;
}

/// Largest displacement at a corner of the image, along the axes that are warped [mm].
double corner_displacement(const Warp& warp, const std::vector<std::size_t>& axes,
                           const std::array<std::int64_t, 3>& size) {
  double most = 0;
  for (int corner = 0; corner < 8; ++corner) {
    Point x{};
    for (std::size_t a = 0; a < 3; ++a) {
      const auto index = corner >> a & 1 ? size[a] - 1 : std::int64_t{0};
      x[a] = static_cast<double>(index - size[a] / 2) * warp.spacing[a];
    }
    double square = 0;
    for (const auto a : axes) square += std::pow(warp.along(a, x), 2);
    most = std::max(most, std::sqrt(square));
  }
  return most;
}

/// Gradients weaken away from the centre, so that far voxels are shown too near to it; by how much
/// is drawn for each of the three, the order 5 with either sign.
Warp draw_warp(const Context& context, const std::vector<std::size_t>& axes, double corner_mm) {
  Warp warp;
  const auto field = main_field_direction(context.volume);
  std::array<std::int64_t, 3> size{};
  double square = 0;
  for (std::size_t a = 0; a < 3; ++a) {
    if (std::fabs(field[a]) > std::fabs(field[warp.bore])) warp.bore = a;
    size[a] = context.volume.length(static_cast<int>(a));
    square += std::pow(static_cast<double>(size[a]) * context.volume.spacing_mm[a] / 2, 2);
  }
  warp.unit_mm = std::sqrt(square);
  const auto key = context.stream("coefficients");
  for (std::size_t a = 0; a < 3; ++a) {
    warp.spacing[a] = context.volume.spacing_mm[a] / warp.unit_mm;
    // Both harmonics are scaled to 1 at x = 1 of an axis across the bore.
    warp.coefficients[a] = {(a == warp.bore ? 0.5 : -1) * uniform(key, 2 * a, 0.5, 1),
                            uniform(key, 2 * a + 1, -0.2, 0.2)};
  }
  const double unscaled = corner_displacement(warp, axes, size);
  if (!(unscaled > 1e-9))
    throw DataError("gradient-nonlinearity: the image is too small to be distorted");
  for (auto& of_axis : warp.coefficients)
    for (auto& c : of_axis) c *= corner_mm / unscaled;
  return warp;
}

bool acts(const Values& values) {
  return values.at("corner_mm") != 0;
}

/// The axes of a block [slice, lines, readout] and those of the image.
struct Grid {
  std::array<std::size_t, 3> stored;  // stored axis of each axis of the block
  std::array<std::int64_t, 3> size;   // of the whole image, in the block's order
  std::vector<std::size_t> warped;    // stored axes along which voxels move

  bool is_warped(std::size_t axis) const {
    return std::find(warped.begin(), warped.end(), axis) != warped.end();
  }
};

Grid grid_of(const Context& context) {
  const auto& roles = context.roles;
  Grid grid;
  grid.stored = {static_cast<std::size_t>(roles.slice),
                 static_cast<std::size_t>(roles.phase_encode),
                 static_cast<std::size_t>(roles.readout)};
  grid.size = {context.slices(), context.lines(), context.readout()};
  grid.warped = {grid.stored[1], grid.stored[2]};
  if (context.is_3d()) grid.warped.push_back(grid.stored[0]);
  return grid;
}

/// One slice of the image from the block as it was.
void warp_slice(const Warp& warp, const Grid& grid, const Block& source, std::int64_t slice,
                float* re, float* im) {
  for (std::int64_t i = 0; i < source.plane_size(); ++i) {
    const std::array<std::int64_t, 3> index = {slice, i / source.readout(), i % source.readout()};
    Point x{};
    for (std::size_t a = 0; a < 3; ++a)
      x[grid.stored[a]] =
          static_cast<double>(index[a] - grid.size[a] / 2) * warp.spacing[grid.stored[a]];
    Point from{};  // in voxels of the block
    for (std::size_t a = 0; a < 3; ++a) {
      const auto axis = grid.stored[a];
      from[a] = static_cast<double>(a == 0 ? slice - source.first_slice : index[a]);
      if (grid.is_warped(axis))
        from[a] += warp.along(axis, x) / (warp.unit_mm * warp.spacing[axis]);
    }
    const double ratio = volume_ratio(warp, grid.warped, x);
    re[i] = static_cast<float>(ratio * interpolate(source.re, from));
    if (!source.is_real()) im[i] = static_cast<float>(ratio * interpolate(source.im, from));
  }
}

/// I'(x) = I(x + u(x)) |det(1 + du/dx)|: what the scanner shows at x stems from x + u(x), and from
/// more or less tissue. Voxel n / 2 of each axis lies in the isocentre. In 2-D within slices.
Drawn draw(const Context& context, const Values& values) {
  const auto grid = grid_of(context);
  const auto warp = draw_warp(context, grid.warped, values.at("corner_mm"));
  Drawn drawn;
  drawn.values.set("coefficients_mm", warp.coefficients)
      .set("unit_mm", warp.unit_mm)
      .set("bore_axis", warp.bore);
  drawn.apply = [warp, grid](Block& block, int threads) {
    const auto source = block;
    block.make_complex();  // cubic interpolation overshoots, below 0 too
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      warp_slice(warp, grid, source, slice, re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact gradient_nonlinearity() {
  return {
      {"gradient-nonlinearity",
       "Gradients that weaken away from the centre: barrel distortion, bright rim",
       "Janke et al. 2004, Magn Reson Med 52:115 (solid harmonics); Doran et al. 2005, Phys Med "
       "Biol 50:1343",
       Stage::field,
       {{"corner_mm",
         "mm",
         "displacement at the corner of the image",
         0,
         100,
         {1, 2, 4, 8, 15},
         0}},
       0,
       false},
      acts,
      draw,
      true};
}

}  // namespace mr::artifact
