// From an image in memory to what a network sees, in one fixed order (recorded in the model):
// whole-image standardisation; slice; orientation; resampling; crop or pad; slice standardisation.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "dataset/manifest.h"
#include "image/volume.h"

namespace mr::dataset {

enum class Standardisation { none, scale, volume_percentile, slice_zscore };

struct Preprocess {
  Standardisation standardisation = Standardisation::volume_percentile;
  double scale = 1;                  // of `scale`: pixels are multiplied by it
  std::array<int, 2> size{64, 64};   // H, W [px]
  std::optional<double> spacing_mm;  // resample rows and columns to it; unset: keep
  int neighbours = 1;                // odd: a slice and those beside it, as channels (2.5-D)
  std::optional<int> depth;          // samples are whole images of so many slices; unset: slices
};

/// Of a sample: [channels, H, W], or [1, depth, H, W].
std::vector<std::int64_t> input_shape(const Preprocess& preprocess);
std::size_t input_elements(const Preprocess& preprocess);

/// "none" | "scale:K" | "volume-percentile" | "slice-zscore". throws UsageError
void set_standardisation(Preprocess& preprocess, const std::string& text);
std::string standardisation_name(const Preprocess& preprocess);
Json to_json(const Preprocess& preprocess);
Preprocess preprocess_from_json(const Json& object, const std::string& name);

/// Facts of a whole image that its slices' standardisation needs, computed once per image.
/// volume-percentile: x -> (x - p1) / (p99 - p1), percentiles 1 and 99 of the whole image
/// (Hyndman and Fan 1996, type 7); a constant image maps to 0.
struct Scaling {
  double offset = 0, factor = 1;
};
Scaling measure_scaling(const image::Volume& volume, const Preprocess& preprocess);
bool scales_by_image(const Preprocess& preprocess);  // whether it looks at the image

/// Stored slices that a sample is made of, in the order of the input: towards right, anterior or
/// superior. Beside the first and the last slice of an image stands that slice again; a whole image
/// is cropped or padded about its middle along roles_of(volume).slice, and nullopt is a slice of
/// padding.
/// throws DataError when the slice is not in the image, the image is not one slice and the sample
/// names none, or a sample of whole images names one
std::vector<std::optional<Slice>> input_slices(const image::Volume& volume,
                                               const std::optional<Slice>& slice,
                                               const Preprocess& preprocess);

/// One sample's pixels, input_shape(preprocess), magnitude: of coils (dim4) the root of the sum of
/// squares, of other frames the first. Rows run superior to inferior
/// (or anterior to posterior in an axial slice), columns right to left, or anterior to posterior
/// (radiological). out has input_elements(preprocess) elements. Errors as input_slices.
void extract(const image::Volume& volume, const std::optional<Slice>& slice, const Scaling& scaling,
             const Preprocess& preprocess, float* out);

/// The same of the slices that input_slices gave, which may be of another volume on the same axes.
void extract(const image::Volume& volume, const std::vector<std::optional<Slice>>& slices,
             const Scaling& scaling, const Preprocess& preprocess, float* out);

/// Rows and columns of the picture that extract() makes before resampling, cropping and padding,
/// and their voxel size. Errors as extract.
struct PictureSize {
  std::array<int, 2> size;           // rows, columns
  std::array<double, 2> spacing_mm;  // between rows, between columns
};
PictureSize picture_size(const image::Volume& volume, const std::optional<Slice>& slice);

}  // namespace mr::dataset
