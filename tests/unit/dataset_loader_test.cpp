#include <unistd.h>

#include <filesystem>

#include "artifact_samples.h"
#include "check.h"
#include "dataset/corrupt.h"
#include "dataset/loader.h"
#include "image/image_file.h"

using namespace mr::dataset;

namespace {

/// Two images of float32 in files: 6 slices in 2-D, or 17 in 3-D.
struct Images {
  std::filesystem::path folder;
  SampleSet set{{{"finding"}}};

  explicit Images(bool three_d, bool whole = false) {
    folder = std::filesystem::temp_directory_path() / ("mr-loader-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
    for (const std::string id : {"a", "b"}) {
      auto volume = three_d ? samples::three_d() : samples::two_d();
      for (auto& voxel : volume.voxels) voxel *= id == "a" ? 1.0f : 1.5f;
      ImageEntry entry;
      entry.id = entry.subject = id;
      entry.file = folder / (id + ".nii");
      mr::image::write_image(volume, entry.file, {}, 0, mr::Overwrite::yes);
      entry.acquisition = {
          {"mode", three_d ? "3d" : "2d"}, {"slice_axis", "k"}, {"phase_encode_axis", "j"}};
      if (whole)
        entry.samples.push_back({std::nullopt, {0}});
      else
        for (std::int64_t k = 0; k < volume.length(2); k += 3)
          entry.samples.push_back({Slice{2, k}, {0}});
      set.add(entry);
    }
  }
  ~Images() { std::filesystem::remove_all(folder); }

  std::vector<float> loaded(const Preprocess& preprocess, const LoaderOptions& options,
                            std::int64_t epoch) const {
    BatchLoader loader(set, preprocess, options);
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < set.size(); ++i) order.push_back(set.size() - 1 - i);
    loader.start(order, 3, epoch);
    std::vector<float> pixels;
    Batch batch;
    while (loader.next(batch))
      pixels.insert(pixels.end(), batch.pixels.begin(), batch.pixels.end());
    return pixels;
  }

  /// Each image corrupted as a whole with the draw of that epoch, then what a network sees of it.
  std::vector<float> expected(const Preprocess& preprocess, const LoaderOptions& options,
                              std::int64_t epoch) const {
    std::vector<float> pixels;
    for (std::size_t i = set.size(); i-- > 0;) {
      const auto& entry = set.images()[set.image_of(i)];
      auto volume = read_clean(entry, {}).volume;
      if (options.augment) {
        auto draw = draw_of(entry, *options.augment, options.seed);
        draw.epoch = epoch;
        apply_recipe(read_clean(entry, {}), *options.augment, draw, volume);
      }
      std::vector<float> one(input_elements(preprocess));
      extract(volume, set.sample(i).slice, measure_scaling(volume, preprocess), preprocess,
              one.data());
      pixels.insert(pixels.end(), one.begin(), one.end());
    }
    return pixels;
  }
};

/// Largest difference.
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, static_cast<double>(std::abs(a[i] - b[i])));
  return largest;
}

}  // namespace

TEST_CASE("an augmented picture is the one that evaluation makes of the same draw") {
  for (const bool three_d : {false, true})
    for (const std::string step : {"gain-random:5", "rician:4", "motion:4", "bias:5"})
      for (const std::string standardisation :
           {"none", "scale:0.01", "volume-percentile", "slice-zscore"})
        for (const int neighbours : {1, 3}) {
          CAPTURE(three_d);
          CAPTURE(step);
          CAPTURE(standardisation);
          const Images images(three_d);
          Preprocess preprocess;
          set_standardisation(preprocess, standardisation);
          preprocess.size = {20, 24};
          preprocess.neighbours = neighbours;
          LoaderOptions options;
          options.threads = 2;
          options.augment = samples::recipe({step});
          options.seed = 7;
          const auto second = images.loaded(preprocess, options, 2);
          CHECK(second == images.expected(preprocess, options, 2));
          options.cache_bytes = 1;  // nothing is kept
          CHECK(second == images.loaded(preprocess, options, 2));
          // A gain alone is taken out again where the input is scaled by the image.
          const bool seen = step != "gain-random:5" || standardisation == "none" ||
                            standardisation == "scale:0.01";
          bool fresh = false;
          for (const int epoch : {3, 4, 5, 6, 7})
            fresh |= distance(second, images.loaded(preprocess, options, epoch)) > 1e-3;
          CHECK(fresh == seen);
        }
}

TEST_CASE("an augmented whole image is the one that evaluation makes of the same draw") {
  const Images images(true, true);
  Preprocess preprocess;
  preprocess.size = {20, 24};
  preprocess.depth = 9;
  LoaderOptions options;
  options.augment = samples::recipe({"rician:4"});
  CHECK(images.loaded(preprocess, options, 1) == images.expected(preprocess, options, 1));
}

TEST_CASE("pictures are the same from a cache, from one that keeps nothing, and made anew") {
  for (const int neighbours : {1, 3}) {
    const Images images(false);
    Preprocess preprocess;
    preprocess.size = {20, 24};
    preprocess.spacing_mm = 1.3;
    preprocess.neighbours = neighbours;
    LoaderOptions options;
    options.threads = 2;
    const auto expected = images.expected(preprocess, options, 1);
    CHECK(images.loaded(preprocess, options, 1) == expected);
    options.cache_bytes = 1;
    CHECK(images.loaded(preprocess, options, 1) == expected);
    BatchLoader loader(images.set, preprocess, {});
    Batch first, again;
    for (auto* batch : {&first, &again}) {
      loader.start({1, 0, 1}, 3, 1);
      REQUIRE(loader.next(*batch));
    }
    CHECK(first.pixels == again.pixels);
  }
}
