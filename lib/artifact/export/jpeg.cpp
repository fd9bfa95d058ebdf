#include <algorithm>
#include <cmath>
#include <limits>

#include "artifact/export/lossy.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return std::isfinite(values.at("quality"));
}

Drawn draw(const Context& context, const Values& values) {
  const int quality = static_cast<int>(std::lround(std::min(100.0, values.at("quality"))));
  auto drawn = through_codec(context, [quality](const image::GreyPixels& grey) {
    return image::decode_jpeg(image::encode_jpeg(grey, quality));
  });
  drawn.values.set("quality", quality);
  return drawn;
}

}  // namespace

Artifact jpeg() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {{"jpeg",
           "Export as an 8-bit JPEG file: blocks of 8 x 8 voxels, mosquito noise at edges",
           "Wallace 1992, IEEE Trans Consum Electron 38:xviii; ladder: Di Salvo et al. 2024, "
           "MedMNIST-C",
           Stage::export_,
           {{"quality",
             "1",
             "libjpeg's quality, 1 to 100; what is above counts as 100",
             1,
             infinity,
             {50, 30, 15, 10, 7},
             infinity}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
