#include "dataset/picture.h"

#include <algorithm>
#include <cmath>

#include "artifact/recipe.h"
#include "dataset/preprocess.h"

namespace mr::dataset {

Picture picture_of(const image::Volume& volume, const std::optional<Slice>& wanted,
                   int longest_px) {
  auto slice = wanted;
  if (!slice) {
    const int axis = artifact::roles_of(volume).slice;
    slice = Slice{axis, volume.length(axis) / 2};
  }
  const auto stored = picture_size(volume, slice);
  Preprocess preprocess;
  preprocess.standardisation = Standardisation::none;
  double extent_mm[2];
  for (std::size_t d = 0; d < 2; ++d) extent_mm[d] = stored.size[d] * stored.spacing_mm[d];
  const double spacing = std::max({extent_mm[0] / longest_px, extent_mm[1] / longest_px,
                                   std::min(stored.spacing_mm[0], stored.spacing_mm[1])});
  preprocess.spacing_mm = spacing;
  for (std::size_t d = 0; d < 2; ++d)
    preprocess.size[d] =
        std::clamp(static_cast<int>(std::lround(extent_mm[d] / spacing)), 1, longest_px);
  Picture picture{preprocess.size[0], preprocess.size[1], {}};
  picture.pixels.resize(static_cast<std::size_t>(picture.rows) *
                        static_cast<std::size_t>(picture.columns));
  extract(volume, slice, {0, 1}, preprocess, picture.pixels.data());
  return picture;
}

float white_of(const Picture& picture) {
  auto pixels = picture.pixels;
  std::sort(pixels.begin(), pixels.end());
  const float high = pixels[(pixels.size() - 1) * 995 / 1000];
  return high > 0 ? high : 1;
}

std::vector<std::uint8_t> to_grey(const Picture& picture, float black, float white) {
  std::vector<std::uint8_t> grey;
  for (const float pixel : picture.pixels) {
    const float part = (pixel - black) / (white - black);
    grey.push_back(static_cast<std::uint8_t>(std::lround(255 * std::clamp(part, 0.0f, 1.0f))));
  }
  return grey;
}

}  // namespace mr::dataset
