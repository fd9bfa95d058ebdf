#include <cmath>

#include "artifact/engine.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

bool acts(const Values& values) {
  return values.at("modulation") != 0;
}

/// K(y) (1 + m cos(2 pi y / n + phase)), y counted from zero frequency: the image itself stays, and
/// copies m/2 exp(+-i phase) appear at +- N / n voxels. Not divided by the value at y = 0, which
/// would change the gain of the image.
Drawn draw(const Context& context, const Values& values) {
  const double modulation = values.at("modulation"), period = values.at("period_lines");
  const double phase = 2 * pi * uniform(context.stream("phase"), 0);
  const auto lines = context.lines();
  std::vector<std::complex<double>> weights;
  for (std::int64_t line = 0; line < lines; ++line)
    weights.emplace_back(
        1 + modulation * std::cos(2 * pi * static_cast<double>(line - lines / 2) / period + phase));
  Drawn drawn;
  drawn.values.set("phase_rad", phase);
  drawn.weights = AxisWeights{{}, std::move(weights), {}};
  return drawn;
}

}  // namespace

Artifact ghosting() {
  return {{"ghosting",
           "Periodic change of the signal between phase-encoding lines: copies along that axis",
           "Haacke and Patrick 1986, Magn Reson Imaging 4:359 (periodic motion)",
           Stage::encoding,
           {{"modulation",
             "1",
             "amplitude m of the lines' weights; each of two copies has m / 2",
             0,
             10,
             {0.05, 0.1, 0.2, 0.4, 0.6},
             0},
            {"period_lines",
             "1",
             "period n of the lines' weights; copies lie N / n voxels off",
             2,
             1000,
             {5, 5, 5, 5, 5},
             5}},
           2,
           true},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
