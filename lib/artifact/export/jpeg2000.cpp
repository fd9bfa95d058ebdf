#include "artifact/export/lossy.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("ratio") != 0;
}

Drawn draw(const Context& context, const Values& values) {
  const double ratio = std::max(1.0, values.at("ratio"));
  return through_codec(context, [ratio](const image::GreyPixels& grey) {
    return image::decode_jpeg2000(image::encode_jpeg2000(grey, ratio));
  });
}

}  // namespace

Artifact jpeg2000() {
  return {{"jpeg2000",
           "Export as an 8-bit JPEG 2000 file: smeared texture, ringing wavelets at edges",
           "Taubman and Marcellin 2002, JPEG2000 (irreversible 9/7 transform)",
           Stage::export_,
           {{"ratio",
             "1",
             "bytes at 8 bits a voxel / bytes of the file; 1 at least, 0: no file",
             0,
             1000,
             {10, 20, 40, 60, 100},
             0}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
