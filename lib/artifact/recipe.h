// artifact/: what scanners and patients do to MR images, in physical units, in the order of the
// physics. One .cpp per artifact in its stage's folder, one row each in catalogue.cpp.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "artifact/catalogue.h"
#include "artifact/distribution.h"
#include "base/json_fwd.h"
#include "image/volume.h"

namespace mr::artifact {

/// One step: an artifact with its parameters set by severity, value by value, or both; where
/// nothing is said, at severity 2.
struct Step {
  std::string artifact;
  std::optional<double> severity;                          // 0..5; fractions interpolate the ladder
  Values parameters;                                       // override the severity's
  std::map<std::string, Distribution> distributions = {};  // of "severity" or parameters
  std::optional<Probability> probability = {};  // that a unit gets this step; unset: always
};

/// keep: as simulated. match: divided by the least-squares gain on the clean image's foreground, of
/// each volume in 3-D, of each slice in 2-D (analysis.md §4): an oracle that knows the clean image.
enum class Gain { keep, match };

/// Steps act in the given order, on the complex image; the magnitude is taken after the last.
struct Recipe {
  std::vector<Step> steps;
  std::string per = "image";  // "image", "subject" or an attribute's name: shares what is drawn
                              // from distributions, and draws that are a property of that unit
  std::optional<std::uint64_t> seed = {};  // of a recipe that was printed,
  std::optional<std::string> unit = {};    // and its image
  Gain gain = Gain::keep;
  std::shared_ptr<const Ladder> ladder = {};  // levels in place of the catalogue's
};

/// "motion:3", "rician", "bias:2,log_std=0.2". throws UsageError with the nearest known name.
Step parse_step(const std::string& text);

/// --preset "mri-robustness:N": the published parametrisation at N percent, whole N >= 0, of the
/// artifacts named (rician, motion, ghosting, spike, bias), per slice as published.
/// throws   UsageError
/// source   divyam3897/mri-robustness and TorchIO 0.18; see the rows named ref-...
Recipe parse_preset(const std::string& text, const std::vector<std::string>& artifacts);

/// mr-recipe/1. throws DataError "NAME: steps[0]: ..."
Recipe recipe_from_json(const Json& document, const std::string& name);
Json to_json(const Recipe& recipe);

/// What was done to one image, as a recipe that does the same again: values in place of
/// distributions, steps that were not drawn with probability 0.
/// record  what corrupt() returned for it
Recipe resolved(const Recipe& recipe, const Json& record, std::uint64_t seed,
                const std::string& unit);

/// Facts of the clean image, computed once and reused by every step (artifacts.md §1).
struct Facts {
  double signal = 0;                // S, mean magnitude of the foreground; 0: there is none
  double minimum = 0, maximum = 0;  // of the magnitude
  double peak = 0;                  // 99.9th percentile of the magnitude (Hyndman and Fan, type 7)
  double otsu_threshold = 0;        // Otsu 1979, 256 bins over [0, maximum]
  double negative_share = 0;        // sum of |x| over negative voxels / sum over all
  Array<std::uint8_t> foreground;   // [F, Z, Y, X], magnitude above the threshold
  Array<std::uint8_t> object;       // [Z, Y, X], foreground of any frame; empty: there is one frame

  /// Where any frame has foreground: coils and repetitions see one object.
  const Array<std::uint8_t>& of_any_frame() const { return object.empty() ? foreground : object; }
};
/// throws DataError where magnitudes or their sum are not finite
Facts measure_facts(const image::Volume& clean);

/// The same bits of an image whose frames come one after another, in passes over all of them, in
/// order: while (meter.next_pass()) add each. `foreground` stays empty: find_foreground fills it.
class FactsMeter {
 public:
  explicit FactsMeter(std::int64_t voxels);  // of all frames
  FactsMeter(const FactsMeter&) = delete;
  FactsMeter& operator=(const FactsMeter&) = delete;
  ~FactsMeter();
  bool next_pass();
  void add(const image::Volume& frames);
  Facts facts();  // once, after the last pass

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// `foreground` of these frames of the image that the facts are of.
void find_foreground(const image::Volume& frames, Facts& facts);

/// What is known of the object beside its image, on the image's grid.
enum class Map {
  fat,     // share of the signal that is fat, 0..1
  field,   // off-resonance [Hz]
  coils,   // receive sensitivities, complex, one frame a coil
  tissue,  // index of the tissue, see tissue.h
};
std::string map_name(Map map);  // "fat", ...: the manifest's names

using Maps = std::map<Map, image::Volume>;

/// Levels other than the image whose ids the recipe's draws need: "subject", or attributes.
std::vector<std::string> levels(const Recipe& recipe);

/// Maps without which the recipe cannot be done.
std::vector<Map> needed_maps(const Recipe& recipe);

/// Those, and maps that the recipe takes where they are given.
std::vector<Map> used_maps(const Recipe& recipe);

/// Keys of the draws: same seed, unit and recipe give the same corruption, whatever else runs.
struct Draw {
  std::uint64_t seed = 0;
  std::string unit_id;                          // the image's id
  std::optional<std::int64_t> epoch;            // in training
  std::map<std::string, std::string> ids = {};  // of the recipe's levels; none: the image's
  // Of a volume that holds some frames of a longer series: the first one's place, and how many that
  // has; 0: the volume is all.
  std::int64_t first_frame = 0, series_frames = 0;
};

/// Which stored axis (0 i, 1 j, 2 k) plays which part in the acquisition.
enum class Role { slice, phase_encode, readout };
struct Roles {
  image::Mode mode = image::Mode::two_d;
  int slice = 2;  // of slices (2-D), or of the second phase encoding (3-D)
  int phase_encode = 1;
  int readout = 0;
  std::vector<std::string> assumed;  // members of the acquisition that were not known

  int axis(Role role) const {
    return role == Role::slice ? slice : role == Role::phase_encode ? phase_encode : readout;
  }
};

/// From volume.acquisition; where it says nothing: slices along an axis of length 1, else along
/// the largest spacing (3-D when isotropic within 10 %), phase encoding along the rows' axis, which
/// is the slower stored one of the other two.
/// throws DataError when phase encoding and slices share an axis
Roles roles_of(const image::Volume& volume);

/// Whether frames of a series can be corrupted one by one (Draw::first_frame): no step looks at the
/// voxels of all.
bool frame_by_frame(const Recipe& recipe);

/// The record of a series from those of its frames: `more` behind `record`, which is empty at
/// first.
void append_record(Json& record, const Json& more);

/// Changes the volume in place and returns the list of what was done, in order: {artifact,
/// severity, parameters, drawn, mode, axes, slices}. Severity 0 leaves it bit for bit. The number
/// of threads does not change a bit. Frames are drawn and corrupted each on its own; coils share
/// what happened to the object.
/// throws DataError when the image cannot take an artifact: no foreground, signed, out of range, a
/// map that is missing or lies on another grid
Json corrupt(image::Volume& volume, const Recipe& recipe, const Facts& facts, const Draw& draw,
             int threads = 1, const Maps& maps = {});

/// Centred unitary k-space of an image, complex: of each slice in 2-D, of each volume in 3-D.
image::Volume kspace_image(const image::Volume& volume);

/// Whether all steps act slice by slice along roles_of(volume).slice.
bool in_plane(const Recipe& recipe, const image::Volume& volume);

/// Slices along roles_of(volume).slice alone, in the given order, each with the draws and bits that
/// corrupt() gives it within its volume; no other is computed or copied. throws DataError unless
/// in_plane(), or no such slice
image::Volume corrupt_slices(const image::Volume& volume, const std::vector<std::int64_t>& slices,
                             const Recipe& recipe, const Facts& facts, const Draw& draw,
                             const Maps& maps = {});

/// What has a gain of its own: "volume" in 3-D, "slice" in 2-D.
const char* gain_unit(const image::Volume& volume);

/// Fidelity of y to x in the foreground (artifacts.md §8).
struct Fidelity {
  double gain = 1;             // least-squares g of y on x
  double nrmse = 0;            // raw, ||y - x|| / ||x||
  double nrmse_matched = 0;    // E, ||y/g - x|| / ||x||; NaN where g <= 0
  double affine_residual = 0;  // NRMSE after (a, b) least squares
  double psnr_db = 0;          // 20 log10(L / RMSE), L = peak; +inf when equal (null in JSON)
  double ssim = 1;             // foreground dilated 3 px, slice by slice
};

/// Divides the corrupted image by its gain (Gain::match). Returns the gains, of each volume in 3-D,
/// of each slice in 2-D, frame after frame; a slice without foreground keeps its gain and has 1.
/// throws DataError where a gain is not positive: nothing is left to match
std::vector<double> match_gain(const image::Volume& clean, image::Volume& corrupted,
                               const Facts& facts);

/// The same as a step of the record: {"artifact": "match-gain", "gain": [...]}.
Json match_gain_step(const image::Volume& clean, image::Volume& corrupted, const Facts& facts);

/// Multiplies an image by such gains. throws DataError where their number is another
void apply_gain(image::Volume& volume, const std::vector<double>& gains);

/// Complex images are compared by magnitude. All members are NaN where there is no foreground.
/// source  Wang et al. 2004, IEEE Trans Image Process 13:600 (SSIM; uniform 7x7 window, population
///         moments, K1 0.01, K2 0.03, L = peak; windows are cut at the image's edge)
Fidelity compare(const image::Volume& clean, const image::Volume& corrupted, const Facts& facts);

/// The same bits of frames that come one after another, in order.
class FidelityMeter {
 public:
  FidelityMeter();
  FidelityMeter(const FidelityMeter&) = delete;
  FidelityMeter& operator=(const FidelityMeter&) = delete;
  ~FidelityMeter();
  /// facts  with the foreground of these frames
  void add(const image::Volume& clean, const image::Volume& corrupted, const Facts& facts);
  Fidelity fidelity() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};
Json to_json(const Fidelity& fidelity);

}  // namespace mr::artifact
