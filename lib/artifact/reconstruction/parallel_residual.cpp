#include <algorithm>
#include <cmath>
#include <vector>

#include "artifact/engine.h"
#include "artifact/reconstruction/aliasing.h"
#include "artifact/rows.h"
#include "kspace/phase_ramp.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// Phase of a ghost over the image: linear, `lines` and `readout` from the middle to an edge.
struct Ghost {
  double phase_rad, lines_rad, readout_rad;
};

double coordinate(std::int64_t i, std::int64_t n) {
  return (static_cast<double>(i) - static_cast<double>(n - 1) / 2) / (static_cast<double>(n) / 2);
}

/// To each row, the rows that alias to it, their phase growing evenly along the readout.
void add_ghosts(const std::vector<Ghost>& ghosts, float strength, const Aliasing& rows,
                std::int64_t columns, float* re, float* im) {
  const std::vector<float> clean_re(re, re + rows.rows * columns),
      clean_im(im, im + rows.rows * columns);
  std::vector<float> ghost_re(static_cast<std::size_t>(columns)), ghost_im(ghost_re.size());
  const auto all = rows.step() * rows.acceleration;  // rows of the field of view
  for (std::size_t m = 0; m < ghosts.size(); ++m)
    for (std::int64_t y = 0; y < rows.rows; ++y) {
      const auto from = (y + all - static_cast<std::int64_t>(m + 1) * rows.step()) % all;
      if (from >= rows.rows) continue;
      const auto& g = ghosts[m];
      std::copy_n(clean_re.data() + from * columns, columns, ghost_re.data());
      std::copy_n(clean_im.data() + from * columns, columns, ghost_im.data());
      kspace::multiply_phase_ramp(g.phase_rad + g.lines_rad * coordinate(y, rows.rows) +
                                      g.readout_rad * coordinate(0, columns),
                                  2 * g.readout_rad / static_cast<double>(columns), columns,
                                  ghost_re.data(), ghost_im.data());
      add_scaled_row(strength, ghost_re.data(), columns, re + y * columns);
      add_scaled_row(strength, ghost_im.data(), columns, im + y * columns);
    }
}

bool acts(const Values& values) {
  return values.at("strength") != 0;
}

/// I + strength sum over m = 1 .. R - 1 of w_m(r) I(y - m N / R), |w_m| = 1: what is left of
/// aliased copies that were unfolded with sensitivities whose phases do not fit. The phases are
/// smooth, up to a quarter turn from middle to edge, and of the coils: all slices share them.
Drawn draw(const Context& context, const Values& values) {
  const auto rows = aliasing(context.lines(), values.at("acceleration"));
  const double strength = values.at("strength");
  const auto key = context.stream("phase");
  Drawn drawn;
  drawn.values.set("acceleration", rows.acceleration);
  drawn.values.set("ghosts", Record::list());
  std::vector<Ghost> ghosts;
  for (std::int64_t m = 1; m < rows.acceleration; ++m) {
    const auto i = static_cast<std::uint64_t>(3 * m);
    const Ghost g{uniform(key, i, 0, 2 * pi), uniform(key, i + 1, -pi / 2, pi / 2),
                  uniform(key, i + 2, -pi / 2, pi / 2)};
    drawn.values.append("ghosts", Record()
                                      .set("phase_rad", g.phase_rad)
                                      .set("lines_rad", g.lines_rad)
                                      .set("readout_rad", g.readout_rad));
    ghosts.push_back(g);
  }
  drawn.apply = [ghosts, strength, rows](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t) {
      add_ghosts(ghosts, static_cast<float>(strength), rows, block.readout(), re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact parallel_residual() {
  return {{"parallel-residual",
           "Parallel imaging unfolded with wrong sensitivities: faint copies at N / R voxels",
           "Pruessmann et al. 1999, Magn Reson Med 42:952 (residual aliasing)",
           Stage::reconstruction,
           {{"strength",
             "1",
             "modulus of each copy / the image",
             0,
             10,
             {0.03, 0.06, 0.12, 0.2, 0.3},
             0},
            {"acceleration",
             "1",
             "R, rounded to a whole number; there are R - 1 copies",
             2,
             8,
             {2, 2, 2, 2, 2},
             2}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
