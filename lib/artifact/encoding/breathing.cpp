#include <cmath>

#include "artifact/encoding/line_weights.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

bool acts(const Values& values) {
  return values.at("peak_to_peak_mm") != 0;
}

/// Position in the breathing cycle, 0 at the end of expiration, where the chest rests longest.
/// source  Lujan et al. 1999, Med Phys 26:715, eq. 1 with n = 2: cos^4
double excursion(double phase_rad) {
  const double c = std::cos(phase_rad);
  return c * c * c * c;
}

/// The whole object moves along phase encoding by d(t) = a cos^4(pi f t + phase), t the time of
/// each line of each slice: K(y) exp(-2 pi i k d / (N dy)). Displacements count from that of the
/// slice's central line, so that the image does not wander as a whole. Ghosts lie N f TR voxels
/// off (modulo N), TR the time from line to line.
Drawn draw(const Context& context, const Values& values) {
  const auto key = context.stream("cycle");
  const double rate_hz =
      values.at("rate_hz") + values.at("rate_spread_hz") * uniform(key, 0, -1, 1);
  const double phase = pi * uniform(key, 1);
  const auto lines = context.lines();
  const double spacing =
      context.volume.spacing_mm[static_cast<std::size_t>(context.roles.phase_encode)];
  const double amplitude_voxels = values.at("peak_to_peak_mm") / spacing;
  const auto position = [&](std::int64_t slice, std::int64_t line) {
    const double t = 1e-3 * context.timing.time_ms(slice, line);
    return amplitude_voxels * excursion(pi * rate_hz * t + phase);
  };
  Drawn drawn;
  drawn.values = times_record(context);
  drawn.values.set("rate_hz", rate_hz);
  drawn.values.set("phase_rad", phase);
  weigh_lines(
      context,
      [&](std::int64_t slice, std::int64_t line) {
        const double d = position(slice, line) - position(slice, lines / 2);
        const auto k = static_cast<double>(line - lines / 2);
        return std::polar(1.0, -2 * pi * k * d / static_cast<double>(lines));
      },
      drawn);
  return drawn;
}

}  // namespace

Artifact breathing() {
  return {{"breathing",
           "The patient breathes through the scan: repeated edges along phase encoding",
           "Lujan et al. 1999, Med Phys 26:715, eq. 1; Wood and Henkelman 1985, Med Phys 12:143",
           Stage::encoding,
           {{"peak_to_peak_mm",
             "mm",
             "excursion of the whole object along phase encoding",
             0,
             40,
             {0.25, 0.5, 1, 2.5, 6},
             0},
            {"rate_hz",
             "Hz",
             "mean of the breathing rate that is drawn",
             0.15,
             1,
             {0.275, 0.275, 0.275, 0.275, 0.275},
             0.275},
            {"rate_spread_hz",
             "Hz",
             "the rate is drawn uniformly within this of its mean",
             0,
             0.1,
             {0.075, 0.075, 0.075, 0.075, 0.075},
             0.075}},
           2,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
