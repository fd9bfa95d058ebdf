// Finds what is wrong with a manifest and its files before a long run does.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/run.h"
#include "dataset/manifest.h"

namespace mr::dataset {

/// What must hold between the images of a manifest: ids are unique, no subject is in two splits,
/// no slice is there twice, and each split has samples. Problems begin with the image or split.
class Consistency {
 public:
  std::vector<std::string> add(const ImageEntry& entry);
  /// `wanted` splits must have samples, besides those that some image is in.
  std::vector<std::string> finish(const std::vector<std::string>& wanted) const;

 private:
  std::unordered_set<std::string> ids_;
  std::unordered_map<std::string, std::string> split_of_subject_;
  std::map<std::string, std::int64_t> samples_in_split_;
};

/// "" where a mask lies on its image's grid: equal shapes [F, Z, Y, X] but for the image's frames,
/// and corners at most half of the smallest voxel edge apart. Else what is wrong, in words.
std::string grid_difference(const Shape& image_shape, const image::Affine& image_affine,
                            const Shape& mask_shape, const image::Affine& mask_affine);

struct CheckOptions {
  bool quick = false;               // headers alone, no voxels
  std::vector<std::string> splits;  // that must have samples
  int threads = 1;
};

/// Reports each problem in one line, in the manifest's order; returns how many there are.
/// throws DataError on a fault after which the document cannot be read on
std::int64_t check(ManifestReader& reader, const CheckOptions& options, const Messages& messages,
                   const std::function<void(const std::string&)>& report);

}  // namespace mr::dataset
