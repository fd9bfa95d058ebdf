// Takes images and samples out of a manifest, and puts manifests together.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/run.h"
#include "dataset/manifest.h"

namespace mr::dataset {

using Conditions = std::vector<std::pair<std::string, std::string>>;  // (name, value)

/// Whether an image's attributes, as text, meet all conditions; several values for one name are
/// alternatives.
bool meets(const Json& attributes, const Conditions& conditions);

/// All conditions must hold; several values for one name are alternatives.
struct FilterOptions {
  std::vector<std::string> splits;  // an image's split is one of these; empty: any
  Conditions attributes;            // an image's attribute, as text, is this
  Conditions labels;                // a sample's label has this value, or "unknown"
  std::int64_t limit = 0;           // the first images that are kept; 0: all
};

/// Writes the images that have samples left. throws UsageError on a label or value that the
/// manifest does not have, DataError when no image is left
void filter(ManifestReader& reader, const FilterOptions& options, ManifestOutput& output,
            const Run& run);

/// Writes the images of all manifests, in order. `root` is where paths on standard input start.
/// throws DataError when labels differ, an id is there twice, a subject is in two splits, or
/// unknown members contradict each other
void merge(const std::vector<std::string>& paths, const std::string& root, ManifestOutput& output,
           const Run& run);

}  // namespace mr::dataset
