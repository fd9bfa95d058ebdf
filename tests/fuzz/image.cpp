// Bytes as an image: NIfTI, DICOM or PNG, whatever they begin like; a series whole and by frames.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "image/image_file.h"

namespace {

/// Ends the process where frames one by one are another image than they are together.
void compare_frames(const std::string& bytes, const mr::image::Volume& whole) {
  mr::image::ImageReader reader(bytes, "input");
  if (!reader.has_frames()) return;
  const auto size = mr::count(whole.shape()) / whole.frames();
  for (const int pass : {1, 2}) {
    if (pass == 2) reader.rewind();
    for (std::int64_t f = 0; f < whole.frames(); ++f) {
      const auto frame = reader.next_frame();
      const bool same = whole.is_complex()
                            ? std::equal(frame.complex_voxels.begin(), frame.complex_voxels.end(),
                                         whole.complex_voxels.begin() + f * size)
                            : std::equal(frame.voxels.begin(), frame.voxels.end(),
                                         whole.voxels.begin() + f * size);
      if (!same) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n) {
  try {
    const std::string bytes(reinterpret_cast<const char*>(data), n);
    auto volume = mr::image::read_image(bytes, "input");
    compare_frames(bytes, volume);
    mr::image::quantise(volume);
    if (mr::image::natural_extension(volume) != "") mr::image::encode_image(volume, {"x"}, false);
  } catch (const mr::Error&) {
  }
  return 0;
}
