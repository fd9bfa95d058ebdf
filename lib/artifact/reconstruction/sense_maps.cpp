#include <algorithm>
#include <cmath>

#include "artifact/coil/array.h"
#include "artifact/engine.h"
#include "artifact/reconstruction/unfolding.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

using Sensitivities = Array<std::complex<float>>;  // [coil, lines, readout]

const float* pairs(const Sensitivities& s, std::int64_t at) {
  return reinterpret_cast<const float*>(s.data() + at);
}
float* pairs(Sensitivities& s, std::int64_t at) {
  return reinterpret_cast<float*>(s.data() + at);
}

/// out = (1 - part) a + part b
MR_SIMD void mix(float part, const float* a, const float* b, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = (1 - part) * a[i] + part * b[i];
}

/// to += sees (re + i im)
MR_SIMD void add_seen(const float* sees, const float* re, const float* im, std::int64_t n,
                      float* to) {
  for (std::int64_t i = 0; i < n; ++i) {
    to[2 * i] += sees[2 * i] * re[i] - sees[2 * i + 1] * im[i];
    to[2 * i + 1] += sees[2 * i] * im[i] + sees[2 * i + 1] * re[i];
  }
}

MR_SIMD void take(const Numbers& from, std::int64_t n, float* re, float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    re[i] = static_cast<float>(from.re[static_cast<std::size_t>(i)]);
    im[i] = static_cast<float>(from.im[static_cast<std::size_t>(i)]);
  }
}

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
    for (std::int64_t c = 0; c < coils; ++c)
      mix(part, pairs(s, (c * lines + first) * n), pairs(s, (c * lines + second) * n), 2 * n,
          pairs(out, (c * lines + line) * n));
  }
  normalise(out);
  return out;
}

/// What each coil measures of the aliased rows, [coil, step, readout].
Sensitivities fold(const Sensitivities& s, const Aliasing& rows, const float* re, const float* im) {
  const auto coils = s.shape(0), n = s.shape(2);
  Sensitivities folded({coils, rows.step(), n});
  for (std::int64_t c = 0; c < coils; ++c)
    for (std::int64_t y = 0; y < rows.rows; ++y)
      add_seen(pairs(s, (c * rows.rows + y) * n), re + y * n, im + y * n, n,
               pairs(folded, (c * rows.step() + y % rows.step()) * n));
  return folded;
}

/// Unfolds what the coils measured with other sensitivities than theirs.
void unfold_wrongly(const Sensitivities& truth, double shift, const Aliasing& rows, float* re,
                    float* im) {
  const auto measured = fold(truth, rows, re, im);
  const auto columns = truth.shape(2);
  unfold(
      shifted(truth, shift), rows, "sense-maps",
      [&](std::int64_t coil, std::int64_t row, std::int64_t x, std::int64_t count, Numbers& to) {
        load_pairs(pairs(measured, (coil * rows.step() + row) * columns + x), count, to);
      },
      [&](std::int64_t at, std::int64_t count, const Numbers& voxels) {
        take(voxels, count, re + at, im + at);
      });
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
  const auto rows = aliasing_of(context, values, array, "sense-maps");
  const double shift = values.at("shift_px") * (uniform(context.stream("side"), 0) < 0.5 ? -1 : 1);
  Drawn drawn;
  drawn.values = array.record();
  drawn.values.set("shift_px", shift).set("acceleration", rows.acceleration);
  drawn.apply = [array, rows, shift](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      unfold_wrongly(array.sensitivities(slice), shift, rows, re, im);
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
        loops_parameter("where no map of coils is given")},
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
