#include "artifact/reconstruction/unfolding.h"

#include <cmath>

#include "base/simd.h"

namespace mr::artifact {
namespace {

// Inlined, so that they become code of the caller's vector width.

/// to += conj(x) y
[[gnu::always_inline]] inline void add_product(const Numbers& x, const Numbers& y, Numbers& to) {
  for (std::size_t l = 0; l < unfolded_columns; ++l) {
    to.re[l] += x.re[l] * y.re[l] + x.im[l] * y.im[l];
    to.im[l] += x.re[l] * y.im[l] - x.im[l] * y.re[l];
  }
}

/// to -= x conj(y)
[[gnu::always_inline]] inline void take_product(const Numbers& x, const Numbers& y, Numbers& to) {
  for (std::size_t l = 0; l < unfolded_columns; ++l) {
    to.re[l] -= x.re[l] * y.re[l] + x.im[l] * y.im[l];
    to.im[l] -= x.im[l] * y.re[l] - x.re[l] * y.im[l];
  }
}

/// to -= x y
[[gnu::always_inline]] inline void subtract(const Numbers& x, const Numbers& y, Numbers& to) {
  for (std::size_t l = 0; l < unfolded_columns; ++l) {
    to.re[l] -= x.re[l] * y.re[l] - x.im[l] * y.im[l];
    to.im[l] -= x.re[l] * y.im[l] + x.im[l] * y.re[l];
  }
}

/// to *= factor
[[gnu::always_inline]] inline void scale(const Numbers::Row& factor, Numbers& to) {
  for (std::size_t l = 0; l < unfolded_columns; ++l) {
    to.re[l] *= factor[l];
    to.im[l] *= factor[l];
  }
}

/// A voxel that no coil sees takes no part: its equation becomes x = 0. Seen ones have G_ii = 1.
MR_SIMD void leave_out_unseen(std::size_t n, Equations& of) {
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t l = 0; l < unfolded_columns; ++l)
      of.g[i][i].re[l] = of.g[i][i].re[l] > 0.5 ? of.g[i][i].re[l] : 1;
}

}  // namespace

Aliasing aliasing_of(const Context& context, const Values& values, const CoilArray& array,
                     const std::string& artifact) {
  const auto rows = aliasing(context.lines(), values.at("acceleration"));
  if (array.size() < std::min(rows.acceleration, rows.rows))
    throw DataError(artifact + ": want at least " + std::to_string(rows.acceleration) +
                    " coils for that acceleration, got " + std::to_string(array.size()));
  return rows;
}

MR_SIMD void add_coil(const std::array<Numbers, most_aliased>& sees, const Numbers& noise,
                      std::size_t n, Equations& to) {
  for (std::size_t i = 0; i < n; ++i) {
    add_product(sees[i], noise, to.b[i]);
    for (std::size_t j = 0; j <= i; ++j) add_product(sees[i], sees[j], to.g[i][j]);
  }
}

MR_SIMD bool solve(std::size_t n, Equations& of) {
  leave_out_unseen(n, of);
  auto& [g, b] = of;
  std::array<Numbers::Row, most_aliased> inverse;  // of the factor's diagonal
  Numbers::Row singular{};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      for (std::size_t k = 0; k < j; ++k) take_product(g[i][k], g[j][k], g[i][j]);
      scale(inverse[j], g[i][j]);
      take_product(g[i][j], g[i][j], g[i][i]);
    }
    for (std::size_t l = 0; l < unfolded_columns; ++l) {
      singular[l] += g[i][i].re[l] > 1e-10 ? 0.0 : 1.0;
      inverse[i][l] = 1 / std::sqrt(g[i][i].re[l]);
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) subtract(g[i][k], b[k], b[i]);
    scale(inverse[i], b[i]);
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) take_product(b[k], g[k][i], b[i]);
    scale(inverse[i], b[i]);
  }
  return std::all_of(singular.begin(), singular.end(), [](double times) { return times == 0; });
}

MR_SIMD void load_pairs(const float* pairs, std::int64_t columns, Numbers& to) {
  for (std::int64_t l = 0; l < columns; ++l) {
    to.re[static_cast<std::size_t>(l)] = static_cast<double>(pairs[2 * l]);
    to.im[static_cast<std::size_t>(l)] = static_cast<double>(pairs[2 * l + 1]);
  }
}

MR_SIMD void load(const float* re, const float* im, std::int64_t columns, Numbers& to) {
  for (std::int64_t l = 0; l < columns; ++l) {
    to.re[static_cast<std::size_t>(l)] = static_cast<double>(re[l]);
    to.im[static_cast<std::size_t>(l)] = static_cast<double>(im[l]);
  }
}

}  // namespace mr::artifact
