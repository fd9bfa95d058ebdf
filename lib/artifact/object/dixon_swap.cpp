#include <algorithm>
#include <memory>

#include "artifact/elementary.h"
#include "artifact/object/smooth_field.h"
#include "artifact/rows.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

/// sqrt(x^2 + yz^2) (1 + 0.15 tanh(field)) along a line.
MR_SIMD void bend(double yz2, std::int32_t centre, double spacing, std::int32_t n, double* field) {
  for (std::int32_t i = 0; i < n; ++i) {
    const double x = static_cast<double>(i - centre) * spacing;
    const float tanh = 1 - 2 / (fast_exp(2 * static_cast<float>(field[i])) + 1);
    field[i] = __builtin_sqrt(x * x + yz2) * (1 + 0.15 * static_cast<double>(tanh));
  }
}

/// Of a line: what of the object lies within the radius, and the signal that fat has.
MR_SIMD void choose(const double* distance, double radius, const float* fat, double fat_signal,
                    std::int64_t n, std::uint8_t* object, float* signal) {
  for (std::int64_t i = 0; i < n; ++i) {
    object[i] &= static_cast<std::uint8_t>(distance[i] <= radius);
    signal[i] = static_cast<float>(fat_signal * static_cast<double>(fat[i]));
  }
}

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
    bend(y * y + z * z, static_cast<std::int32_t>(centre_[2]), spacing_[2],
         static_cast<std::int32_t>(readout_), out);
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
  const auto readout = context.readout(), lines = context.lines();
  const Ones inside(object.data(), static_cast<std::int64_t>(object.size()));
  const auto at = inside.at(static_cast<std::int64_t>(
      below(context.stream("centre"), 0, static_cast<std::uint64_t>(inside.count()))));
  return {at / readout / lines, at / readout % lines, at % readout};
}

bool acts(const Values& values) {
  return values.at("area_percent") != 0;
}

/// The image is the water image of a Dixon scan; in one connected region it shows the fat image
/// instead, F = fat share x signal of pure fat, in phase with the water. Air, where both hold
/// noise, stays as it is.
Drawn draw(const Context& context, const Values& values) {
  const auto object = std::make_shared<const std::vector<std::uint8_t>>(object_with_fat(context));
  const auto centre = pick(context, *object);
  const BentDistance distance(context, context.stream("shape"), centre);
  const auto evaluate = [distance](std::int64_t slice, std::int64_t line, double* out) {
    distance.line(slice, line, out);
  };
  const double radius =
      object_quantiles(context, *object, {values.at("area_percent") / 100}, evaluate)[0];
  const double fat_signal = values.at("fat_signal") * context.facts.signal;
  Drawn drawn;
  drawn.values.set("centre", centre)
      .set("cosines", distance.cosines())
      .set("radius_mm", radius)
      .set("fat_signal", fat_signal);
  drawn.apply = [fat_map = map_slices(context, Map::fat), object, evaluate, radius, fat_signal](
                    Block& block, int threads) {
    const auto n = block.readout();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      std::vector<double> distances(static_cast<std::size_t>(n));
      std::vector<float> signal(distances.size()), copy;
      std::vector<std::uint8_t> swapped(distances.size());
      for (std::int64_t line = 0; line < block.lines(); ++line) {
        const auto at = line * n;
        const auto* inside = object->data() + slice * block.plane_size() + at;
        if (count_ones(inside, n) == 0) continue;
        std::copy_n(inside, n, swapped.begin());
        evaluate(slice, line, distances.data());
        choose(distances.data(), radius, fat_map.line(slice, line, copy), fat_signal, n,
               swapped.data(), signal.data());
        replace_in_phase(swapped.data(), signal.data(), n, re + at, im ? im + at : nullptr);
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
