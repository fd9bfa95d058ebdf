// Bytes as a file of k-space: HDF5 (fastMRI, ISMRMRD) or NumPy, by what they begin like.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "image/raw.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n) {
  const int descriptor = memfd_create("raw", MFD_CLOEXEC);
  const auto path = "/proc/self/fd/" + std::to_string(descriptor);
  if (descriptor >= 0 && write(descriptor, bytes, n) == static_cast<ssize_t>(n)) {
    try {
      if (mr::image::is_raw(path)) mr::image::read_raw(path);
    } catch (const mr::Error&) {
    }
  }
  close(descriptor);
  return 0;
}
