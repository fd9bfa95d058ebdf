#include <algorithm>
#include <array>
#include <cmath>

#include "artifact/engine.h"
#include "base/error.h"
#include "kspace/simd.h"

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

/// exp(x) to 2e-7 for |x| < 87: 2^k exp(r), |r| <= ln(2) / 2, Taylor to r^7. The multiple of ln 2
/// is taken off in two parts, the first of few bits.
inline float fast_exp(float x) {
  const float limited = x < -87.0f ? -87.0f : x > 87.0f ? 87.0f : x;
  const float scaled = limited * 1.44269504f;
  const auto k = static_cast<std::int32_t>(scaled + (scaled < 0 ? -0.5f : 0.5f));
  const auto whole = static_cast<float>(k);
  const float r = (limited - whole * 0.693359375f) + whole * 2.12194440e-4f;
  const float series =
      1.0f + r * (1.0f + r * (0.5f + r * (1.66666667e-1f +
                                          r * (4.16666667e-2f +
                                               r * (8.33333333e-3f +
                                                    r * (1.38888889e-3f + r * 1.98412698e-4f))))));
  const std::int32_t bits = (k + 127) * (1 << 23);
  float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return series * power;
}

MR_SIMD void evaluate(const float* c, const float* u, std::int64_t n, float* log_bias) {
  for (std::int64_t i = 0; i < n; ++i)
    log_bias[i] = c[0] + u[i] * (c[1] + u[i] * (c[2] + u[i] * c[3]));
}

MR_SIMD void exponentiate(std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) values[i] = fast_exp(values[i]);
}

MR_SIMD void multiply(const float* bias, std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) values[i] *= bias[i];
}

/// Calls body(row of the log-bias, index of its first voxel) for each stored row with foreground.
template <typename Body>
void for_foreground_rows(const Field& field, const Context& context, Body body) {
  const auto stored = field.reordered({2, 1, 0});  // rows run along i
  const auto [nk, nj, ni] = stored.size;
  const auto u = coordinates(ni);
  std::vector<float> row(u.size());
  for (std::int64_t k = 0; k < nk; ++k) {
    const auto plane = stored.plane(k);
    for (std::int64_t j = 0; j < nj; ++j) {
      const auto first = ((context.frame * nk + k) * nj + j) * ni;
      const auto* mask = context.facts.foreground.data() + first;
      if (std::none_of(mask, mask + ni, [](std::uint8_t m) { return m != 0; })) continue;
      evaluate(stored.row(plane, j).data(), u.data(), ni, row.data());
      body(row, first);
    }
  }
}

/// Standard deviation of the log-bias over the foreground.
double spread(const Field& field, const Context& context) {
  double n = 0, sum = 0, squares = 0;
  for_foreground_rows(field, context, [&](const std::vector<float>& row, std::int64_t first) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const double m = context.facts.foreground[first + static_cast<std::int64_t>(i)];
      const double value = m * static_cast<double>(row[i]);
      n += m;
      sum += value;
      squares += value * value;
    }
  });
  return n > 0 ? std::sqrt(std::max(0.0, squares / n - sum / n * sum / n)) : 0;
}

/// Mean of the bias over the foreground, weighted by the image as it was given.
double mean_bias(const Field& field, const Context& context) {
  const auto& volume = context.volume;
  double sum = 0, weighted = 0;
  for_foreground_rows(field, context, [&](std::vector<float>& row, std::int64_t first) {
    exponentiate(static_cast<std::int64_t>(row.size()), row.data());
    for (std::size_t i = 0; i < row.size(); ++i) {
      const auto at = first + static_cast<std::int64_t>(i);
      if (context.facts.foreground[at] == 0) continue;
      const auto x = static_cast<double>(volume.is_complex() ? std::abs(volume.complex_voxels[at])
                                                             : volume.voxels[at]);
      sum += x;
      weighted += x * static_cast<double>(row[i]);
    }
  });
  return weighted / sum;
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
    drawn.values["legendre"].push_back({i, j, k, field.coefficients[i][j][k]});
  }
  field.coefficients[0][0][0] = -std::log(mean_bias(field, context));
  drawn.values["log_offset"] = field.coefficients[0][0][0];

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
        multiply(row.data(), n, re + line * n);
        if (im) multiply(row.data(), n, im + line * n);
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
