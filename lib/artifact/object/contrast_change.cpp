// Times or angles of the sequence other than planned: the image times S'/S of each voxel's tissue.
#include <cmath>
#include <functional>

#include "artifact/object/contrast.h"
#include "artifact/object/signal.h"
#include "base/error.h"
#include "base/text.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

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

using Signal = std::function<double(const Relaxation&)>;

/// after / before of every tissue but air. A tissue of which less than `least` of its signal is
/// left in the image as it is, such as cortical bone at its echo time or what an inversion nulls,
/// is seen by its neighbours and noise only, and these do not follow it: it stays as it is.
PerTissue ratios(const std::array<Relaxation, tissue_count>& relaxation, const Signal& before,
                 const Signal& after, double least = 0) {
  PerTissue factors;
  factors.fill(1);
  for (std::size_t t = 1; t < factors.size(); ++t)
    if (before(relaxation[t]) >= least) factors[t] = after(relaxation[t]) / before(relaxation[t]);
  return factors;
}

double changed(double time, const Values& values) {
  return time * (1 + values.at("change_percent") / 100);
}

/// exp(-(TE' - TE) / T2).
Drawn draw_te(const Context& context, const Values& values) {
  const double te = time_of("contrast-te", "te_ms", values, context.volume.acquisition.te_ms);
  const double new_te = changed(te, values);
  const auto decay = [](double time) {
    return [time](const Relaxation& r) { return std::exp(-time / r.t2_ms); };
  };
  auto drawn = scale_tissues(
      "contrast-te", context,
      ratios(relaxation_of("contrast-te", context, values), decay(te), decay(new_te), 0.01));
  drawn.values.set("te_ms", te).set("new_te_ms", new_te);
  return drawn;
}

/// (1 - exp(-TR' / T1)) / (1 - exp(-TR / T1)).
Drawn draw_tr(const Context& context, const Values& values) {
  const double tr = time_of("contrast-tr", "tr_ms", values, context.volume.acquisition.tr_ms);
  const double new_tr = changed(tr, values);
  const auto recovery = [](double time) {
    return [time](const Relaxation& r) { return -std::expm1(-time / r.t1_ms); };
  };
  auto drawn = scale_tissues(
      "contrast-tr", context,
      ratios(relaxation_of("contrast-tr", context, values), recovery(tr), recovery(new_tr)));
  drawn.values.set("tr_ms", tr).set("new_tr_ms", new_tr);
  return drawn;
}

Drawn draw_ti(const Context& context, const Values& values) {
  const auto& acquisition = context.volume.acquisition;
  const double ti = time_of("contrast-ti", "ti_ms", values, acquisition.ti_ms);
  const double tr = time_of("contrast-ti", "tr_ms", values, acquisition.tr_ms);
  const double new_ti = changed(ti, values);
  const auto recovery = [tr](double time) {
    return [tr, time](const Relaxation& r) { return inversion_recovery(time, tr, r.t1_ms); };
  };
  auto drawn = scale_tissues(
      "contrast-ti", context,
      ratios(relaxation_of("contrast-ti", context, values), recovery(ti), recovery(new_ti), 0.01));
  drawn.values.set("tr_ms", tr).set("ti_ms", ti).set("new_ti_ms", new_ti);
  return drawn;
}

Drawn draw_flip(const Context& context, const Values& values) {
  const auto& acquisition = context.volume.acquisition;
  const double flip = time_of("contrast-flip", "flip_deg", values, acquisition.flip_deg);
  const double tr = time_of("contrast-flip", "tr_ms", values, acquisition.tr_ms);
  const double new_flip = changed(flip, values);
  if (!(new_flip < 180))
    throw DataError("contrast-flip: want a changed flip angle below 180 degrees, got " +
                    shortest(new_flip));
  const auto signal = [tr](double degrees) {
    return [tr, degrees](const Relaxation& r) {
      return spoiled_gradient_echo(degrees * pi / 180, tr, r.t1_ms);
    };
  };
  auto drawn = scale_tissues(
      "contrast-flip", context,
      ratios(relaxation_of("contrast-flip", context, values), signal(flip), signal(new_flip)));
  drawn.values.set("tr_ms", tr).set("flip_deg", flip).set("new_flip_deg", new_flip);
  return drawn;
}

Parameter change(const char* description, std::array<double, 5> levels) {
  return {"change_percent", "%", description, -90, 400, levels, 0};
}

Parameter of_image(const char* name, const char* unit, const char* what, double high) {
  return stated(name, unit, std::string(what) + " of the image; 0: as its header or manifest says",
                high);
}

Parameter repetition_time() {
  return of_image("tr_ms", "ms", "repetition time", 1e5);
}
Parameter field() {
  return of_image("field_t", "T", "field", 10);
}

Artifact row(const char* name, const char* summary, const char* source,
             std::vector<Parameter> parameters, Drawn (*draw)(const Context&, const Values&)) {
  return {{name, summary, source, Stage::object, std::move(parameters), 0, false},
          acts,
          draw,
          false,
          {Map::tissue}};
}

}  // namespace

Artifact contrast_te() {
  return row("contrast-te", "Spin echo with another echo time: tissues fade by their T2",
             "Haacke et al. 1999, Magnetic Resonance Imaging, ch. 8; T2: see tissue.cpp",
             {change("change of the echo time; below 0 it is shorter", {5, 10, 20, 35, 50}),
              of_image("te_ms", "ms", "echo time", 1e5), field()},
             draw_te);
}

Artifact contrast_tr() {
  return row(
      "contrast-tr", "Spin echo with another repetition time: tissues saturate by their T1",
      "Haacke et al. 1999, Magnetic Resonance Imaging, ch. 8; T1: see tissue.cpp",
      {change("change of the repetition time; above 0 it is longer", {-5, -10, -20, -35, -50}),
       repetition_time(), field()},
      draw_tr);
}

Artifact contrast_ti() {
  return row(
      "contrast-ti",
      "Inversion recovery with another inversion time: what was nulled is not, or otherwise",
      "Bydder et al. 1985, J Comput Assist Tomogr 9:659; T1: see tissue.cpp",
      {change("change of the inversion time; above 0 it is longer", {-5, -10, -20, -35, -50}),
       of_image("ti_ms", "ms", "inversion time", 1e5), repetition_time(), field()},
      draw_ti);
}

Artifact contrast_flip() {
  return row("contrast-flip",
             "Spoiled gradient echo with another flip angle: from proton density towards T1",
             "Haacke et al. 1999, Magnetic Resonance Imaging, ch. 18; T1: see tissue.cpp",
             {change("change of the flip angle; below 0 it is smaller", {5, 10, 20, 35, 50}),
              of_image("flip_deg", "deg", "flip angle", 179), repetition_time(), field()},
             draw_flip);
}

}  // namespace mr::artifact
