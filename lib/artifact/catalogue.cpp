#include "artifact/catalogue.h"

#include <algorithm>
#include <cmath>

#include "artifact/engine.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace mr::artifact {

// One function in each artifact's file.
Artifact bias();
Artifact motion();
Artifact ghosting();
Artifact rician();
Artifact spike();
// object and export
Artifact thick_slice();
Artifact gamma();
Artifact gamma_dark();
Artifact clipping();
Artifact quantisation();
Artifact window();
Artifact border();
Artifact orientation();
Artifact burnt_in_text();
Artifact slice_crosstalk();
Artifact slice_gain();
Artifact slice_dropout();
Artifact jpeg();
Artifact jpeg2000();
Artifact fat_sat_failure();
Artifact dixon_swap();
Artifact contrast_te();
Artifact contrast_tr();
Artifact contrast_ti();
Artifact contrast_flip();
Artifact magic_angle();
Artifact field_strength();
Artifact elastic();
Artifact position();
// fields and reconstruction
Artifact truncation();
Artifact undersampling();
Artifact wrap_around();
Artifact partial_fourier();
Artifact kspace_filter();
Artifact fermi_filter();
Artifact resolution();
Artifact blur();
Artifact chemical_shift();
Artifact off_resonance();
Artifact b1_transmit();
Artifact epi_distortion();
Artifact susceptibility();
Artifact metal();
Artifact gradient_nonlinearity();
Artifact eddy_currents();
Artifact b0_drift();
Artifact moire();
// encoding in time, receiver
Artifact breathing();
Artifact t2_blur();
Artifact motion_drift();
Artifact motion_tremor();
Artifact motion_nod();
Artifact flow();
Artifact propeller();
Artifact nyquist_ghost();
Artifact adc_overflow();
Artifact dc_offset();
Artifact quadrature_ghost();
Artifact gain_drift();
Artifact kspace_quantisation();
// noise and coils
Artifact gaussian();
Artifact nc_chi();
Artifact correlated_noise();
Artifact gain_common();
Artifact gain_random();
Artifact coil_failure();
Artifact zipper();
Artifact line_loss();
Artifact g_factor();
Artifact parallel_residual();
Artifact sense_maps();
Artifact nonstationary_noise();
Artifact coil_shading();
Artifact ref_bias();
Artifact ref_motion();
Artifact ref_ghosting();
Artifact ref_rician();
Artifact ref_spike();

namespace {

const std::vector<Artifact>& artifacts() {
  static const std::vector<Artifact> all = {
      rician(),
      motion(),
      ghosting(),
      spike(),
      bias(),
      // object and export
      thick_slice(),
      gamma(),
      gamma_dark(),
      clipping(),
      quantisation(),
      window(),
      border(),
      orientation(),
      burnt_in_text(),
      slice_crosstalk(),
      slice_gain(),
      slice_dropout(),
      jpeg(),
      jpeg2000(),
      fat_sat_failure(),
      dixon_swap(),
      contrast_te(),
      contrast_tr(),
      contrast_ti(),
      contrast_flip(),
      magic_angle(),
      field_strength(),
      elastic(),
      position(),
      // fields and reconstruction
      truncation(),
      undersampling(),
      wrap_around(),
      partial_fourier(),
      kspace_filter(),
      fermi_filter(),
      resolution(),
      blur(),
      chemical_shift(),
      off_resonance(),
      b1_transmit(),
      epi_distortion(),
      susceptibility(),
      metal(),
      gradient_nonlinearity(),
      eddy_currents(),
      b0_drift(),
      moire(),
      // encoding in time, receiver
      breathing(),
      t2_blur(),
      motion_drift(),
      motion_tremor(),
      motion_nod(),
      flow(),
      propeller(),
      nyquist_ghost(),
      adc_overflow(),
      dc_offset(),
      quadrature_ghost(),
      gain_drift(),
      kspace_quantisation(),
      // noise and coils
      gaussian(),
      nc_chi(),
      correlated_noise(),
      gain_common(),
      gain_random(),
      coil_failure(),
      zipper(),
      line_loss(),
      g_factor(),
      parallel_residual(),
      sense_maps(),
      nonstationary_noise(),
      coil_shading(),
      ref_rician(),
      ref_motion(),
      ref_ghosting(),
      ref_spike(),
      ref_bias(),
  };
  return all;
}

std::string range(double low, double high) {
  return shortest(low) + ".." + shortest(high);
}

}  // namespace

std::string stage_name(Stage stage) {
  static const std::array<const char*, 7> stages = {
      "object", "field", "coil", "encoding", "receiver", "reconstruction", "export"};
  return stages[static_cast<std::size_t>(stage)];
}

Json to_json(const Row& row) {
  const auto number = [](double value) { return std::isfinite(value) ? Json(value) : Json(); };
  Json parameters = Json::array();
  for (const auto& p : row.parameters) {
    Json levels = Json::array();
    for (const double level : p.levels) levels.push_back(number(level));
    parameters.push_back({{"name", p.name},
                          {"unit", p.unit},
                          {"description", p.description},
                          {"low", number(p.low)},
                          {"high", number(p.high)},
                          {"default", levels[1]},
                          {"off", number(p.off)},
                          {"levels", std::move(levels)}});
  }
  Json maps = Json::array();
  for (const auto map : find_artifact(row.name).maps) maps.push_back(map_name(map));
  return {{"name", row.name},
          {"summary", row.summary},
          {"stage", stage_name(row.stage)},
          {"source", row.source},
          {"cost_ffts", row.cost_ffts},
          {"maps", std::move(maps)},
          {"in_study", row.in_study},
          {"parameters", std::move(parameters)}};
}

const std::vector<Row>& catalogue() {
  static const std::vector<Row> rows = [] {
    std::vector<Row> all;
    for (const auto& artifact : artifacts()) all.push_back(artifact.row);
    return all;
  }();
  return rows;
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& row : catalogue()) all.push_back(row.name);
  return all;
}

const Artifact& find_artifact(const std::string& name) {
  for (const auto& artifact : artifacts())
    if (artifact.row.name == name) return artifact;
  throw UsageError(unknown("artifact", name, names()));
}

const Row& find(const std::string& name) {
  return find_artifact(name).row;
}

Values at_severity(const Row& row, double severity, const Ladder* ladder) {
  if (!(severity >= 0 && severity <= 5))
    throw UsageError(row.name + ": bad severity " + shortest(severity) + ": want 0..5");
  const auto below = static_cast<std::size_t>(severity);
  const double part = severity - static_cast<double>(below);
  const auto calibrated = ladder ? ladder->find(row.name) : Ladder::const_iterator{};
  const bool is_calibrated = ladder && calibrated != ladder->end();
  Values values;
  for (const auto& p : row.parameters) {
    auto levels = p.levels;
    if (is_calibrated)
      for (std::size_t l = 0; l < 5; ++l) levels[l] = calibrated->second[l].at(p.name);
    const double low = below == 0 ? p.off : levels[below - 1];
    const double high = below == 5 ? low : levels[below];
    if (part == 0)
      values[p.name] = low;
    else
      values[p.name] = std::isinf(low) ? high / part : low + part * (high - low);
  }
  return values;
}

Values at_strength(const Row& row, double strength) {
  if (strength <= 5) return at_severity(row, strength);
  Values values;
  for (const auto& p : row.parameters) {
    const double last = p.levels[4];
    const double beyond =
        std::isinf(p.off) ? last * 5 / strength : last + (strength - 5) * (last - p.levels[3]);
    values[p.name] = std::min(std::max(beyond, p.low), p.high);
  }
  return values;
}

Ladder ladder_from_json(const Json& document, const std::string& name) {
  require_schema(document, "mr-ladder/1", name);
  Ladder ladder;
  for (const auto& entry : member(document, "artifacts", name)) {
    const auto artifact = string_member(entry, "artifact", name);
    const auto where = name + ": " + artifact;
    const auto& row = find(artifact);
    const auto& levels = member(entry, "levels", where);
    if (!levels.is_array() || levels.size() != 5)
      throw DataError(where + ": want 5 levels, got " + std::to_string(levels.size()));
    for (std::size_t l = 0; l < 5; ++l) {
      const auto& parameters = member(levels[l], "parameters", where);
      for (const auto& p : row.parameters)
        ladder[artifact][l][p.name] = number_member(parameters, p.name.c_str(), where);
      try {
        check_values(row, ladder[artifact][l]);
      } catch (const UsageError& e) {
        throw DataError(name + ": " + e.what());
      }
    }
  }
  return ladder;
}

void check_values(const Row& row, const Values& values) {
  std::vector<std::string> known;
  for (const auto& p : row.parameters) known.push_back(p.name);
  for (const auto& [name, value] : values) {
    const Parameter* parameter = nullptr;
    for (const auto& p : row.parameters)
      if (p.name == name) parameter = &p;
    if (!parameter) throw UsageError(row.name + ": " + unknown("parameter", name, known));
    if (!(value >= parameter->low && value <= parameter->high))
      throw UsageError(row.name + ": " + name + " " + shortest(value) + ": want " +
                       range(parameter->low, parameter->high) +
                       (parameter->unit == "1" ? "" : " " + parameter->unit));
  }
}

}  // namespace mr::artifact
