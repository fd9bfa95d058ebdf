#include "artifact/tissue.h"

#include <array>

namespace mr::artifact {

// T1 and T2 of muscle, cartilage, synovial fluid, subcutaneous fat and marrow: Gold et al. 2004,
// AJR 183:343 (in vivo knees, 1.5 and 3 T). T2 of meniscus at 3 T: Rauscher et al. 2008, Radiology
// 249:591 (healthy, 11.4 ms). Cortical bone, whose T2 below 1 ms leaves no spin-echo signal:
// Reichert et al. 2005, Magn Reson Imaging 23:611 (order of magnitude). Assumed: all proton
// densities and fat fractions; meniscus T1 and its T2 at 1.5 T; ligament; skin; oedema (marrow with
// most of its fat replaced by water); vessel (slow venous blood).
const TissueProperties& properties(Tissue tissue) {
  static constexpr std::array<TissueProperties, tissue_count> table{{
      {"air", 0, 0, {1, 1}, {1, 1}},
      {"skin", 0.65, 0, {900, 25}, {1100, 22}},
      {"fat", 0.90, 0.95, {288, 165}, {371, 133}},
      {"muscle", 0.80, 0, {1130, 35.3}, {1420, 31.7}},
      {"marrow", 0.85, 0.90, {288, 165}, {365, 133}},
      {"cortical_bone", 0.20, 0, {200, 0.5}, {250, 0.5}},
      {"cartilage", 0.75, 0, {1060, 42.1}, {1240, 36.9}},
      {"meniscus", 0.70, 0, {800, 12.5}, {950, 11.4}},
      {"ligament", 0.65, 0, {750, 8}, {900, 7}},
      {"fluid", 1.00, 0, {2850, 1210}, {3620, 767}},
      {"oedema", 0.90, 0.25, {1000, 110}, {1250, 95}},
      {"vessel", 0.85, 0, {1450, 180}, {1700, 120}},
  }};
  return table[static_cast<std::size_t>(tissue)];
}

}  // namespace mr::artifact
