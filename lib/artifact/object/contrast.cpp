#include "artifact/object/contrast.h"

#include <algorithm>
#include <cmath>

#include "artifact/rows.h"
#include "base/error.h"
#include "base/simd.h"
#include "base/text.h"
#include "base/threads.h"

namespace mr::artifact {
namespace {

bool is_tissue(float t) {
  return t >= 0 && t < tissue_count && t == std::floor(t);
}

MR_SIMD std::int32_t count_known(const float* tissue, std::int64_t n) {
  std::int32_t known = 0;
  for (std::int64_t i = 0; i < n; ++i)
    for (int t = 0; t < tissue_count; ++t) known += tissue[i] == static_cast<float>(t);
  return known;
}

/// In pieces, whose number of voxels fits the counter.
bool all_known(const Array<float>& tissue, int threads) {
  constexpr std::int64_t piece = 1 << 18;
  const auto known = parallel_map(threads, (tissue.size() + piece - 1) / piece, [&](auto index) {
    const auto n = std::min(piece, tissue.size() - index * piece);
    return count_known(tissue.data() + index * piece, n) == n ? 1 : 0;
  });
  return std::count(known.begin(), known.end(), 0) == 0;
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

void look_up(const float* tissue, const PerTissue& numbers, std::int64_t n, float* out) {
  std::array<float, tissue_count> table{};
  std::copy(numbers.begin(), numbers.end(), table.begin());
  // Not vector code: gathers are slower than loads one by one.
  for (std::int64_t i = 0; i < n; ++i) out[i] = table[static_cast<std::size_t>(tissue[i])];
}

MapSlices tissue_slices(const char* artifact, const Context& context) {
  const auto& map = context.maps.at(Map::tissue).voxels;
  if (!all_known(map, context.threads)) {
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
  const auto n = block.readout();
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    std::vector<float> by(static_cast<std::size_t>(n)), copy;
    for (std::int64_t line = 0; line < block.lines(); ++line) {
      look_up(tissues.line(slice, line, copy), factors, n, by.data());
      multiply_row(by.data(), n, re + line * n);
      if (im) multiply_row(by.data(), n, im + line * n);
    }
  });
}

Parameter stated(const char* name, const char* unit, const std::string& description, double high) {
  return {name, unit, description, 0, high, {0, 0, 0, 0, 0}, 0};
}

Record by_name(const PerTissue& numbers) {
  Record all;
  for (int t = 0; t < tissue_count; ++t)
    all.set(properties(static_cast<Tissue>(t)).name, numbers[static_cast<std::size_t>(t)]);
  return all;
}

}  // namespace mr::artifact
