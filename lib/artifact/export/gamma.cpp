#include <algorithm>
#include <limits>

#include "artifact/elementary.h"
#include "artifact/export/intensity.h"
#include "base/error.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

/// p0 + (p99.9 - p0) ((x - p0) / (p99.9 - p0))^gamma, times a gain; the power to at most 2^60.
struct Curve {
  double gamma, black, white, gain = 1;
};

MR_SIMD void map(const Curve& curve, std::int64_t n, float* x) {
  const auto gamma = static_cast<float>(curve.gamma), black = static_cast<float>(curve.black);
  const auto per_range = static_cast<float>(1 / (curve.white - curve.black));
  const auto offset = static_cast<float>(curve.gain * curve.black);
  const auto range = static_cast<float>(curve.gain * (curve.white - curve.black));
  const float least = std::numeric_limits<float>::min();  // of which there is a fast logarithm
  for (std::int64_t i = 0; i < n; ++i) {
    const float share = (x[i] - black) * per_range;
    const float power = fast_exp(gamma * fast_log(__builtin_fabsf(share) + least));
    x[i] = offset + range * power * static_cast<float>(share > 0);
  }
}

/// That keeps the foreground's mean.
double gain(const Context& context, const Curve& curve) {
  struct Sums {
    double before = 0, after = 0;
  };
  const auto parts = scan_clean_magnitudes(context, Where::foreground, Sums{},
                                           [&](Sums& sums, float* x, std::int64_t n) {
                                             sums.before += sum_of(x, n);
                                             map(curve, n, x);
                                             sums.after += sum_of(x, n);
                                           });
  Sums all;
  for (const auto& part : parts) {
    all.before += part.before;
    all.after += part.after;
  }
  return all.before / all.after;
}

bool acts(const Values& values) {
  return values.at("gamma") != 1;
}

/// Brightness as a display or a vendor's post-processing sets it; not physics of the scanner. The
/// curve alone changes the gain (1.4 at gamma 0.5), so by default the foreground's mean is kept.
Drawn draw(const Context& context, const Values& values) {
  Curve curve{values.at("gamma"), context.facts.minimum, context.facts.peak};
  if (!(curve.white > curve.black))
    throw DataError("gamma: want a 99.9th percentile above the darkest voxel, both are " +
                    std::to_string(curve.white));
  if (values.at("keep_mean") >= 0.5) curve.gain = gain(context, curve);
  Drawn drawn;
  drawn.values.set("black", curve.black).set("white", curve.white).set("gain", curve.gain);
  drawn.apply = [curve, complex_image = context.volume.is_complex()](Block& block, int threads) {
    const auto n = block.plane_size();
    on_magnitude(block, complex_image, threads, [&](float* x, std::int64_t) { map(curve, n, x); });
  };
  return drawn;
}

Artifact row(const char* name, const char* summary, std::array<double, 5> levels) {
  return {{name,
           summary,
           "Gonzalez and Woods 2018, Digital Image Processing, 4th ed., section 3.2 (power law)",
           Stage::export_,
           {{"gamma", "1", "exponent of (x - darkest) / (99.9th percentile - darkest)", 0.1, 10,
             levels, 1},
            {"keep_mean",
             "1",
             "1: scaled so that the mean of the foreground stays; 0: not scaled",
             0,
             1,
             {1, 1, 1, 1, 1},
             1}},
           0,
           false},
          acts,
          draw,
          false,
          {},
          false,
          {},
          true};
}

}  // namespace

Artifact gamma() {
  return row("gamma", "Power law of intensity that lifts the dark: flat, grey contrast",
             {0.9, 0.8, 0.7, 0.6, 0.5});
}

Artifact gamma_dark() {
  return row("gamma-dark", "Power law of intensity that sinks the dark: hard contrast",
             {1.1, 1.25, 1.5, 1.9, 2.5});
}

}  // namespace mr::artifact
