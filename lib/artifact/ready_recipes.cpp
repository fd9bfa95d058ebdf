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
         {"artifact": "nonstationary-noise", "parameters": {
           "snr": {"lognormal": {"median": 11, "log_sd": {"scanner": 0.15, "subject": 0.1}}},
           "log_std": 0.05, "slice_correlation": 0.8}},
         {"artifact": "kspace-filter", "severity": {"uniform": [1, 3]}}]})"},
      {"restless-patient", "Sudden movements and slow drift, some patients more than others",
       R"({"schema": "mr-recipe/1", "per": "subject", "steps": [
         {"artifact": "motion", "probability": {"median": 0.8, "logit_sd": 1},
          "parameters": {
            "translation_mm": {"lognormal": {"median": 0.5, "log_sd": 0.8}},
            "rotation_deg": {"lognormal": {"median": 0.5, "log_sd": 0.8}},
            "events": {"choice": [1, 2, 3, 4, 5]}}},
         {"artifact": "motion-drift", "severity": {"uniform": [1, 4]},
          "probability": {"median": 0.6, "logit_sd": 1}}]})"},
      {"epi", "Echo-planar imaging: distortion along phase encoding, half-field ghosts, noise",
       R"({"schema": "mr-recipe/1", "per": "scanner", "steps": [
         {"artifact": "epi-distortion", "severity": {"uniform": [1, 4]},
          "parameters": {"proxy": 1}},
         {"artifact": "nyquist-ghost", "severity": {"uniform": [1, 4]}},
         {"artifact": "rician", "severity": {"uniform": [1, 3]}}]})"},
      {"ref-mri-robustness", "The five published artifacts at 5 %, each in one image of five",
       R"({"schema": "mr-recipe/1", "steps": [
         {"artifact": "ref-bias", "parameters": {"percent": 5}, "probability": 0.2},
         {"artifact": "ref-motion", "parameters": {"percent": 5, "merged": 0},
          "probability": 0.2},
         {"artifact": "ref-ghosting", "parameters": {"percent": 5}, "probability": 0.2},
         {"artifact": "ref-spike", "parameters": {"percent": 5}, "probability": 0.2},
         {"artifact": "ref-rician", "parameters": {"percent": 5}, "probability": 0.2}]})"},
      {"ref-rood", "About level 3 of ROOD-MRI (Boone et al. 2023), each in one image of nine",
       // Elastic: control points 18 mm to either side, uniform; cubic B-splines leave 0.479 of the
       // variance along each axis: 18 / sqrt(3) 0.479^1.5 sqrt(2) = 4.9 mm in two components.
       R"({"schema": "mr-recipe/1", "steps": [
         {"artifact": "position", "parameters": {"shift_mm": {"uniform": [0, 24]},
                                                 "rotation_deg": {"uniform": [0, 18]}},
          "probability": 0.111},
         {"artifact": "elastic", "parameters": {"rms_mm": 4.9}, "probability": 0.111},
         {"artifact": "thick-slice", "parameters": {"thickness": 6.4, "gap_percent": 0},
          "probability": 0.111},
         {"artifact": "ref-bias", "parameters": {"percent": 0.9}, "probability": 0.111},
         {"artifact": "motion", "parameters": {"translation_mm": 6, "rotation_deg": 3,
                                               "events": 6}, "probability": 0.111},
         {"artifact": "ghosting", "parameters": {"period_lines": 7, "modulation": 1.5},
          "probability": 0.111},
         {"artifact": "rician", "parameters": {"snr": 4}, "probability": 0.111},
         {"artifact": "blur", "parameters": {"sigma_px": 2.4}, "probability": 0.111},
         {"artifact": "gamma", "parameters": {"gamma": 0.58, "keep_mean": 0},
          "probability": 0.111}]})"},
  };
  return all;
}

std::vector<std::string> ready_recipe_names() {
  std::vector<std::string> names;
  for (const auto& ready : ready_recipes()) names.push_back(ready.name);
  return names;
}

Recipe read_recipe(const std::string& path_or_name) {
  if (path_or_name == "-" || exists(path_or_name))
    return recipe_from_json(read_json(path_or_name), path_or_name);
  for (const auto& ready : ready_recipes())
    if (ready.name == path_or_name)
      return recipe_from_json(parse_json(ready.text, ready.name), ready.name);
  throw MissingInputError(path_or_name + ": no such file; " +
                          unknown("ready recipe", path_or_name, ready_recipe_names()));
}

}  // namespace mr::artifact
