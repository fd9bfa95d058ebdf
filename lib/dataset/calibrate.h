// Solves the strengths at which artifacts damage a data set equally.
#pragma once
#include <string>
#include <vector>

#include "base/run.h"
#include "dataset/corrupt.h"

namespace mr::dataset {

struct CalibrateOptions {
  std::vector<std::string> artifacts;                              // names
  std::array<double, 5> targets = {0.05, 0.10, 0.17, 0.25, 0.40};  // E, NRMSE after gain removal
  std::string split;                                               // images of this split; "": all
  std::int64_t images = 24;                                        // at most, spread over the split
  std::uint64_t seed = 1;
  int threads = 1;
};

/// For each artifact, by bisection of its strength with common random numbers, until the median of
/// E over the images is within 2 % of each target (artifacts.md §8). A target that the artifact
/// does not reach within its parameters' ranges has "reached": false and the strongest there is.
/// returns  mr-ladder/1: {artifacts: [{artifact, levels: [{target, e, strength, reached,
///          parameters}]}], images, split, seed}, without provenance
/// throws   DataError when there is no image; when the median falls as the strength grows
Json calibrate(ManifestReader& reader, const CalibrateOptions& options, const Messages& messages);

}  // namespace mr::dataset
