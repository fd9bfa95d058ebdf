#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "artifact/coil/array.h"
#include "artifact/engine.h"
#include "artifact/reconstruction/aliasing.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

constexpr std::size_t most = 8;  // aliased voxels
using Number = std::complex<double>;
using Column = std::array<Number, most>;

/// Solves G x = b for a Hermitian G [n, n] of unit diagonal, in place, by Cholesky.
void solve(std::array<Column, most>& g, std::size_t n, Column& b) {
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      for (std::size_t k = 0; k < j; ++k) g[i][j] -= g[i][k] * std::conj(g[j][k]);
      g[i][j] /= g[j][j];
      g[i][i] -= std::norm(g[i][j]);
    }
    if (!(g[i][i].real() > 1e-10))
      throw DataError("g-factor: the coils see aliased voxels alike: they cannot be unfolded");
    g[i][i] = std::sqrt(g[i][i].real());
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= g[i][k] * b[k];
    b[i] /= g[i][i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= std::conj(g[k][i]) * b[k];
    b[i] /= g[i][i];
  }
}

/// Sensitivities and noise of one slice; coils follow each other at a distance of a plane.
struct Slice {
  const Array<std::complex<float>>& sensitivities;  // [coil, lines, readout]
  const std::vector<float>& noise;                  // [coil, part, step, readout]
  Aliasing rows;

  /// (S^H S)^-1 S^H n of the voxels that alias to row `first`, column x; a voxel that no coil sees
  /// takes no part.
  std::size_t unfold(std::int64_t first, std::int64_t x, std::array<std::int64_t, most>& places,
                     Column& noise_of) const;
};

std::size_t Slice::unfold(std::int64_t first, std::int64_t x,
                          std::array<std::int64_t, most>& places, Column& noise_of) const {
  const auto coils = sensitivities.shape(0), columns = sensitivities.shape(2);
  const auto plane = sensitivities.shape(1) * columns, folded = rows.step() * columns;
  std::size_t n = 0;
  for (std::int64_t m = 0; m < rows.partners(first); ++m) {
    const auto at = (first + m * rows.step()) * columns + x;
    double power = 0;
    for (std::int64_t c = 0; c < coils; ++c)
      power += static_cast<double>(std::norm(sensitivities[c * plane + at]));
    if (power > 0.5) places[n++] = at;  // 1, or 0
  }
  std::array<Column, most> gram{};
  for (std::int64_t c = 0; c < coils; ++c) {
    const auto at = static_cast<std::size_t>(2 * c * folded + first * columns + x);
    const Number noise_here(static_cast<double>(noise[at]),
                            static_cast<double>(noise[at + static_cast<std::size_t>(folded)]));
    Column seen{};
    for (std::size_t i = 0; i < n; ++i) seen[i] = Number(sensitivities[c * plane + places[i]]);
    for (std::size_t i = 0; i < n; ++i) {
      noise_of[i] += std::conj(seen[i]) * noise_here;
      for (std::size_t j = 0; j <= i; ++j) gram[i][j] += std::conj(seen[i]) * seen[j];
    }
  }
  solve(gram, n, noise_of);
  return n;
}

void add_noise(const CoilArray& array, RandomKey key, const Aliasing& rows, double sigma,
               std::int64_t slice, std::int64_t columns, float* re, float* im) {
  const auto s = array.sensitivities(slice);
  std::vector<float> noise(static_cast<std::size_t>(2 * array.size() * rows.step() * columns));
  fill_normal(sub_key(key, static_cast<std::uint64_t>(slice)), 0, noise.data(), noise.size());
  const Slice one{s, noise, rows};
  std::array<std::int64_t, most> places{};
  for (std::int64_t y = 0; y < rows.step(); ++y)
    for (std::int64_t x = 0; x < columns; ++x) {
      Column unfolded{};
      const auto n = one.unfold(y, x, places, unfolded);
      for (std::size_t i = 0; i < n; ++i) {
        re[places[i]] += static_cast<float>(sigma * unfolded[i].real());
        im[places[i]] += static_cast<float>(sigma * unfolded[i].imag());
      }
    }
}

bool acts(const Values& values) {
  return std::isfinite(values.at("snr"));
}

/// SENSE with the right sensitivities gives the image back, and with it the unfolded noise of the
/// coils' aliased images: sigma sqrt(R) g, which aliased voxels share. The array is scaled voxel by
/// voxel, so that R = 1 has the noise sigma everywhere, and the sum of R voxels has sqrt(R) of it.
Drawn draw(const Context& context, const Values& values) {
  refuse_coil_frames(context, "g-factor");
  const CoilArray array(context, values.at("coils"), "g-factor");
  const auto rows = aliasing(context.lines(), values.at("acceleration"));
  if (array.size() < std::min(rows.acceleration, rows.rows))
    throw DataError("g-factor: want at least " + std::to_string(rows.acceleration) +
                    " coils for that acceleration, got " + std::to_string(array.size()));
  const double sigma = context.facts.signal / values.at("snr");
  Drawn drawn;
  drawn.values = array.record();
  drawn.values.set("sigma", sigma);
  drawn.values.set("acceleration", rows.acceleration);
  drawn.apply = [array, rows, key = context.frame_stream("noise"),
                 folded = sigma * std::sqrt(static_cast<double>(rows.acceleration))](Block& block,
                                                                                     int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      add_noise(array, key, rows, folded, slice, block.readout(), re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact g_factor() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {{"g-factor",
           "Noise of parallel imaging (SENSE), larger where coils cannot tell aliased voxels apart",
           "Pruessmann et al. 1999, Magn Reson Med 42:952, eq. 23",
           Stage::reconstruction,
           {{"snr",
             "1",
             "mean of the foreground / noise per component of the scan without acceleration",
             0.1,
             infinity,
             {40, 30, 30, 22, 22},
             infinity},
            {"acceleration", "1", "R, rounded to a whole number", 1, 8, {2, 2, 3, 3, 4}, 1},
            {"coils",
             "1",
             "whole number of loops where no map of coils is given",
             1,
             64,
             {8, 8, 8, 8, 8},
             8}},
           0,
           false},
          acts,
          draw,
          false,
          {},
          false,
          {Map::coils}};
}

}  // namespace mr::artifact
