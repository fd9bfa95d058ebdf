#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "artifact/elementary.h"
#include "artifact/engine.h"
#include "artifact/rows.h"
#include "base/error.h"
#include "base/simd.h"
#include "base/threads.h"

namespace mr::artifact {
namespace {

constexpr std::size_t terms = 4;  // Legendre orders 0 .. 3 along an axis
using Line = std::array<double, terms>;
using Square = std::array<Line, terms>;
using Cube = std::array<Square, terms>;

/// Coordinate of a voxel along an axis of n: -1 at the first, 1 at the last.
double coordinate(std::int64_t index, std::int64_t n) {
  return n > 1 ? 2 * static_cast<double>(index) / static_cast<double>(n - 1) - 1 : 0;
}

std::vector<float> coordinates(std::int64_t n) {
  std::vector<float> all;
  for (std::int64_t i = 0; i < n; ++i) all.push_back(static_cast<float>(coordinate(i, n)));
  return all;
}

Line legendre(double u) {
  return {1, u, (3 * u * u - 1) / 2, (5 * u * u * u - 3 * u) / 2};
}

/// The logarithm of the bias: sum of c[a][b][c] P_a P_b P_c over the orders along three axes.
struct Field {
  Cube coefficients{};
  std::array<std::int64_t, 3> size{};

  /// The same field with its axes in another order.
  Field reordered(const std::array<int, 3>& axes) const {
    Field to;
    for (std::size_t a = 0; a < 3; ++a) to.size[a] = size[static_cast<std::size_t>(axes[a])];
    std::array<std::size_t, 3> from{};
    for (std::size_t a = 0; a < terms; ++a)
      for (std::size_t b = 0; b < terms; ++b)
        for (std::size_t c = 0; c < terms; ++c) {
          from[static_cast<std::size_t>(axes[0])] = a;
          from[static_cast<std::size_t>(axes[1])] = b;
          from[static_cast<std::size_t>(axes[2])] = c;
          to.coefficients[a][b][c] = coefficients[from[0]][from[1]][from[2]];
        }
    return to;
  }

  Square plane(std::int64_t index) const {
    const auto p = legendre(coordinate(index, size[0]));
    Square sum{};
    for (std::size_t a = 0; a < terms; ++a)
      for (std::size_t b = 0; a + b < terms; ++b)
        for (std::size_t c = 0; a + b + c < terms; ++c) sum[b][c] += p[a] * coefficients[a][b][c];
    return sum;
  }

  /// Coefficients of 1, u, u^2, u^3 along one row of a plane.
  std::array<float, terms> row(const Square& plane, std::int64_t index) const {
    const auto p = legendre(coordinate(index, size[1]));
    Line sum{};
    for (std::size_t b = 0; b < terms; ++b)
      for (std::size_t c = 0; b + c < terms; ++c) sum[c] += p[b] * plane[b][c];
    return {static_cast<float>(sum[0] - sum[2] / 2), static_cast<float>(sum[1] - 1.5 * sum[3]),
            static_cast<float>(1.5 * sum[2]), static_cast<float>(2.5 * sum[3])};
  }
};

MR_SIMD void evaluate(const float* c, const float* u, std::int64_t n, float* log_bias) {
  for (std::int64_t i = 0; i < n; ++i)
    log_bias[i] = c[0] + u[i] * (c[1] + u[i] * (c[2] + u[i] * c[3]));
}

MR_SIMD void exponentiate(std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) values[i] = fast_exp(values[i]);
}

using Sums = std::array<std::array<double, sum_lanes>, 3>;

/// {m, m v, m v^2} of whole lanes of voxels.
MR_SIMD void add_logarithms(const std::uint8_t* mask, const float* v, std::int64_t n, Sums& sums) {
  Sums s = sums;
  for (std::int64_t first = 0; first < n; first += sum_lanes)
    for (std::int64_t l = 0; l < sum_lanes; ++l) {
      const auto i = static_cast<std::size_t>(l);
      const double m = mask[first + l], value = m * static_cast<double>(v[first + l]);
      s[0][i] += m;
      s[1][i] += value;
      s[2][i] += value * value;
    }
  sums = s;
}

/// {m x, m x v} of whole lanes of voxels.
MR_SIMD void add_weighted(const std::uint8_t* mask, const float* v, const float* x, std::int64_t n,
                          Sums& sums) {
  Sums s = sums;
  for (std::int64_t first = 0; first < n; first += sum_lanes)
    for (std::int64_t l = 0; l < sum_lanes; ++l) {
      const auto i = static_cast<std::size_t>(l);
      const double value = mask[first + l] * static_cast<double>(x[first + l]);
      s[0][i] += value;
      s[1][i] += value * static_cast<double>(v[first + l]);
    }
  sums = s;
}

enum class Of { logarithm, bias };

/// Sums over the foreground of the field's logarithm {1, v, v^2}; or, of the bias, {x, v x} with
/// the image x as it was given.
std::array<double, 3> moments(const Field& field, const Context& context, Of what) {
  const auto stored = field.reordered({2, 1, 0});  // rows run along i
  const auto [nk, nj, ni] = stored.size;
  const auto n = whole_lanes(ni);
  auto u = coordinates(ni);
  u.resize(static_cast<std::size_t>(n));
  const auto& volume = context.volume;
  const auto of_plane = [&, nj = nj, ni = ni, nk = nk](std::int64_t k) {
    std::vector<float> row(u.size()), magnitude(u.size());
    PaddedRows<std::uint8_t> masks(ni);
    PaddedRows<float> values(ni);
    Sums sums{};
    const auto plane = stored.plane(k);
    for (std::int64_t j = 0; j < nj; ++j) {
      const auto first = ((context.frame * nk + k) * nj + j) * ni;
      const auto* mask = context.facts.foreground.data() + first;
      if (count_ones(mask, ni) == 0) continue;
      evaluate(stored.row(plane, j).data(), u.data(), n, row.data());
      if (what == Of::logarithm) {
        add_logarithms(masks(mask), row.data(), n, sums);
        continue;
      }
      exponentiate(n, row.data());
      const float* x = magnitude.data();
      if (volume.is_complex())
        for (std::int64_t i = 0; i < ni; ++i)
          magnitude[static_cast<std::size_t>(i)] = std::abs(volume.complex_voxels[first + i]);
      else
        x = values(volume.voxels.data() + first);
      add_weighted(masks(mask), row.data(), x, n, sums);
    }
    return sums;
  };
  std::array<double, 3> total{};
  for (const auto& sums : parallel_map(context.threads, nk, of_plane))
    for (std::size_t s = 0; s < total.size(); ++s)
      total[s] += std::accumulate(sums[s].begin(), sums[s].end(), 0.0);
  return total;
}

/// Standard deviation of the log-bias over the foreground.
double spread(const Field& field, const Context& context) {
  const auto [n, sum, squares] = moments(field, context, Of::logarithm);
  return n > 0 ? std::sqrt(std::max(0.0, squares / n - sum / n * sum / n)) : 0;
}

/// Mean of the bias over the foreground, weighted by the image.
double mean_bias(const Field& field, const Context& context) {
  const auto [image, weighted, unused] = moments(field, context, Of::bias);
  return weighted / image;
}

bool acts(const Values& values) {
  return values.at("log_std") != 0;
}

/// exp of a Legendre polynomial of orders 1 to 3, without a constant term, of given log standard
/// deviation over the foreground; normalised so that the foreground's sum stays. Both are facts of
/// the whole image, so that a slice alone gets its part of the volume's field.
Drawn draw(const Context& context, const Values& values) {
  const double log_std = values.at("log_std");
  Field field;  // along i, j, k
  for (std::size_t axis = 0; axis < 3; ++axis)
    field.size[axis] = context.volume.length(static_cast<int>(axis));
  const auto key = context.stream("coefficients");
  std::vector<std::array<std::size_t, 3>> orders;
  for (std::size_t i = 0; i < terms; ++i)
    for (std::size_t j = 0; i + j < terms; ++j)
      for (std::size_t k = 0; i + j + k < terms; ++k)
        if (i + j + k > 0) orders.push_back({i, j, k});
  for (std::size_t n = 0; n < orders.size(); ++n) {
    const auto [i, j, k] = orders[n];
    field.coefficients[i][j][k] = normal(key, n);
  }
  const double unscaled = spread(field, context);
  if (!(unscaled > 1e-6))
    throw DataError("bias: the foreground is too small for a field that varies");
  Drawn drawn;
  for (const auto& [i, j, k] : orders) {
    field.coefficients[i][j][k] *= log_std / unscaled;
    drawn.values.append("legendre", Record::list(i, j, k, field.coefficients[i][j][k]));
  }
  field.coefficients[0][0][0] = -std::log(mean_bias(field, context));
  drawn.values.set("log_offset", field.coefficients[0][0][0]);

  const auto& roles = context.roles;
  drawn.apply = [by_role = field.reordered({roles.slice, roles.phase_encode, roles.readout})](
                    Block& block, int threads) {
    const auto n = block.readout();
    const auto u = coordinates(n);
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      const auto plane = by_role.plane(slice);
      std::vector<float> row(u.size());
      for (std::int64_t line = 0; line < block.lines(); ++line) {
        evaluate(by_role.row(plane, line).data(), u.data(), n, row.data());
        exponentiate(n, row.data());
        multiply_row(row.data(), n, re + line * n);
        if (im) multiply_row(row.data(), n, im + line * n);
      }
    });
  };
  return drawn;
}

}  // namespace

Artifact bias() {
  return {{"bias",
           "Uneven sensitivity of the receive coil: smooth shading, the mean kept",
           "Van Leemput et al. 1999, IEEE Trans Med Imaging 18:885 (polynomial of the log field)",
           Stage::coil,
           {{"log_std",
             "1",
             "standard deviation of the field's logarithm over the foreground",
             0,
             2,
             {0.05, 0.1, 0.17, 0.25, 0.35},
             0}},
           0,
           true},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
