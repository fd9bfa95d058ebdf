// The catalogue: one row per artifact. The command line, the man page's list, the evaluation grid
// and the report read this table.
#pragma once
#include <array>
#include <map>
#include <string>
#include <vector>

#include "base/json_fwd.h"

namespace mr::artifact {

enum class Stage { object, field, coil, encoding, receiver, reconstruction, export_ };
std::string stage_name(Stage stage);

struct Parameter {
  std::string name;              // "snr"
  std::string unit;              // "1", "mm", "deg", ...
  std::string description;       // one line
  double low, high;              // allowed range
  std::array<double, 5> levels;  // severities 1..5
  double off;                    // value at severity 0
};

/// Parameter values by name, in the catalogue's units.
using Values = std::map<std::string, double>;

struct Row {
  std::string name;     // "motion"
  std::string summary;  // one line
  std::string source;   // author, year, equation or section
  Stage stage;
  std::vector<Parameter> parameters;
  double cost_ffts;  // FFTs of the item
  bool in_study;     // one of the study's grid
};

/// For programs: every member of a row; infinite numbers as null.
Json to_json(const Row& row);

const std::vector<Row>& catalogue();
const Row& find(const std::string& name);  // throws UsageError with the nearest name
std::vector<std::string> names();

/// Parameter values of severities 1..5 by artifact, in place of the catalogue's own levels: what
/// `mr-corrupt calibrate` solved.
using Ladder = std::map<std::string, std::array<Values, 5>>;

/// Parameter values of a severity in [0, 5]; fractions interpolate linearly between levels, and
/// from `off` below level 1 (where that is infinite: level 1 divided by the severity).
/// ladder  its levels are taken where it has the artifact; may be null
/// throws UsageError "motion: bad severity 6: want 0..5"
Values at_severity(const Row& row, double severity, const Ladder* ladder = nullptr);

/// The same for any strength >= 0: beyond 5, what changes from level 4 to 5 goes on, within each
/// parameter's range.
Values at_strength(const Row& row, double strength);

/// mr-ladder/1, as written by `mr-corrupt calibrate`. throws DataError that begins with `name`
Ladder ladder_from_json(const Json& document, const std::string& name);

/// throws UsageError naming a parameter that the row lacks, or a value out of its range
void check_values(const Row& row, const Values& values);

}  // namespace mr::artifact
