// Turns whole-image samples into one sample a slice, labelled from a mask or a table.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/id_key.h"
#include "base/run.h"
#include "dataset/annotations.h"
#include "dataset/label_rule.h"
#include "dataset/manifest.h"

namespace mr::dataset {

/// 1 where at least `min_voxels` voxels of a slice have `value` in the mask, else 0.
struct MaskLabel {
  std::string name;
  int value = 1;
  std::int64_t min_voxels = 1;
};

/// "NAME=VALUE" or "NAME=VALUE,MIN_VOXELS". throws UsageError
MaskLabel parse_mask_label(const std::string& text);

struct SlicesOptions {
  std::string axis;        // i | j | k of the stored array, or sagittal | coronal | axial
  int every = 1;           // slices 0, every, 2 * every, ...
  bool keep_empty = true;  // else a slice whose voxels are all equal is left out
  std::vector<MaskLabel> mask_labels;
  std::string table;                   // a row a slice; "" has none
  std::string id_format = "{id}";      // the image's id of a row's fields
  std::string slice_column = "slice";  // from 0 along the axis
  std::vector<LabelRule> labels;
  std::string annotations;  // table of findings; "" has none
  std::string annotated;    // list of the images that were looked at; "": those of the table
  std::vector<FindingLabel> findings;
  IdKey key;                     // that the images' ids were made with
  bool allow_unmatched = false;  // slices without a row are unknown, rows without a slice ignored
  int threads = 1;
};

/// Stored axis that `axis` names in an image; sagittal slices are stacked along the stored axis
/// closest to left-right, coronal ones anterior-posterior, axial ones inferior-superior.
int stored_axis(const std::string& axis, const image::Affine& affine);

/// Voxels of each slice along `axis` whose value is `value`, to 1e-3 (masks may be stored as
/// scaled floats). The first frame counts.
std::vector<std::int64_t> count_by_slice(const image::Volume& mask, int axis, int value);

/// Each image must have one whole-image sample, whose labels all of its slices inherit; new labels
/// follow them. throws DataError: sliced already, no mask, a mask on another grid, unmatched rows
void slices(ManifestReader& reader, const SlicesOptions& options, ManifestOutput& output,
            const Run& run, const Messages& messages);

}  // namespace mr::dataset
