// Echo or repetition time other than planned: the image times S'/S of each voxel's tissue.
#include <cmath>

#include "artifact/object/contrast.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("change_percent") != 0;
}

Drawn scale_tissues(const char* artifact, const Context& context, const PerTissue& factors) {
  Drawn drawn;
  drawn.values.set("factors", by_name(factors));
  drawn.apply = [tissues = tissue_slices(artifact, context), factors](Block& block, int threads) {
    scale_by_tissue(tissues, factors, block, threads);
  };
  return drawn;
}

/// exp(-(TE' - TE) / T2). A tissue of which less than 1 % is left at TE, such as cortical bone, is
/// seen by its neighbours and noise only, and these do not follow its T2: it stays as it is.
Drawn draw_te(const Context& context, const Values& values) {
  const double te = time_of("contrast-te", "te_ms", values, context.volume.acquisition.te_ms);
  const auto relaxation = relaxation_of("contrast-te", context, values);
  const double added = te * values.at("change_percent") / 100;
  PerTissue factors;
  factors.fill(1);
  for (std::size_t t = 1; t < factors.size(); ++t)
    if (std::exp(-te / relaxation[t].t2_ms) >= 0.01)
      factors[t] = std::exp(-added / relaxation[t].t2_ms);
  auto drawn = scale_tissues("contrast-te", context, factors);
  drawn.values.set("te_ms", te);
  drawn.values.set("new_te_ms", te + added);
  return drawn;
}

/// (1 - exp(-TR' / T1)) / (1 - exp(-TR / T1)).
Drawn draw_tr(const Context& context, const Values& values) {
  const double tr = time_of("contrast-tr", "tr_ms", values, context.volume.acquisition.tr_ms);
  const auto relaxation = relaxation_of("contrast-tr", context, values);
  const double new_tr = tr * (1 + values.at("change_percent") / 100);
  PerTissue factors;
  factors.fill(1);
  for (std::size_t t = 1; t < factors.size(); ++t)
    factors[t] = std::expm1(-new_tr / relaxation[t].t1_ms) / std::expm1(-tr / relaxation[t].t1_ms);
  auto drawn = scale_tissues("contrast-tr", context, factors);
  drawn.values.set("tr_ms", tr);
  drawn.values.set("new_tr_ms", new_tr);
  return drawn;
}

Parameter change(const char* description, std::array<double, 5> levels) {
  return {"change_percent", "%", description, -90, 400, levels, 0};
}

Parameter time_parameter(const char* name, const char* description) {
  return {name, "ms", description, 0, 1e5, {0, 0, 0, 0, 0}, 0};
}

Parameter field() {
  return {"field_t",       "T", "field of the image; 0: as its header or manifest says", 0, 10,
          {0, 0, 0, 0, 0}, 0};
}

}  // namespace

Artifact contrast_te() {
  return {{"contrast-te",
           "Spin echo with another echo time: tissues fade by their T2",
           "Haacke et al. 1999, Magnetic Resonance Imaging, ch. 8; T2: see tissue.cpp",
           Stage::object,
           {change("change of the echo time; below 0 it is shorter", {5, 10, 20, 35, 50}),
            time_parameter("te_ms", "echo time of the image; 0: as its header or manifest says"),
            field()},
           0,
           false},
          acts,
          draw_te,
          false,
          {Map::tissue}};
}

Artifact contrast_tr() {
  return {
      {"contrast-tr",
       "Spin echo with another repetition time: tissues saturate by their T1",
       "Haacke et al. 1999, Magnetic Resonance Imaging, ch. 8; T1: see tissue.cpp",
       Stage::object,
       {change("change of the repetition time; above 0 it is longer", {-5, -10, -20, -35, -50}),
        time_parameter("tr_ms", "repetition time of the image; 0: as its header or manifest says"),
        field()},
       0,
       false},
      acts,
      draw_tr,
      false,
      {Map::tissue}};
}

}  // namespace mr::artifact
