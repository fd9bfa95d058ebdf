// Vector code: a loop marked MR_SIMD is compiled for each of the machine's vector widths and the
// widest is taken at start-up. One machine always takes the same path, so bits repeat.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MR_SIMD __attribute__((target_clones("avx512f", "fma", "default"), optimize("O3")))
#else
#define MR_SIMD
#endif

namespace mr {

/// 16 numbers side by side: sums that must stay in registers are declared as these.
using Lanes = float __attribute__((vector_size(64), may_alias));
constexpr int lane_count = 16;

}  // namespace mr
