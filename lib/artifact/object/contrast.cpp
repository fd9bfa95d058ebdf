#include "artifact/object/contrast.h"

#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace mr::artifact {

double time_of(const char* artifact, const char* name, const Values& values,
               const std::optional<double>& stated) {
  if (values.at(name) > 0) return values.at(name);
  if (stated && *stated > 0) return *stated;
  const std::string member = name;
  throw DataError(artifact + (": " + member) + " of the image is unknown: give " + member +
                  (member == "flip_deg" ? "=DEG" : "=MS") + " with the artifact, or acquisition." +
                  member + " in the manifest");
}

std::array<Relaxation, tissue_count> relaxation_of(const char* artifact, const Context& context,
                                                   const Values& values) {
  const auto& stated = context.volume.acquisition.field_t;
  const double field = values.at("field_t") > 0 ? values.at("field_t") : stated.value_or(0);
  if (!(field > 0))
    throw DataError(std::string(artifact) +
                    ": field_t of the image is unknown: give field_t=1.5 or 3 with the artifact, "
                    "or acquisition.field_t in the manifest");
  const bool high = std::fabs(field - 3) < 0.3;
  if (!high && !(std::fabs(field - 1.5) < 0.15))
    throw DataError(std::string(artifact) + ": T1 and T2 are known at 1.5 and 3 T, not at " +
                    shortest(field) + " T");
  std::array<Relaxation, tissue_count> all{};
  for (int t = 0; t < tissue_count; ++t) {
    const auto& p = properties(static_cast<Tissue>(t));
    all[static_cast<std::size_t>(t)] = high ? p.at_3t : p.at_1_5t;
  }
  return all;
}

MapSlices tissue_slices(const char* artifact, const Context& context) {
  for (const float t : context.maps.at(Map::tissue).voxels)
    if (!(t >= 0 && t < static_cast<float>(tissue_count) && t == std::floor(t)))
      throw DataError(std::string(artifact) + ": the tissue map: want whole numbers 0.." +
                      std::to_string(tissue_count - 1) + ", got " +
                      shortest(static_cast<double>(t)));
  return map_slices(context, Map::tissue);
}

void scale_by_tissue(const MapSlices& tissues, const PerTissue& factors, Block& block,
                     int threads) {
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    const auto& tissue = (*tissues)[static_cast<std::size_t>(slice)];
    for (std::int64_t i = 0; i < tissue.size(); ++i) {
      const auto factor = static_cast<float>(factors[static_cast<std::size_t>(tissue[i])]);
      re[i] *= factor;
      if (im) im[i] *= factor;
    }
  });
}

Record by_name(const PerTissue& numbers) {
  Record all;
  for (int t = 0; t < tissue_count; ++t)
    all.set(properties(static_cast<Tissue>(t)).name, numbers[static_cast<std::size_t>(t)]);
  return all;
}

}  // namespace mr::artifact
