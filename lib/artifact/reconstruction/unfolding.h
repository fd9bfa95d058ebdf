// Aliased voxels told apart by what several coils see of each: the equations of SENSE, sixteen
// columns of voxels side by side.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

namespace mr::artifact {

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

}  // namespace mr::artifact
