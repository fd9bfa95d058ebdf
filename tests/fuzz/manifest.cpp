// Bytes as a manifest.
#include "dataset/manifest.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <sstream>

#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n) {
  using namespace mr::dataset;
  try {
    ManifestReader reader(
        std::make_unique<std::istringstream>(std::string(reinterpret_cast<const char*>(bytes), n)),
        "input", "/nowhere");
    ImageEntry entry;
    for (bool more = true; more;) try {
        more = reader.next(entry);
      } catch (const EntryError&) {
      }
  } catch (const mr::Error&) {
  }
  return 0;
}
