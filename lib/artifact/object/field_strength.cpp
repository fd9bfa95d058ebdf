#include <algorithm>
#include <cmath>

#include "artifact/object/contrast.h"
#include "artifact/object/signal.h"
#include "artifact/receiver/white.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("way_percent") != 0;
}

/// Part of the way from 3 to 1.5 T or back: T1 and T2 of the tissues move from those of one field
/// to those of the other, and the ideal SNR falls with the field, for which noise is added on the
/// way down. On the way up noise cannot be taken away, and the contrast alone changes. Chemical
/// shift and susceptibility are artifacts of their own.
Drawn draw(const Context& context, const Values& values) {
  const auto& acquisition = context.volume.acquisition;
  const double te = time_of("field-strength", "te_ms", values, acquisition.te_ms);
  const double tr = time_of("field-strength", "tr_ms", values, acquisition.tr_ms);
  const auto here = relaxation_of("field-strength", context, values);
  const double field = values.at("field_t") > 0 ? values.at("field_t") : *acquisition.field_t;
  const bool down = field > 2;
  const double way = values.at("way_percent") / 100;
  PerTissue factors;
  factors.fill(1);
  for (std::size_t t = 1; t < factors.size(); ++t) {
    const auto& p = properties(static_cast<Tissue>(t));
    const auto& there = down ? p.at_1_5t : p.at_3t;
    const Relaxation between{here[t].t1_ms + way * (there.t1_ms - here[t].t1_ms),
                             here[t].t2_ms + way * (there.t2_ms - here[t].t2_ms)};
    // Where less than 1 % is left at TE the voxel holds neighbours and noise: see contrast-te.
    if (std::exp(-te / here[t].t2_ms) >= 0.01)
      factors[t] = spin_echo(te, tr, between.t1_ms, between.t2_ms) /
                   spin_echo(te, tr, here[t].t1_ms, here[t].t2_ms);
  }
  const double loss = down ? 3 / (3 - 1.5 * way) : 1;  // SNR before / after
  const double sigma =
      context.facts.signal / values.at("snr") * std::sqrt(std::max(0.0, loss * loss - 1));
  Drawn drawn;
  drawn.values.set("te_ms", te)
      .set("tr_ms", tr)
      .set("factors", by_name(factors))
      .set("sigma", sigma);
  drawn.apply = [tissues = tissue_slices("field-strength", context), factors, sigma,
                 key = context.frame_stream("noise")](Block& block, int threads) {
    scale_by_tissue(tissues, factors, block, threads);
    if (sigma == 0) return;
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      add_white_noise(key, slice, sigma, block.plane_size(), re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact field_strength() {
  return {
      {"field-strength",
       "The other of 1.5 and 3 T: other T1 and T2, and at 1.5 T half of the SNR",
       "Gold et al. 2004, AJR 183:343 (T1, T2); Edelstein et al. 1986, Magn Reson Med 3:604 (SNR)",
       Stage::object,
       {{"way_percent",
         "%",
         "of the way from the image's field to the other",
         0,
         100,
         {20, 40, 60, 80, 100},
         0},
        {"snr",
         "1",
         "mean of the foreground / standard deviation of the noise of the image as it is",
         1,
         1e9,
         {30, 30, 30, 30, 30},
         30},
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
