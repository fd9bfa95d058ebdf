// Series of images in one NIfTI file, taken through a recipe frame by frame: a few frames are held,
// however many there are. The bits are those of the whole series in memory.
#pragma once
#include <functional>
#include <string>

#include "artifact/recipe.h"
#include "dataset/manifest.h"
#include "image/image_file.h"

namespace mr::dataset {

/// Can the image of an entry go through the recipe so? Not where frames are coils, where its phase
/// is another image, or where a step looks at the voxels of all frames.
/// source  as in Series
bool goes_by_frames(const image::ImageReader& image, const image::ImageReader* source,
                    const ImageEntry& entry, const artifact::Recipe& recipe);

/// Facts of a series, without its foreground.
/// name  for messages
/// see   called with every frame, once and in order
artifact::Facts measure_series(image::ImageReader& image, const std::string& name, int threads,
                               const std::function<void(const image::Volume&)>& see = {});

struct Series {
  image::ImageReader& image;
  image::ImageReader* source;  // the clean series, where that is another one; else null
  const ImageEntry& entry;     // its acquisition, and its file's name for messages
  artifact::Facts facts;       // of the clean series
  artifact::Maps maps;
  std::string datatype;  // of the numbers written; "": the file's own
  bool compared;         // with the clean series, as a manifest says
};

struct CorruptedSeries {
  Json artifacts;               // of all frames where they were compared, else of the first
  artifact::Fidelity fidelity;  // where they were compared
};

/// Takes the frames to where they are written. artifacts  as they were done to the first frame
using WriteFrames = std::function<void(const image::Volume& first, const image::NextFrame& next,
                                       const Json& artifacts)>;

/// can_write_again  where numbers of the file turn out too small for the result, `write` is called
///                  once more, as `next` throws to end the first try. Else all frames are tried
///                  before any is written
/// throws           DataError as corrupt_image
CorruptedSeries corrupt_series(Series series, const artifact::Recipe& recipe, artifact::Draw draw,
                               int threads, bool can_write_again, const WriteFrames& write);

}  // namespace mr::dataset
