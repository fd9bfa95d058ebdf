// Corrupting images on their way from a manifest (or alone) to files and a new manifest.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "artifact/recipe.h"
#include "base/file.h"
#include "base/json.h"
#include "base/run.h"
#include "dataset/manifest.h"
#include "image/image_file.h"
#include "kspace/coil_images.h"

namespace mr::dataset {

/// What one image became.
struct CorruptedImage {
  image::Volume volume;  // quantised: what a reader of its file sees
  Json artifacts;        // the steps taken, with what was drawn
  artifact::Fidelity fidelity;
  // Where they are asked for: divided by its gain, and the clean image times that gain. Quantised.
  std::optional<image::Volume> structure, gain;
};

/// Measured coils are what artifacts act on, up to the export; then they are combined.
struct Measured {
  kspace::CoilImages coils;
  artifact::Facts facts;  // of the coil images, but `signal`: that of their combination
};
struct CleanImage {
  image::Volume volume;                   // what the next step acts on
  std::optional<image::Volume> source;    // the clean image, where that is another one
  artifact::Facts facts;                  // of the clean image
  artifact::Maps maps;                    // those that were asked for and that the entry has
  std::optional<Measured> measured = {};  // where the image comes as k-space
  std::optional<image::Volume> complex_image =
      {};  // where its phase was given: what artifacts act on
};
/// Reads the image of an entry and its clean source (the image itself where it has none) and
/// applies the manifest's acquisition. Both evaluation in memory and mr-corrupt go through here and
/// corrupt_image, so a score does not depend on the way. throws DataError that names the file
CleanImage read_clean(const ImageEntry& entry, const std::vector<artifact::Map>& maps);

/// The same of an image that was read: its phase and its source are as the entry says.
CleanImage clean_of(image::Volume volume, const ImageEntry& entry, artifact::Maps maps);

/// Threads that are worth their start for an image of that shape [F, Z, Y, X], frame by frame.
int useful_threads(int threads, const Shape& shape);

/// Gives a magnitude image its measured phase. throws DataError as kspace::with_phase
void add_phase(CleanImage& clean, const std::string& path);

/// The same image, of which is known what the entry says too.
image::Volume with_acquisition(image::Volume volume, const ImageEntry& entry);

/// The image of an entry alone, k-space reconstructed, with the manifest's acquisition.
image::Volume read_finished(const ImageEntry& entry);

/// What a network sees of it: that, but the first frame alone of repeats in time and of echoes.
image::Volume read_seen(const ImageEntry& entry);

/// Maps of an entry, read from their files; those that it does not have are left out.
artifact::Maps read_maps(const ImageEntry& entry, const std::vector<artifact::Map>& wanted);

/// Takes an image through a recipe: its voxels; its measured coils, or its complex image where the
/// phase was given, and then their magnitude. Gives the record of the steps. throws DataError where
/// a step of the export stands before another one of measured coils
Json apply_recipe(const CleanImage& clean, const artifact::Recipe& recipe,
                  const artifact::Draw& draw, image::Volume& out, int threads = 1);

/// The same in the memory of the image, quantised; without fidelity, which needs the clean one, and
/// without gain matching. Errors as corrupt_image.
CorruptedImage corrupt_in_place(CleanImage clean, const artifact::Recipe& recipe,
                                const artifact::Draw& draw, const std::string& name,
                                int threads = 1);
CorruptedImage corrupt_image(const CleanImage& clean, const artifact::Recipe& recipe,
                             const artifact::Draw& draw, const std::string& name,
                             bool parts = false, int threads = 1);

/// Keys of an entry's draws: its id, and those of its units at the recipe's levels.
/// throws DataError where an image lacks the attribute that the recipe draws per
artifact::Draw draw_of(const ImageEntry& entry, const artifact::Recipe& recipe, std::uint64_t seed);

/// "motion:3 rician:2,snr=15", for headers of files and messages: the steps that were done, with
/// the values that are not their severity's own.
std::string describe(const artifact::Recipe& recipe);
/// Nothing where nothing was done. volume  the result
image::Derivation derivation_of(const artifact::Recipe& recipe, const image::Volume& volume);

struct CorruptOptions {
  artifact::Recipe recipe;
  std::uint64_t seed = 0;
  std::string datatype;             // of the images written; "": each one's own
  std::optional<IdKey> deidentify;  // see image::Derivation
  std::string folder;               // where the images go
  std::string manifest_out;         // "" or "-": standard output, absolute paths
  Overwrite overwrite = Overwrite::no;
  bool resume = false;
  bool bids = false;  // images of a BIDS data set (mr-manifest bids) become a derivative one
  int threads = 1;
};

/// Manifest in, images and manifest out, image by image; the order of the images is kept. Each
/// finished image is noted in FOLDER/.mr-corrupt.jsonl until the end, where --resume goes on.
void corrupt_manifest(ManifestReader& reader, const CorruptOptions& options, const Run& run,
                      const Messages& messages);

/// Path of an image's file below `folder`: its id, with what a file name cannot hold escaped.
std::string image_path(const std::string& folder, const std::string& id,
                       const std::string& extension);

}  // namespace mr::dataset
