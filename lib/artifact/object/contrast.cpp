#include "artifact/object/contrast.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "kspace/simd.h"

namespace mr::artifact {
namespace {

inline bool is_tissue(float t) {
  const auto whole = static_cast<float>(static_cast<std::int32_t>(t));
  return t >= 0 && t < static_cast<float>(tissue_count) && t == whole;
}

MR_SIMD std::int64_t count_wrong(const float* tissue, std::int64_t n) {
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < n; ++i) wrong += !is_tissue(tissue[i]);
  return wrong;
}

MR_SIMD void scale(const float* tissue, const float* factors, std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) values[i] *= factors[static_cast<std::int32_t>(tissue[i])];
}

}  // namespace

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
  const auto& map = context.maps.at(Map::tissue).voxels;
  if (count_wrong(map.data(), map.size()) > 0) {
    const float wrong =
        *std::find_if(map.begin(), map.end(), [](float t) { return !is_tissue(t); });
    throw DataError(std::string(artifact) + ": the tissue map: want whole numbers 0.." +
                    std::to_string(tissue_count - 1) + ", got " +
                    shortest(static_cast<double>(wrong)));
  }
  return map_slices(context, Map::tissue);
}

void scale_by_tissue(const MapSlices& tissues, const PerTissue& factors, Block& block,
                     int threads) {
  const std::vector<float> table(factors.begin(), factors.end());
  const auto n = block.readout();
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    std::vector<float> copy;
    for (std::int64_t line = 0; line < block.lines(); ++line) {
      const float* tissue = tissues.line(slice, line, copy);
      scale(tissue, table.data(), n, re + line * n);
      if (im) scale(tissue, table.data(), n, im + line * n);
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
