#include <cmath>

#include "artifact/object/smooth_field.h"

namespace mr::artifact {
namespace {

/// Distance from a centre [mm], bent by a smooth field: its level sets are a ball with dents. The
/// bend is so weak that the distance still grows along every ray from the centre, for which its
/// inside is connected.
class BentDistance {
 public:
  BentDistance(const Context& context, RandomKey key, const std::array<std::int64_t, 3>& centre)
      : field_(context, key, 2), centre_(centre), readout_(context.readout()) {
    const auto& spacing = context.volume.spacing_mm;
    spacing_ = {spacing[static_cast<std::size_t>(context.roles.slice)],
                spacing[static_cast<std::size_t>(context.roles.phase_encode)],
                spacing[static_cast<std::size_t>(context.roles.readout)]};
  }

  void line(std::int64_t slice, std::int64_t line, double* out) const {
    field_.line(slice, line, out);
    const double z = static_cast<double>(slice - centre_[0]) * spacing_[0];
    const double y = static_cast<double>(line - centre_[1]) * spacing_[1];
    for (std::int64_t i = 0; i < readout_; ++i) {
      const double x = static_cast<double>(i - centre_[2]) * spacing_[2];
      out[i] = std::sqrt(x * x + y * y + z * z) * (1 + 0.15 * std::tanh(out[i]));
    }
  }
  Record cosines() const { return field_.record(); }

 private:
  SmoothField field_;
  std::array<std::int64_t, 3> centre_;
  std::int64_t readout_;
  std::array<double, 3> spacing_{};
};

/// A voxel of the object, uniformly.
std::array<std::int64_t, 3> pick(const Context& context, const std::vector<std::uint8_t>& object) {
  std::uint64_t inside = 0;
  for (const auto o : object) inside += o;
  auto left = below(context.stream("centre"), 0, inside);
  std::int64_t at = 0;
  for (; object[static_cast<std::size_t>(at)] == 0 || left-- > 0; ++at) {
  }
  const auto readout = context.readout(), plane = context.lines() * readout;
  return {at / plane, at % plane / readout, at % readout};
}

bool acts(const Values& values) {
  return values.at("area_percent") != 0;
}

/// The image is the water image of a Dixon scan; in one connected region it shows the fat image
/// instead, F = fat share x signal of pure fat, in phase with the water. Air, where both hold
/// noise, stays as it is.
Drawn draw(const Context& context, const Values& values) {
  const auto object = object_with_fat(context);
  const auto centre = pick(context, object);
  const BentDistance distance(context, context.stream("shape"), centre);
  const auto evaluate = [distance](std::int64_t slice, std::int64_t line, double* out) {
    distance.line(slice, line, out);
  };
  const double radius = object_quantile(context, object, values.at("area_percent") / 100, evaluate);
  const double fat_signal = values.at("fat_signal") * context.facts.signal;
  Drawn drawn;
  drawn.values.set("centre", centre)
      .set("cosines", distance.cosines())
      .set("radius_mm", radius)
      .set("fat_signal", fat_signal);
  drawn.apply = [fat_map = map_slices(context, Map::fat), object, evaluate, radius, fat_signal](
                    Block& block, int threads) {
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      const auto& fat = (*fat_map)[static_cast<std::size_t>(slice)];
      const auto* inside = object.data() + slice * block.plane_size();
      std::vector<double> d(static_cast<std::size_t>(block.readout()));
      for (std::int64_t line = 0, i = 0; line < block.lines(); ++line) {
        evaluate(slice, line, d.data());
        for (const double value : d) {
          if (inside[i] != 0 && value <= radius) {
            const auto along = phasor(re[i], im, i);
            const auto signal = static_cast<float>(fat_signal * static_cast<double>(fat[i]));
            re[i] = signal * along.re;
            if (im) im[i] = signal * along.im;
          }
          ++i;
        }
      }
    });
  };
  return drawn;
}

}  // namespace

Artifact dixon_swap() {
  return {{"dixon-swap",
           "Water and fat change places in one region of a Dixon water image",
           "Ma 2008, J Magn Reson Imaging 28:543 (Dixon techniques; phase ambiguity)",
           Stage::object,
           {{"area_percent",
             "%",
             "share of the object that shows the fat image",
             0,
             100,
             {5, 10, 20, 35, 60},
             0},
            {"fat_signal",
             "1",
             "signal of pure fat / mean of the foreground",
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
