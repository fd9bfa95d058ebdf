#include <algorithm>

#include "artifact/elementary.h"
#include "artifact/object/smooth_field.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

MR_SIMD void take_absolute(std::int64_t n, double* values) {
  for (std::int64_t i = 0; i < n; ++i) values[i] = __builtin_fabs(values[i]);
}

/// fat_signal fat / (1 + exp(-(b - limit) / width)) along a line.
MR_SIMD void unsuppressed(const double* b, double limit, double width, const float* fat,
                          double fat_signal, std::int64_t n, float* signal) {
  const double per_width = 1 / width;
  const auto full = static_cast<float>(fat_signal);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto past = static_cast<float>((limit - b[i]) * per_width);
    signal[i] = full * fat[i] / (1 + fast_exp(past));
  }
}

bool acts(const Values& values) {
  return values.at("area_percent") != 0;
}

/// I + eta F: fat shines where the main field is off by more than the width of the saturation
/// pulse's band. The field is a drawn smooth function b, since the map of the field would have to
/// be that of the day; eta = 1 / (1 + exp(-(|b| - limit) / width)), the limit such that eta exceeds
/// 1/2 in the stated share of the object. Fat is in phase with the water, as in a spin echo.
Drawn draw(const Context& context, const Values& values) {
  const SmoothField field(context, context.stream("field"), 3);
  const auto object = object_with_fat(context);
  const auto off_resonance = [field, n = context.readout()](std::int64_t slice, std::int64_t line,
                                                            double* out) {
    field.line(slice, line, out);
    take_absolute(n, out);
  };
  const auto quantiles =
      object_quantiles(context, object, {1 - values.at("area_percent") / 100, 0.5}, off_resonance);
  const double limit = quantiles[0];
  // A tenth of the field's median: the edge of the failure is a blur, not a line.
  const double width = std::max(1e-9, 0.1 * quantiles[1]);
  const double fat_signal = values.at("fat_signal") * context.facts.signal;
  Drawn drawn;
  drawn.values.set("cosines", field.record())
      .set("limit", limit)
      .set("width", width)
      .set("fat_signal", fat_signal);
  drawn.apply = [fat_map = map_slices(context, Map::fat), off_resonance, limit, width, fat_signal](
                    Block& block, int threads) {
    const auto n = block.readout();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      std::vector<double> b(static_cast<std::size_t>(n));
      std::vector<float> signal(b.size()), copy;
      for (std::int64_t line = 0; line < block.lines(); ++line) {
        const auto at = line * n;
        off_resonance(slice, line, b.data());
        unsuppressed(b.data(), limit, width, fat_map.line(slice, line, copy), fat_signal, n,
                     signal.data());
        add_in_phase(signal.data(), n, re + at, im ? im + at : nullptr);
      }
    });
  };
  return drawn;
}

}  // namespace

Artifact fat_sat_failure() {
  return {{"fat-sat-failure",
           "Fat suppression fails where the field is off: patches of bright fat",
           "Bley et al. 2010, J Magn Reson Imaging 31:4 (fat suppression and its failures)",
           Stage::object,
           {{"area_percent",
             "%",
             "share of the object where more than half of the fat's signal is back",
             0,
             100,
             {5, 10, 20, 35, 60},
             0},
            {"fat_signal",
             "1",
             "signal of pure fat without suppression / mean of the foreground",
             0,
             20,
             {1.5, 1.5, 1.5, 1.5, 1.5},
             1.5}},
           0,
           false},
          acts,
          draw,
          false,
          {Map::fat}};
}

}  // namespace mr::artifact
