#include "artifact/ready_recipes.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace mr::artifact {

const std::vector<ReadyRecipe>& ready_recipes() {
  static const std::vector<ReadyRecipe> all = {
      {"scanner-old-1.5T", "A worn scanner: shading, drifting receiver, low SNR, strong filter",
       R"({"schema": "mr-recipe/1", "per": "scanner", "steps": [
         {"artifact": "bias", "severity": {"uniform": [2, 4]}},
         {"artifact": "gain-drift", "severity": {"uniform": [1, 3]}},
         {"artifact": "rician", "parameters": {"snr": {"uniform": [8, 16]}}},
         {"artifact": "kspace-filter", "severity": {"uniform": [1, 3]}}]})"},
      {"restless-patient", "Sudden movements and slow drift, some patients more than others",
       R"({"schema": "mr-recipe/1", "per": "subject", "steps": [
         {"artifact": "motion", "severity": {"uniform": [1, 5]}, "probability": 0.8},
         {"artifact": "motion-drift", "severity": {"uniform": [1, 4]}, "probability": 0.6}]})"},
      {"epi", "Echo-planar imaging: distortion along phase encoding, half-field ghosts, noise",
       R"({"schema": "mr-recipe/1", "per": "scanner", "steps": [
         {"artifact": "epi-distortion", "severity": {"uniform": [1, 4]},
          "parameters": {"proxy": 1}},
         {"artifact": "nyquist-ghost", "severity": {"uniform": [1, 4]}},
         {"artifact": "rician", "severity": {"uniform": [1, 3]}}]})"},
  };
  return all;
}

Recipe read_recipe(const std::string& path_or_name) {
  if (path_or_name == "-" || exists(path_or_name))
    return recipe_from_json(read_json(path_or_name), path_or_name);
  std::vector<std::string> names;
  for (const auto& ready : ready_recipes()) {
    if (ready.name == path_or_name)
      return recipe_from_json(parse_json(ready.text, ready.name), ready.name);
    names.push_back(ready.name);
  }
  throw MissingInputError(path_or_name + ": no such file; " +
                          unknown("ready recipe", path_or_name, names));
}

}  // namespace mr::artifact
