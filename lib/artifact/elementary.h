// Elementary functions without branches or calls, so that loops over voxels (marked MR_SIMD) become
// vector code. Outside such loops the standard library's are the ones to take.
#pragma once
#include <algorithm>
#include <cstdint>

namespace mr::artifact {

/// exp(x) to 2e-7 for |x| < 41, about 2^-60 or 2^60 beyond, so that images stay finite: 2^k exp(r),
/// |r| <= ln(2) / 2, Taylor to r^7. Adding 1.5 2^23 rounds to a whole number, which then stands in
/// the lowest bits; ln 2 is taken off in two parts, the first of few bits.
[[gnu::always_inline]] inline float fast_exp(float x) {
  const float rounder = 12582912.0f, rounded = x * 1.44269504f + rounder;
  const float whole = rounded - rounder;
  const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  const float series =
      1.0f + r * (1.0f + r * (0.5f + r * (1.66666667e-1f +
                                          r * (4.16666667e-2f +
                                               r * (8.33333333e-3f +
                                                    r * (1.38888889e-3f + r * 1.98412698e-4f))))));
  std::int32_t k;
  __builtin_memcpy(&k, &rounded, sizeof k);
  const std::int32_t exponent = std::min(std::max(k - 0x4B400000, -60), 60);
  const std::int32_t bits = (exponent + 127) * (1 << 23);
  float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return series * power;
}

/// log(x) of a normal positive number, to 2e-7 of max(1, |log x|): x = 2^k m, m within
/// [sqrt(1/2), sqrt(2)), log m = 2 artanh((m - 1) / (m + 1)), whose series is taken to the 9th
/// power.
[[gnu::always_inline]] inline float fast_log(float x) {
  std::int32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  const std::int32_t k = (bits - 0x3F3504F3) >> 23;  // exponent above sqrt(1/2)
  const std::int32_t mantissa = bits - k * (1 << 23);
  float m;
  __builtin_memcpy(&m, &mantissa, sizeof m);
  const float s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
  const float series =
      2.0f * s *
      (1.0f + s2 * (3.33333333e-1f + s2 * (2.0e-1f + s2 * (1.42857143e-1f + s2 * 1.11111111e-1f))));
  const auto whole = static_cast<float>(k);
  return whole * 0.693359375f + (series - whole * 2.12194440e-4f);
}

/// Largest whole number that is not above x, |x| < 2^31: the C library's becomes vector code on few
/// machines.
inline float fast_floor(float x) {
  const auto towards_0 = static_cast<float>(static_cast<std::int32_t>(x));
  return towards_0 - (towards_0 > x ? 1.0f : 0.0f);
}

struct SineCosine {
  float sine, cosine;
};

/// Of an angle [rad], to 2e-7 for |angle| < 1000: the angle less the nearest quarter turn, taken
/// off in three parts, by Taylor series to the 9th power.
[[gnu::always_inline]] inline SineCosine fast_sine_cosine(float angle) {
  const float rounder = 12582912.0f, rounded = angle * 0.636619772f + rounder;
  const float whole = rounded - rounder;
  const float r = ((angle - whole * 1.5703125f) - whole * 4.837512970e-4f) - whole * 7.54978995e-8f;
  const float r2 = r * r;
  const float sine =
      r * (1.0f - r2 * (1.66666667e-1f -
                        r2 * (8.33333333e-3f - r2 * (1.98412698e-4f - r2 * 2.75573192e-6f))));
  const float cosine =
      1.0f - r2 * (0.5f - r2 * (4.16666667e-2f - r2 * (1.38888889e-3f - r2 * 2.48015873e-5f)));
  std::int32_t quarter;
  __builtin_memcpy(&quarter, &rounded, sizeof quarter);
  const bool swapped = (quarter & 1) != 0;
  const float a = swapped ? cosine : sine, b = swapped ? sine : cosine;
  return {(quarter & 2) != 0 ? -a : a, ((quarter + 1) & 2) != 0 ? -b : b};
}

}  // namespace mr::artifact
