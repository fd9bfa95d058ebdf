#include "artifact/export/lossy.h"

#include <algorithm>
#include <cmath>

#include "artifact/export/intensity.h"

namespace mr::artifact {

Drawn through_codec(const Context& context,
                    std::function<image::GreyPixels(const image::GreyPixels&)> codec) {
  const bool rows_along_readout = context.roles.readout < context.roles.phase_encode;
  const double step = context.facts.maximum / 255;
  Drawn drawn;
  drawn.values.set("step", step);
  drawn.apply = [codec = std::move(codec), rows_along_readout, step,
                 complex_image = context.volume.is_complex()](Block& block, int threads) {
    const auto lines = block.lines(), readout = block.readout();
    const auto pixel = [&](std::int64_t y, std::int64_t x) {
      return static_cast<std::size_t>(rows_along_readout ? y * readout + x : x * lines + y);
    };
    on_magnitude(block, complex_image, threads, [&](float* values, std::int64_t) {
      image::GreyPixels grey;
      grey.width = static_cast<int>(rows_along_readout ? readout : lines);
      grey.height = static_cast<int>(rows_along_readout ? lines : readout);
      grey.pixels.resize(static_cast<std::size_t>(block.plane_size()));
      for (std::int64_t y = 0; y < lines; ++y)
        for (std::int64_t x = 0; x < readout; ++x)
          grey.pixels[pixel(y, x)] = static_cast<std::uint8_t>(std::nearbyint(
              std::clamp(static_cast<double>(values[y * readout + x]) / step, 0.0, 255.0)));
      grey = codec(grey);
      for (std::int64_t y = 0; y < lines; ++y)
        for (std::int64_t x = 0; x < readout; ++x)
          values[y * readout + x] = static_cast<float>(step * grey.pixels[pixel(y, x)]);
    });
  };
  return drawn;
}

}  // namespace mr::artifact
