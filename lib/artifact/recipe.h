// artifact/: what scanners and patients do to MR images, in physical units, in the order of the
// physics. One .cpp per artifact in its stage's folder, one row each in catalogue.cpp.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "artifact/catalogue.h"
#include "base/json.h"
#include "image/volume.h"

namespace mr::artifact {

/// One step: an artifact with its parameters set (by severity, or value by value).
struct Step {
  std::string artifact;
  std::optional<double> severity;     // 0..5; fractions interpolate the ladder
  std::map<std::string, double> parameters;  // overrides, in the catalogue's units
};

struct Recipe {
  std::vector<Step> steps;
  std::optional<double> probability;  // of the whole recipe for one unit; unset: always
};

/// "motion:3", "rician", "bias:2,log_std=0.2". throws UsageError with the nearest known name.
Step parse_step(const std::string& text);

/// --preset "mri-robustness:N": the published parametrisation at N percent, one recipe per artifact
/// name, per slice as published.
Recipe parse_preset(const std::string& text, const std::vector<std::string>& artifacts);

/// mr-recipe/1.
Recipe recipe_from_json(const Json& document, const std::string& name);
Json to_json(const Recipe& recipe);

/// Facts of the clean image, computed once and reused by every step (artifacts.md §1).
struct Facts {
  double signal = 0;               // S, mean of the foreground
  double maximum = 0;
  double otsu_threshold = 0;
  Array<std::uint8_t> foreground;  // [F, Z, Y, X], Otsu on the magnitude
};
Facts measure_facts(const image::Volume& clean);

/// Keys of the draws: same seed, unit and recipe give the same corruption, whatever else runs.
struct Draw {
  std::uint64_t seed = 0;
  std::string unit_id;             // the image's id
  std::optional<std::int64_t> epoch;  // in training
};

/// How each slice of the given stored axis was touched by a step that hits single slices, etc.
/// The list of what was done, in order: {artifact, severity, parameters, drawn, slices?}.
/// Volume is changed in place. Severity 0 leaves it bit for bit.
/// mode and axes come from volume.acquisition; where it says nothing: 2-D along the axis with the
/// largest spacing (3-D when isotropic within 10 %), phase encode = rows (recorded in the result).
/// throws DataError when the image cannot take an artifact
Json corrupt(image::Volume& volume, const Recipe& recipe, const Facts& facts, const Draw& draw,
             int threads = 1);

/// Same draws and bits as corrupt() for one slice of the slice axis, where all steps are in-plane
/// (in_plane(recipe, volume)); out is [Y', X'] as stored. Other slices are not computed.
bool in_plane(const Recipe& recipe, const image::Volume& volume);
Json corrupt_slice(image::Volume& volume, std::int64_t slice, const Recipe& recipe,
                   const Facts& facts, const Draw& draw);

/// Fidelity of y to x in the foreground (artifacts.md §8).
struct Fidelity {
  double gain = 1;             // least-squares g of y on x
  double nrmse = 0;            // raw, ||y - x|| / ||x||
  double nrmse_matched = 0;    // E, ||y/g - x|| / ||x||; NaN where g <= 0
  double affine_residual = 0;  // NRMSE after (a, b) least squares
  double psnr_db = 0;          // +inf when equal (null in JSON)
  double ssim = 1;             // foreground dilated 3 px, slice by slice
};
Fidelity compare(const image::Volume& clean, const image::Volume& corrupted, const Facts& facts);
Json to_json(const Fidelity& fidelity);

}  // namespace mr::artifact
