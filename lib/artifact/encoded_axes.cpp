#include "artifact/encoded_axes.h"

namespace mr::artifact {

AxisWeights along_encoded_axes(const Context& context,
                               const std::function<double(double k, double n)>& weight) {
  const auto along = [&](std::int64_t n) {
    std::vector<std::complex<double>> weights;
    for (std::int64_t i = 0; n > 1 && i < n; ++i)
      weights.emplace_back(weight(static_cast<double>(i - n / 2), static_cast<double>(n)));
    return weights;
  };
  AxisWeights all{{}, along(context.lines()), along(context.readout())};
  if (context.is_3d()) all.slice = along(context.slices());
  return all;
}

}  // namespace mr::artifact
