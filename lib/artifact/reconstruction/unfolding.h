// Aliased voxels told apart by what several coils see of each: the equations of SENSE, sixteen
// columns of voxels side by side.
#pragma once
#include <algorithm>
#include <array>
#include <complex>
#include <cstdint>
#include <string>

#include "artifact/coil/array.h"
#include "artifact/reconstruction/aliasing.h"
#include "base/error.h"

namespace mr::artifact {

/// throws DataError, named after the artifact, when there are fewer coils than aliased voxels
Aliasing aliasing_of(const Context& context, const Values& values, const CoilArray& array,
                     const std::string& artifact);

constexpr std::size_t most_aliased = 8;        // voxels
constexpr std::int64_t unfolded_columns = 16;  // side by side

/// Complex numbers of neighbouring columns.
struct Numbers {
  using Row = std::array<double, unfolded_columns>;
  alignas(64) Row re{}, im{};
};

/// What the coils tell of the voxels that alias to one row, column by column: G = S^H S, of which
/// the lower triangle is kept, and b = S^H m, m what they measured.
/// source Pruessmann et al. 1999, Magn Reson Med 42:952, eq. 3
struct Equations {
  std::array<std::array<Numbers, most_aliased>, most_aliased> g;
  std::array<Numbers, most_aliased> b;

  void clear(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      std::fill_n(g[i].begin(), i + 1, Numbers{});
      b[i] = {};
    }
  }
};

/// One coil, which sees[i] the i-th of n voxels and has measured their sum.
void add_coil(const std::array<Numbers, most_aliased>& sees, const Numbers& measured, std::size_t n,
              Equations& to);

/// Solves G x = b in place, by Cholesky; false where G is singular. Sensitivities are scaled to a
/// sum of squares of 1, or 0 where no coil sees a voxel: it becomes 0.
bool solve(std::size_t n, Equations& of);

/// Some columns of a row, parts side by side or apart; those beyond the end stay as they are.
void load_pairs(const float* pairs, std::int64_t columns, Numbers& to);
void load(const float* re, const float* im, std::int64_t columns, Numbers& to);

/// Unfolds a slice by sensitivities [coil, lines, readout]. load(coil, row, x, count, to) gives
/// what a coil measured of `count` columns from x on of an aliased row; take(at, count, numbers)
/// gets the voxels from `at` on. throws DataError, named after the artifact, where coils see
/// aliased voxels alike
template <typename Load, typename Take>
void unfold(const Array<std::complex<float>>& sensitivities, const Aliasing& rows,
            const std::string& artifact, const Load& load_measured, const Take& take) {
  const auto columns = sensitivities.shape(2), plane = sensitivities.shape(1) * columns;
  Equations equations;
  for (std::int64_t y = 0; y < rows.step(); ++y)
    for (std::int64_t x = 0; x < columns; x += unfolded_columns) {
      const auto count = std::min(unfolded_columns, columns - x);
      const auto n = static_cast<std::size_t>(rows.partners(y));
      const auto at = [&](std::size_t i) {
        return (y + static_cast<std::int64_t>(i) * rows.step()) * columns + x;
      };
      equations.clear(n);
      std::array<Numbers, most_aliased> sees;  // columns beyond the end stay 0 for all coils
      Numbers measured;
      for (std::int64_t c = 0; c < sensitivities.shape(0); ++c) {
        for (std::size_t i = 0; i < n; ++i)
          load_pairs(reinterpret_cast<const float*>(sensitivities.data() + c * plane + at(i)),
                     count, sees[i]);
        load_measured(c, y, x, count, measured);
        add_coil(sees, measured, n, equations);
      }
      if (!solve(n, equations))
        throw DataError(artifact + ": the coils see aliased voxels alike: they cannot be unfolded");
      for (std::size_t i = 0; i < n; ++i) take(at(i), count, equations.b[i]);
    }
}

}  // namespace mr::artifact
