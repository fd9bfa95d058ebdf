#include <algorithm>
#include <cmath>

#include "artifact/coil/array.h"
#include "artifact/engine.h"
#include "artifact/reconstruction/aliasing.h"
#include "artifact/reconstruction/unfolding.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

using Sensitivities = Array<std::complex<float>>;  // [coil, lines, readout]

/// Sensitivities as of an object that lay `shift` lines further when they were measured: between
/// lines interpolated linearly, beyond the edge those of the edge; scaled again to a root of the
/// sum of squares of 1.
Sensitivities shifted(const Sensitivities& s, double shift) {
  const auto coils = s.shape(0), lines = s.shape(1), n = s.shape(2);
  Sensitivities out(s.shape());
  for (std::int64_t line = 0; line < lines; ++line) {
    const double place =
        std::clamp(static_cast<double>(line) - shift, 0.0, static_cast<double>(lines - 1));
    const auto first = static_cast<std::int64_t>(place);
    const auto second = std::min(first + 1, lines - 1);
    const auto part = static_cast<float>(place - static_cast<double>(first));
    for (std::int64_t x = 0; x < n; ++x) {
      float power = 0;
      const auto at = [&](std::int64_t c, std::int64_t y) { return (c * lines + y) * n + x; };
      for (std::int64_t c = 0; c < coils; ++c) {
        out[at(c, line)] = (1 - part) * s[at(c, first)] + part * s[at(c, second)];
        power += std::norm(out[at(c, line)]);
      }
      const float scale = power > 0 ? 1 / std::sqrt(power) : 0;
      for (std::int64_t c = 0; c < coils; ++c) out[at(c, line)] *= scale;
    }
  }
  return out;
}

/// What each coil measures of the aliased rows, [coil, step, readout].
Sensitivities fold(const Sensitivities& s, const Aliasing& rows, const float* re, const float* im) {
  const auto coils = s.shape(0), n = s.shape(2);
  Sensitivities folded({coils, rows.step(), n});
  for (std::int64_t c = 0; c < coils; ++c)
    for (std::int64_t y = 0; y < rows.rows; ++y) {
      const auto* sees = s.data() + (c * rows.rows + y) * n;
      auto* to = folded.data() + (c * rows.step() + y % rows.step()) * n;
      for (std::int64_t x = 0; x < n; ++x)
        to[x] += sees[x] * std::complex<float>(re[y * n + x], im[y * n + x]);
    }
  return folded;
}

const float* pairs(const Sensitivities& s, std::int64_t at) {
  return reinterpret_cast<const float*>(s.data() + at);
}

/// Unfolds what the coils measured with other sensitivities than theirs.
void unfold(const Sensitivities& truth, double shift, const Aliasing& rows, float* re, float* im) {
  const auto measured = fold(truth, rows, re, im);
  const auto believed = shifted(truth, shift);
  const auto coils = truth.shape(0), columns = truth.shape(2);
  Equations equations;
  for (std::int64_t y = 0; y < rows.step(); ++y)
    for (std::int64_t x = 0; x < columns; x += unfolded_columns) {
      const auto count = std::min(unfolded_columns, columns - x);
      const auto n = static_cast<std::size_t>(rows.partners(y));
      equations.clear(n);
      std::array<Numbers, most_aliased> sees;
      Numbers own;
      for (std::int64_t c = 0; c < coils; ++c) {
        for (std::size_t i = 0; i < n; ++i) {
          const auto row = y + static_cast<std::int64_t>(i) * rows.step();
          load_pairs(pairs(believed, (c * rows.rows + row) * columns + x), count, sees[i]);
        }
        load_pairs(pairs(measured, (c * rows.step() + y) * columns + x), count, own);
        add_coil(sees, own, n, equations);
      }
      if (!solve(n, equations))
        throw DataError("sense-maps: the coils see aliased voxels alike: they cannot be unfolded");
      for (std::size_t i = 0; i < n; ++i) {
        const auto at = (y + static_cast<std::int64_t>(i) * rows.step()) * columns + x;
        for (std::int64_t l = 0; l < count; ++l) {
          re[at + l] = static_cast<float>(equations.b[i].re[static_cast<std::size_t>(l)]);
          im[at + l] = static_cast<float>(equations.b[i].im[static_cast<std::size_t>(l)]);
        }
      }
    }
}

bool acts(const Values& values) {
  return values.at("shift_px") != 0 && std::lround(values.at("acceleration")) > 1;
}

/// Every R-th line is measured by coils of sensitivities S, and unfolded with S of an object that
/// lay elsewhere: what the calibration scan saw before the patient moved. (S'^H S')^-1 S'^H of the
/// aliased coil images: with S' = S the image itself.
Drawn draw(const Context& context, const Values& values) {
  refuse_coil_frames(context, "sense-maps");
  const CoilArray array(context, values.at("coils"), "sense-maps");
  const auto rows = aliasing(context.lines(), values.at("acceleration"));
  if (array.size() < std::min(rows.acceleration, rows.rows))
    throw DataError("sense-maps: want at least " + std::to_string(rows.acceleration) +
                    " coils for that acceleration, got " + std::to_string(array.size()));
  const double shift = values.at("shift_px") * (uniform(context.stream("side"), 0) < 0.5 ? -1 : 1);
  Drawn drawn;
  drawn.values = array.record();
  drawn.values.set("shift_px", shift).set("acceleration", rows.acceleration);
  drawn.apply = [array, rows, shift](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      unfold(array.sensitivities(slice), shift, rows, re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact sense_maps() {
  return {
      {"sense-maps",
       "Parallel imaging (SENSE) with sensitivities of before the patient moved: residual copies",
       "Pruessmann et al. 1999, Magn Reson Med 42:952, eq. 3",
       Stage::reconstruction,
       {{"shift_px",
         "voxel",
         "of the object along phase encoding since its sensitivities were measured",
         0,
         100,
         {2, 4, 6, 8, 12},
         0},
        {"acceleration", "1", "R, rounded to a whole number", 1, 8, {2, 2, 2, 2, 2}, 2},
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
