// Bytes as an image: NIfTI, DICOM or PNG, whatever they begin like.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "image/image_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n) {
  try {
    auto volume = mr::image::read_image({reinterpret_cast<const char*>(bytes), n}, "input");
    mr::image::quantise(volume);
    if (mr::image::natural_extension(volume) != "") mr::image::encode_image(volume, {"x"}, false);
  } catch (const mr::Error&) {
  }
  return 0;
}
