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
  for (std::int64_t i = 0; i < n; ++i) {
    const bool within = (tissue[i] >= 0) & (tissue[i] < tissue_count);
    const float t = within ? tissue[i] : 0.5f;
    known += static_cast<float>(static_cast<std::int32_t>(t)) == t;
  }
  return known;
}

#ifndef __clang__  // which has no shuffle by a vector of indices
using Floats = float __attribute__((vector_size(32)));
using Indices = std::int32_t __attribute__((vector_size(32)));

/// From a table of 16 numbers, in two registers. n  a multiple of 8
MR_SIMD void look_up_eights(const float* tissue, const float* table, std::int64_t n, float* out) {
  Floats low, high;
  __builtin_memcpy(&low, table, sizeof low);
  __builtin_memcpy(&high, table + 8, sizeof high);
  for (std::int64_t i = 0; i < n; i += 8) {
    Floats t;
    __builtin_memcpy(&t, tissue + i, sizeof t);
    const auto index = __builtin_convertvector(t, Indices);
    const Floats found = index < 8 ? __builtin_shuffle(low, index) : __builtin_shuffle(high, index);
    __builtin_memcpy(out + i, &found, sizeof found);
  }
}
#endif

/// In pieces, whose number of voxels fits the counter.
bool all_known(const Array<float>& tissue, int threads) {
  const auto known = parallel_map(threads, parts_of(tissue.size()), [&](auto part) {
    const auto first = part * scan_part, n = std::min(scan_part, tissue.size() - first);
    return count_known(tissue.data() + first, n) == n ? 1 : 0;
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
  static_assert(tissue_count <= 16, "the table has 16 numbers");
  std::array<float, 16> table{};
  std::copy(numbers.begin(), numbers.end(), table.begin());
  std::int64_t done = 0;
#ifndef __clang__
  done = n / 8 * 8;
  look_up_eights(tissue, table.data(), done, out);
#endif
  for (auto i = done; i < n; ++i) out[i] = table[static_cast<std::size_t>(tissue[i])];
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
