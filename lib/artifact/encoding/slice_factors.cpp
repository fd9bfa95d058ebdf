#include "artifact/encoding/slice_factors.h"

#include "base/error.h"

namespace mr::artifact {

void require_slices(const Context& context, const std::string& artifact) {
  if (context.is_3d())
    throw DataError(artifact +
                    ": want slices that are excited one by one, but the encoding is 3-D");
}

Drawn scale_slices(std::vector<double> factors) {
  Drawn drawn;
  drawn.values.set("factors", factors);
  drawn.apply = [factors = std::move(factors)](Block& block, int threads) {
    const auto n = block.plane_size();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      const auto factor = static_cast<float>(factors[static_cast<std::size_t>(slice)]);
      if (factor == 1) return;
      for (std::int64_t i = 0; i < n; ++i) re[i] *= factor;
      for (std::int64_t i = 0; im && i < n; ++i) im[i] *= factor;
    });
  };
  return drawn;
}

}  // namespace mr::artifact
