#include <cmath>

#include "artifact/engine.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// Place of the frame in a series: 0 the first, 1 the last. A lone volume is the last of a series
/// whose first was in place.
double time_of(const Context& context) {
  const auto frames = context.series_frames;
  if (context.volume.acquisition.dim4 != "time" || frames < 2) return 1;
  return static_cast<double>(context.series_frame) / static_cast<double>(frames - 1);
}

bool acts(const Values& values) {
  return values.at("drift_px") != 0;
}

/// exp(-2 pi i k shift / n): as the main field drifts, echo-planar images wander along phase
/// encoding. The unpaired frequency of an even number of lines gets the mean of both its signs.
Drawn draw(const Context& context, const Values& values) {
  const double shift = values.at("drift_px") * time_of(context);
  Drawn drawn;
  drawn.values.set("shift_px", shift);
  if (shift == 0) {
    drawn.apply = [](Block&, int) {};
    return drawn;
  }
  const auto n = context.lines();
  AxisWeights weights;
  for (std::int64_t line = 0; line < n; ++line) {
    const auto turned = std::polar(
        1.0, -2 * pi * static_cast<double>(line - n / 2) * shift / static_cast<double>(n));
    weights.lines.push_back(n % 2 == 0 && line == 0 ? turned.real() : turned);
  }
  drawn.weights = std::move(weights);
  return drawn;
}

}  // namespace

Artifact b0_drift() {
  return {
      {"b0-drift",
       "Main field drifting as the gradients warm up: an echo-planar series wanders along phase "
       "encoding",
       "Foerster, Tomasi and Caparelli 2005, Magn Reson Med 54:1261",
       Stage::field,
       {{"drift_px",
         "voxel",
         "displacement of the last volume of the series",
         -100,
         100,
         {0.25, 0.5, 1, 2, 4},
         0}},
       2,
       false},
      acts,
      draw,
      false};
}

}  // namespace mr::artifact
