#include <algorithm>
#include <cmath>

#include "artifact/export/intensity.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

/// p0 + (p99.9 - p0) ((x - p0) / (p99.9 - p0))^gamma, times a gain.
struct Curve {
  double gamma, black, white, gain = 1;
  float operator()(float x) const {
    const double share = std::max(0.0, (static_cast<double>(x) - black) / (white - black));
    return static_cast<float>(gain * (black + (white - black) * std::pow(share, gamma)));
  }
};

bool acts(const Values& values) {
  return values.at("gamma") != 1;
}

/// Brightness as a display or a vendor's post-processing sets it; not physics of the scanner. The
/// curve alone changes the gain (1.4 at gamma 0.5), so by default the foreground's mean is kept.
Drawn draw(const Context& context, const Values& values) {
  auto all = clean_magnitudes(context, Where::everywhere);
  Curve curve{values.at("gamma"), static_cast<double>(*std::min_element(all.begin(), all.end())),
              context.facts.peak};
  if (!(curve.white > curve.black))
    throw DataError("gamma: want a 99.9th percentile above the darkest voxel, both are " +
                    std::to_string(curve.white));
  if (values.at("keep_mean") >= 0.5) {
    double before = 0, after = 0;
    for (const float x : clean_magnitudes(context, Where::foreground)) {
      before += static_cast<double>(x);
      after += static_cast<double>(curve(x));
    }
    curve.gain = before / after;
  }
  Drawn drawn;
  drawn.values.set("black", curve.black).set("white", curve.white).set("gain", curve.gain);
  drawn.apply = [curve, complex_image = context.volume.is_complex()](Block& block, int threads) {
    const auto n = block.plane_size();
    on_magnitude(block, complex_image, threads, [&](float* values_of_slice, std::int64_t) {
      std::transform(values_of_slice, values_of_slice + n, values_of_slice, curve);
    });
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
          false};
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
