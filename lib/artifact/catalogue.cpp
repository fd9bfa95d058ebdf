#include "artifact/catalogue.h"

#include <cmath>

#include "artifact/engine.h"
#include "base/error.h"
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
Artifact magic_angle();
Artifact field_strength();
Artifact elastic();
Artifact position();
// fields and reconstruction
// encoding in time, receiver
// noise and coils
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
      magic_angle(),
      field_strength(),
      elastic(),
      position(),
      // fields and reconstruction
      // encoding in time, receiver
      // noise and coils
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

Values at_severity(const Row& row, double severity) {
  if (!(severity >= 0 && severity <= 5))
    throw UsageError(row.name + ": bad severity " + shortest(severity) + ": want 0..5");
  const auto below = static_cast<std::size_t>(severity);
  const double part = severity - static_cast<double>(below);
  Values values;
  for (const auto& p : row.parameters) {
    const double low = below == 0 ? p.off : p.levels[below - 1];
    const double high = below == 5 ? low : p.levels[below];
    if (part == 0)
      values[p.name] = low;
    else
      values[p.name] = std::isinf(low) ? high / part : low + part * (high - low);
  }
  return values;
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
