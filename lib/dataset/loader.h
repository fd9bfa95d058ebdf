// Samples of a manifest's split, and their pixels in batches, prepared by threads ahead of the
// network.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "artifact/recipe.h"
#include "base/json.h"
#include "dataset/manifest.h"
#include "dataset/preprocess.h"

namespace mr::dataset {

/// The samples of one split, in the manifest's order; labels and ids only, no pixels.
class SampleSet {
 public:
  explicit SampleSet(std::vector<Label> labels) : labels_(std::move(labels)) {}
  /// throws DataError when an image id stands twice
  void add(ImageEntry entry);
  /// The images of one split; "all" is every image. May be empty.
  SampleSet of_split(const std::string& split) const;
  std::size_t size() const { return samples_.size(); }
  const std::vector<Label>& label_names() const { return labels_; }
  const std::vector<ImageEntry>& images() const { return images_; }
  std::size_t image_of(std::size_t sample) const { return samples_[sample].image; }
  const Sample& sample(std::size_t i) const {
    return images_[samples_[i].image].samples[samples_[i].index];
  }
  const std::vector<int>& labels(std::size_t i) const { return sample(i).labels; }
  std::string id(std::size_t i) const { return sample_id(images_[image_of(i)], sample(i)); }
  int subject(std::size_t i) const { return image_subject_[image_of(i)]; }
  const std::vector<std::string>& subjects() const { return subjects_; }

 private:
  struct Place {
    std::size_t image, index;
  };
  std::vector<Label> labels_;
  std::vector<ImageEntry> images_;
  std::vector<int> image_subject_;
  std::vector<std::string> subjects_;
  std::vector<Place> samples_;
  std::unordered_map<std::string, int> subject_index_;
  std::unordered_map<std::string, std::size_t> image_index_;
};

/// Samples of the named splits of a manifest, e.g. {"train", "val"}; "" takes every image.
/// Also checks that no subject stands in two splits. The manifest's hash and provenance come
/// beside. throws DataError when a wanted split has no sample
struct LoadedManifest {
  std::vector<SampleSet> splits;  // in the order asked for
  Json provenance = Json::array();
  std::string sha256, name;
};
LoadedManifest load_manifest(const std::string& path, const std::string& root,
                             const std::vector<std::string>& splits);

struct Batch {
  std::vector<std::size_t> samples;  // n indices into the SampleSet
  std::vector<float> pixels;         // [n, ...input_shape]
  double waited_s = 0;               // how long the caller waited for it
};

struct LoaderOptions {
  int threads = 1;
  std::optional<artifact::Recipe> augment;  // a fresh draw per sample and epoch
  std::uint64_t seed = 0;                   // of the augmentation
  // Of decoded images, and again of pictures or of augmented images.
  std::size_t cache_bytes = std::size_t{1} << 29;
};

/// Gives batches in the order asked for; decoding, corruption and preprocessing run in threads.
/// What a batch holds is a function of (samples, epoch, seed) alone.
class BatchLoader {
 public:
  BatchLoader(const SampleSet& samples, const Preprocess& preprocess, LoaderOptions options);
  ~BatchLoader();
  /// Begins a pass over `order` (indices into the set, repeats allowed).
  void start(std::vector<std::size_t> order, int batch_size, std::int64_t epoch);
  bool next(Batch& batch);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mr::dataset
