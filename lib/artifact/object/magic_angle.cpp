#include <algorithm>
#include <cmath>

#include "artifact/export/intensity.h"
#include "artifact/object/contrast.h"
#include "artifact/rows.h"
#include "base/error.h"
#include "base/simd.h"
#include "base/threads.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;
const double magic_angle_deg = std::acos(1 / std::sqrt(3.0)) * 180 / pi;  // 54.74

/// T2 of collagen fibres without dipolar coupling [ms] (Fullerton, Cameron and Ord 1985, Radiology
/// 155:433: Achilles tendon, 22 ms at 55 degrees).
constexpr double isotropic_t2_ms = 22;

bool is_fibrous(Tissue tissue) {
  return tissue == Tissue::ligament || tissue == Tissue::meniscus;
}

/// Makes 0 what the mask, 0 or 1, leaves out.
MR_SIMD void mask_out(const std::uint8_t* mask, std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) values[i] *= static_cast<float>(mask[i]);
}

/// Mean of the image / mean of the model's signal, over the water tissues of the foreground.
double signal_unit(const Context& context, const PerTissue& model) {
  const auto& volume = context.volume;
  const auto& tissue = context.maps.at(Map::tissue).voxels;
  PerTissue is_water;
  for (std::size_t t = 0; t < is_water.size(); ++t)
    is_water[t] = properties(static_cast<Tissue>(t)).fat_fraction > 0.5 ? 0 : 1;
  const auto n = volume.length(0), plane = n * volume.length(1);
  struct Signals {
    double image = 0, modelled = 0;
  };
  const auto of_plane = [&](std::int64_t k) {
    std::vector<float> magnitude(static_cast<std::size_t>(n)), of_water(magnitude.size()),
        of_model(magnitude.size());
    Signals signals;
    for (std::int64_t row = k * plane; row < (k + 1) * plane; row += n) {
      const auto at = context.frame * tissue.size() + row;
      const auto* foreground = context.facts.foreground.data() + at;
      if (count_ones(foreground, n) == 0) continue;
      const float* values = magnitude.data();
      if (volume.is_complex())
        std::transform(volume.complex_voxels.data() + at, volume.complex_voxels.data() + at + n,
                       magnitude.begin(), [](const auto& z) { return std::abs(z); });
      else
        values = volume.voxels.data() + at;
      look_up(tissue.data() + row, is_water, n, of_water.data());
      look_up(tissue.data() + row, model, n, of_model.data());
      mask_out(foreground, n, of_water.data());
      multiply_row(of_water.data(), n, of_model.data());
      signals.modelled += sum_of(of_model.data(), n);
      multiply_row(values, n, of_water.data());
      signals.image += sum_of(of_water.data(), n);
    }
    return signals;
  };
  Signals all;
  for (const auto& one : parallel_map(context.threads, volume.length(2), of_plane)) {
    all.image += one.image;
    all.modelled += one.modelled;
  }
  if (!(all.modelled > 0))
    throw DataError("magic-angle: the tissue map has no water tissue in the image's foreground");
  return all.image / all.modelled;
}

bool acts(const Values& values) {
  return values.at("offset_deg") < magic_angle_deg;
}

/// Fibres at an angle to the main field have 1/T2 = 1/T2iso + D (3 cos^2 - 1)^2, D from the table's
/// T2, taken as that along the field. What they gain, PD (1 - exp(-TR/T1)) (exp(-TE/T2') -
/// exp(-TE/T2)), is added in the image's unit: a ratio would multiply the noise of what was black.
Drawn draw(const Context& context, const Values& values) {
  const auto& acquisition = context.volume.acquisition;
  const double te = time_of("magic-angle", "te_ms", values, acquisition.te_ms);
  const double tr = time_of("magic-angle", "tr_ms", values, acquisition.tr_ms);
  const auto relaxation = relaxation_of("magic-angle", context, values);
  const auto tissues = tissue_slices("magic-angle", context);
  const double cosine = std::cos((magic_angle_deg - values.at("offset_deg")) * pi / 180);
  const double coupling = std::pow(3 * cosine * cosine - 1, 2) / 4;  // 1 along the field
  PerTissue model{}, gain{};
  for (std::size_t t = 1; t < model.size(); ++t) {
    const auto tissue = static_cast<Tissue>(t);
    const double rate = 1 / relaxation[t].t2_ms;
    const double full = properties(tissue).proton_density * -std::expm1(-tr / relaxation[t].t1_ms);
    model[t] = full * std::exp(-te * rate);
    const double turned = 1 / isotropic_t2_ms + coupling * (rate - 1 / isotropic_t2_ms);
    if (is_fibrous(tissue)) gain[t] = full * std::exp(-te * turned) - model[t];
  }
  const double unit = signal_unit(context, model);
  for (auto& g : gain) g *= unit;
  Drawn drawn;
  drawn.values.set("te_ms", te).set("tr_ms", tr).set("unit", unit).set("added", by_name(gain));
  drawn.apply = [tissues, gain](Block& block, int threads) {
    const auto n = block.readout();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      std::vector<float> signal(static_cast<std::size_t>(n)), copy;
      for (std::int64_t line = 0; line < block.lines(); ++line) {
        const auto at = line * n;
        look_up(tissues.line(slice, line, copy), gain, n, signal.data());
        add_in_phase(signal.data(), n, re + at, im ? im + at : nullptr);
      }
    });
  };
  return drawn;
}

}  // namespace

Artifact magic_angle() {
  return {{"magic-angle",
           "Ligaments and menisci near 54.7 degrees to the main field shine at short echo times",
           "Fullerton, Cameron and Ord 1985, Radiology 155:433; Erickson et al. 1993, Radiology "
           "188:23",
           Stage::object,
           {{"offset_deg",
             "deg",
             "angle between the fibres and the magic angle; at 54.74 they lie along the field",
             0,
             magic_angle_deg,
             {40, 30, 20, 10, 0},
             magic_angle_deg},
            stated("te_ms", "ms", "echo time; 0: as the header or manifest says", 1e5),
            stated("tr_ms", "ms", "repetition time; 0: as the header or manifest says", 1e5),
            stated("field_t", "T", "field; 0: as the header or manifest says", 10)},
           0,
           false},
          acts,
          draw,
          false,
          {Map::tissue}};
}

}  // namespace mr::artifact
