#include <algorithm>
#include <cmath>
#include <optional>

#include "artifact/elementary.h"
#include "artifact/field/main_field.h"
#include "base/error.h"
#include "base/simd.h"

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
    const auto [zz, rr] = squares(x);
    const auto f = factor(axis);
    return x[axis] * (zz * (f.z + f.zz * zz + f.zr * rr) + rr * (f.r + f.rr * rr));
  }

  /// along(axis) / x[axis] as a polynomial in z^2, z along the bore, and r^2, r from its axis.
  struct Factor {
    double z, r, zz, zr, rr;
  };
  Factor factor(std::size_t axis) const {
    const auto [third, fifth] = coefficients[axis];
    if (axis == bore) return {2 * third, -3 * third, 8 * fifth, -40 * fifth, 15 * fifth};
    return {4 * third, -third, 8 * fifth, -12 * fifth, fifth};
  }

 private:
  struct Squares {
    double zz, rr;  // along the bore, and from its axis
  };
  Squares squares(const Point& x) const {
    const double a = x[(bore + 1) % 3], b = x[(bore + 2) % 3];
    return {x[bore] * x[bore], a * a + b * b};
  }
};

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

/// What an image is sampled from: its voxels amid zeros, so that all taps of a voxel within
/// [-3, n + 1] exist. In 2-D there is no margin between slices.
class Padded {
 public:
  static constexpr std::int64_t margin = 4;

  Padded(const Array<float>& image, bool volumetric)
      : outside_slices_(volumetric ? margin : 0),
        values_({image.shape(0) + 2 * outside_slices_, image.shape(1) + 2 * margin,
                 image.shape(2) + 2 * margin}) {
    const auto* from = image.data();
    for (std::int64_t z = 0; z < image.shape(0); ++z)
      for (std::int64_t y = 0; y < image.shape(1); ++y, from += image.shape(2))
        std::copy_n(
            from, image.shape(2),
            values_.data() + (z + outside_slices_) * plane() + (y + margin) * row() + margin);
  }

  const float* data() const { return values_.data(); }
  std::int64_t row() const { return values_.shape(2); }
  std::int64_t plane() const { return values_.shape(1) * row(); }

 private:
  std::int64_t outside_slices_;
  Array<float> values_;
};

/// Where the voxels of a row stem from.
struct Sources {
  std::vector<std::int32_t> first;                 // tap, in a padded image
  std::array<std::vector<float>, 3> beyond_whole;  // fraction of a voxel, along the block's axes
  std::vector<float> ratio;                        // |det(1 + du/dx)|

  explicit Sources(std::int64_t n) : first(static_cast<std::size_t>(n)), ratio(first.size()) {
    beyond_whole.fill(ratio);
  }
};

/// A warp along the axes of a block [slice, lines, readout], in halves of the image's diagonal; 0
/// along axes that are not warped.
struct BlockWarp {
  struct Factor {
    float z, r, zz, zr, rr;
  };
  std::array<Factor, 3> factor{};
  std::array<float, 3> is_bore{}, spacing{};
  std::array<std::int64_t, 3> size{};  // of the image
  bool volumetric = false;

  float coordinate(std::size_t axis, std::int64_t index) const {
    return static_cast<float>(index - size[axis] / 2) * spacing[axis];
  }
};

/// Of one axis at a voxel: displacement / coordinate, and its derivatives by the squares of the
/// block's coordinates.
struct Slopes {
  float value, by0, by1, by2;
};

[[gnu::always_inline]] inline Slopes slopes(BlockWarp::Factor f, float bore0, float bore1,
                                            float bore2, float zz, float rr) {
  const float by_zz = f.z + 2 * f.zz * zz + f.zr * rr, by_rr = f.r + f.zr * zz + 2 * f.rr * rr;
  const float more = by_zz - by_rr;
  return {zz * (f.z + f.zz * zz + f.zr * rr) + rr * (f.r + f.rr * rr), by_rr + bore0 * more,
          by_rr + bore1 * more, by_rr + bore2 * more};
}

/// The voxel that a point lies beyond, and by what fraction. Far outside of the image all taps are
/// 0.
struct Place {
  float voxel, fraction;
};

[[gnu::always_inline]] inline Place place(float displacement, float index, float end) {
  const float whole = fast_floor(displacement), at = index + whole;
  const float low = at < -3 ? -3.0f : at, inside = low > end ? end : low;
  return {inside, (displacement - whole) * (inside == at ? 1.0f : 0.0f)};
}

/// Displacements of a row in voxels along each axis, and the volume that its voxels stem from.
MR_SIMD void displace_row(const BlockWarp& warp, float x0, float x1, std::int64_t n, float* along0,
                          float* along1, float* along2, float* ratio) {
  const float bore0 = warp.is_bore[0], bore1 = warp.is_bore[1], bore2 = warp.is_bore[2];
  const auto f0 = warp.factor[0], f1 = warp.factor[1], f2 = warp.factor[2];
  const float by0 = x0 / warp.spacing[0], by1 = x1 / warp.spacing[1], step = warp.spacing[2];
  const float zz_row = bore0 * x0 * x0 + bore1 * x1 * x1;
  const float rr_row = (1 - bore0) * x0 * x0 + (1 - bore1) * x1 * x1;
  const auto middle = static_cast<std::int32_t>(n / 2);
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(n); ++i) {
    const auto voxels = static_cast<float>(i - middle);
    const float x2 = voxels * step;
    const float zz = zz_row + bore2 * x2 * x2, rr = rr_row + (1 - bore2) * x2 * x2;
    const auto a = slopes(f0, bore0, bore1, bore2, zz, rr),
               b = slopes(f1, bore0, bore1, bore2, zz, rr),
               c = slopes(f2, bore0, bore1, bore2, zz, rr);
    along0[i] = by0 * a.value;
    along1[i] = by1 * b.value;
    along2[i] = voxels * c.value;
    const float t0 = 2 * x0, t1 = 2 * x1, t2 = 2 * x2;
    const float m00 = 1 + a.value + t0 * x0 * a.by0, m01 = t0 * x1 * a.by1, m02 = t0 * x2 * a.by2;
    const float m10 = t1 * x0 * b.by0, m11 = 1 + b.value + t1 * x1 * b.by1, m12 = t1 * x2 * b.by2;
    const float m20 = t2 * x0 * c.by0, m21 = t2 * x1 * c.by1, m22 = 1 + c.value + t2 * x2 * c.by2;
    ratio[i] = __builtin_fabsf(m00 * (m11 * m22 - m12 * m21) - m01 * (m10 * m22 - m12 * m20) +
                               m02 * (m10 * m21 - m11 * m20));
  }
}

/// Voxels of a row, of which the first lies at `cell` of the image that is sampled; from a padded
/// image with these distances between planes and rows.
struct Row {
  std::array<float, 3> cell, end;  // end: one beyond the last voxel, and one more
  std::int32_t plane, row, slice_margin;
};

/// Displacements become fractions of a voxel, and the first tap of each voxel.
MR_SIMD void find_taps(const Row& of, std::int64_t n, float* along0, float* along1, float* along2,
                       std::int32_t* first) {
  constexpr auto before = static_cast<std::int32_t>(Padded::margin) - 1;
  const auto [slice, line, column] = of.cell;
  const auto [slices_end, lines_end, columns_end] = of.end;
  const auto plane = of.plane, row = of.row;
  const auto corner = of.slice_margin * plane + before * row + before;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(n); ++i) {
    const auto z = place(along0[i], slice, slices_end), y = place(along1[i], line, lines_end);
    const auto x = place(along2[i], column + static_cast<float>(i), columns_end);
    along0[i] = z.fraction;
    along1[i] = y.fraction;
    along2[i] = x.fraction;
    first[i] = static_cast<std::int32_t>(z.voxel) * plane +
               static_cast<std::int32_t>(y.voxel) * row + static_cast<std::int32_t>(x.voxel) +
               corner;
  }
}

using Four = float __attribute__((vector_size(16), aligned(4), may_alias));

/// Weights of four neighbours of a point at t beyond the second: cubic convolution, a = -1/2 (Keys
/// 1981, IEEE Trans ASSP 29:1153).
[[gnu::always_inline]] inline Four weights(float t) {
  constexpr Four c0{0, 1, 0, 0}, c1{-0.5, 0, 0.5, 0}, c2{1, -2.5, 2, -0.5},
      c3{-0.5, 1.5, -1.5, 0.5};
  return c0 + t * (c1 + t * (c2 + t * c3));
}

/// Along the axis of slices one tap in 2-D, four in 3-D.
MR_SIMD void sample_row(const float* padded, std::int64_t plane, std::int64_t row, int planes,
                        const std::int32_t* first, const float* along0, const float* along1,
                        const float* along2, const float* ratio, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    const Four y = weights(along1[i]), z = planes == 1 ? Four{1} : weights(along0[i]);
    const float* tap = padded + first[i];
    Four sum{};
    for (int s = 0; s < planes; ++s, tap += plane) {
      const auto line = [&](int p) { return *reinterpret_cast<const Four*>(tap + p * row); };
      sum += z[s] * (y[0] * line(0) + y[1] * line(1) + y[2] * line(2) + y[3] * line(3));
    }
    const Four terms = sum * weights(along2[i]);
    out[i] = ratio[i] * ((terms[0] + terms[1]) + (terms[2] + terms[3]));
  }
}

/// One slice of the image from the block as it was; im may be null.
void warp_slice(const BlockWarp& warp, const Padded& from_re, const Padded* from_im,
                std::int64_t slice, std::int64_t first_slice, float* re, float* im) {
  const auto n = warp.size[2];
  const int planes = warp.volumetric ? 4 : 1;
  const auto plane = from_re.plane(), row = from_re.row();
  Row of{{static_cast<float>(slice - first_slice), 0, 0},
         {static_cast<float>(warp.size[0] + 1), static_cast<float>(warp.size[1] + 1),
          static_cast<float>(n + 1)},
         static_cast<std::int32_t>(plane),
         static_cast<std::int32_t>(row),
         warp.volumetric ? static_cast<std::int32_t>(Padded::margin) - 1 : 0};
  Sources from(n);
  auto& along = from.beyond_whole;
  for (std::int64_t y = 0; y < warp.size[1]; ++y) {
    displace_row(warp, warp.coordinate(0, slice), warp.coordinate(1, y), n, along[0].data(),
                 along[1].data(), along[2].data(), from.ratio.data());
    of.cell[1] = static_cast<float>(y);
    find_taps(of, n, along[0].data(), along[1].data(), along[2].data(), from.first.data());
    const auto sample = [&](const Padded& image, float* to) {
      sample_row(image.data(), plane, row, planes, from.first.data(), along[0].data(),
                 along[1].data(), along[2].data(), from.ratio.data(), n, to + y * n);
    };
    sample(from_re, re);
    if (from_im) sample(*from_im, im);
  }
}

BlockWarp block_warp(const Context& context, const Warp& warp) {
  const auto& roles = context.roles;
  const std::array<int, 3> stored = {roles.slice, roles.phase_encode, roles.readout};
  BlockWarp block;
  block.volumetric = context.is_3d();
  block.size = {context.slices(), context.lines(), context.readout()};
  for (std::size_t a = 0; a < 3; ++a) {
    const auto axis = static_cast<std::size_t>(stored[a]);
    block.is_bore[a] = axis == warp.bore ? 1.0f : 0.0f;
    block.spacing[a] = static_cast<float>(warp.spacing[axis]);
    if (a == 0 && !block.volumetric) continue;
    const auto f = warp.factor(axis);
    const auto scaled = [&](double term) { return static_cast<float>(term / warp.unit_mm); };
    block.factor[a] = {scaled(f.z), scaled(f.r), scaled(f.zz), scaled(f.zr), scaled(f.rr)};
  }
  return block;
}

/// I'(x) = I(x + u(x)) |det(1 + du/dx)|: what the scanner shows at x stems from x + u(x), and from
/// more or less tissue. Voxel n / 2 of each axis lies in the isocentre. In 2-D within slices.
Drawn draw(const Context& context, const Values& values) {
  const auto& roles = context.roles;
  std::vector<std::size_t> warped = {static_cast<std::size_t>(roles.phase_encode),
                                     static_cast<std::size_t>(roles.readout)};
  if (context.is_3d()) warped.push_back(static_cast<std::size_t>(roles.slice));
  const auto warp = draw_warp(context, warped, values.at("corner_mm"));
  Drawn drawn;
  drawn.values.set("coefficients_mm", warp.coefficients)
      .set("unit_mm", warp.unit_mm)
      .set("bore_axis", warp.bore);
  drawn.apply = [warp = block_warp(context, warp)](Block& block, int threads) {
    const Padded re_before(block.re, warp.volumetric);
    std::optional<Padded> im_before;
    if (!block.is_real()) im_before.emplace(block.im, warp.volumetric);
    block.make_complex();  // cubic interpolation overshoots, below 0 too
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      warp_slice(warp, re_before, im_before ? &*im_before : nullptr, slice, block.first_slice, re,
                 im);
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
