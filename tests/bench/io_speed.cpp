// io_speed FILE...: how fast images are read, and NIfTI written in memory. On one thread, in a
// process that has started; a line of JSON for each.
#include <chrono>
#include <iostream>
#include <limits>

#include "base/json.h"
#include "base/run.h"
#include "image/image_file.h"

namespace {

/// Seconds, the least of several.
template <typename Work>
double seconds(const Work& work) {
  double least = std::numeric_limits<double>::infinity();
  for (int repetition = 0; repetition < 5; ++repetition) {
    const auto began = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    least = std::min(least, took.count());
  }
  return least;
}

}  // namespace

int main(int argc, char** argv) {
  mr::keep_freed_memory();
  for (int i = 1; i < argc; ++i) {
    const std::string path = argv[i];
    mr::image::Volume volume;
    const double read = seconds([&] { volume = mr::image::read_image(path); });
    mr::Json line = {{"file", path},
                     {"mb", static_cast<double>(mr::count(volume.shape())) * 4 / 1e6},
                     {"read_s", read}};
    if (mr::image::natural_extension(volume).rfind(".nii", 0) == 0)
      for (const bool packed : {false, true})
        line[packed ? "pack_s" : "write_s"] = seconds([&] {
          std::size_t bytes = 0;
          mr::image::encode_image(volume, {""}, packed, 0,
                                  [&](std::string_view more) { bytes += more.size(); });
        });
    std::cout << mr::to_line(line) << std::endl;
  }
}
