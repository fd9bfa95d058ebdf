#include <cmath>

#include "artifact/object/smooth_field.h"

namespace mr::artifact {
namespace {

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
    for (std::int64_t x = 0; x < n; ++x) out[x] = std::fabs(out[x]);
  };
  const double limit =
      object_quantile(context, object, 1 - values.at("area_percent") / 100, off_resonance);
  // A tenth of the field's median: the edge of the failure is a blur, not a line.
  const double width = std::max(1e-9, 0.1 * object_quantile(context, object, 0.5, off_resonance));
  const double fat_signal = values.at("fat_signal") * context.facts.signal;
  Drawn drawn;
  drawn.values.set("cosines", field.record())
      .set("limit", limit)
      .set("width", width)
      .set("fat_signal", fat_signal);
  drawn.apply = [fat_map = map_slices(context, Map::fat), off_resonance, limit, width, fat_signal](
                    Block& block, int threads) {
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      const auto& fat = (*fat_map)[static_cast<std::size_t>(slice)];
      std::vector<double> b(static_cast<std::size_t>(block.readout()));
      for (std::int64_t line = 0, i = 0; line < block.lines(); ++line) {
        off_resonance(slice, line, b.data());
        for (const double value : b) {
          const double eta = 1 / (1 + std::exp(-(value - limit) / width));
          const auto added = static_cast<float>(eta * fat_signal * static_cast<double>(fat[i]));
          const auto along = phasor(re[i], im, i);
          re[i] += added * along.re;
          if (im) im[i] += added * along.im;
          ++i;
        }
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
