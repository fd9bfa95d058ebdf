#include <cmath>

#include "artifact/encoding/line_weights.h"
#include "artifact/encoding/rigid.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

bool acts(const Values& values) {
  return values.at("amplitude_mm") != 0;
}

/// A direction that is uniform over the sphere, in 2-D over the circle within the slice.
kspace::Vector3 draw_direction(const Context& context, RandomKey key) {
  Pose pose;
  for (std::size_t axis = 0; axis < 3; ++axis) pose.translation_mm[axis] = normal(key, axis);
  auto direction = within_encoding(context, pose).translation_mm;
  const double length = std::hypot(direction[0], direction[1], direction[2]);
  for (auto& component : direction) component /= length;
  return direction;
}

/// d(t) = a u sin(2 pi f t + phase) along a direction u, t the time of each line of each slice.
Drawn draw(const Context& context, const Values& values) {
  const auto key = context.stream("oscillation");
  const double rate_hz =
      values.at("rate_hz") + values.at("rate_spread_hz") * uniform(key, 0, -1, 1);
  const double phase = 2 * pi * uniform(key, 1);
  const auto direction = draw_direction(context, context.stream("direction"));
  Drawn drawn;
  drawn.values = times_record(context);
  drawn.values.set("rate_hz", rate_hz);
  drawn.values.set("phase_rad", phase);
  drawn.values.set("direction", direction);
  measure_translating(
      context,
      [&](std::int64_t slice, std::int64_t line) {
        const double t = 1e-3 * context.timing.time_ms(slice, line);
        auto d = direction;
        for (auto& component : d)
          component *= values.at("amplitude_mm") * std::sin(2 * pi * rate_hz * t + phase);
        return d;
      },
      drawn);
  return drawn;
}

}  // namespace

Artifact motion_tremor() {
  return {
      {"motion-tremor",
       "A patient who trembles at some hertz: each line at another place, haze and ghosts",
       "Deuschl et al. 1998, Mov Disord 13(S3):2 (rest tremor 4 to 6 Hz); Batchelor et al. 2005",
       Stage::encoding,
       {{"amplitude_mm", "mm", "amplitude of the oscillation", 0, 20, {0.1, 0.2, 0.4, 0.8, 1.5}, 0},
        {"rate_hz", "Hz", "mean of the tremor's rate that is drawn", 1, 15, {5, 5, 5, 5, 5}, 5},
        {"rate_spread_hz",
         "Hz",
         "the rate is drawn uniformly within this of its mean",
         0,
         1,
         {1, 1, 1, 1, 1},
         1}},
       2,
       false},
      acts,
      draw,
      true};
}

}  // namespace mr::artifact
