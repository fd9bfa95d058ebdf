#include "kspace/phase_ramp.h"

#include <algorithm>
#include <cmath>

#include "base/simd.h"

namespace mr::kspace {
namespace {

constexpr std::int64_t at_once = 8;

struct Ramp {
  alignas(64) double re[at_once], im[at_once];  // of the first samples
  double step_re, step_im;                      // from one group of samples to the next
};

/// ramp  moves on to the end of the line
MR_SIMD void multiply(Ramp& ramp, std::int64_t n, float* re, float* im) {
  const double a = ramp.step_re, b = ramp.step_im;
  for (std::int64_t first = 0; first < n; first += at_once) {
    const auto count = std::min(at_once, n - first);
    for (std::int64_t j = 0; j < count; ++j) {
      const auto c = static_cast<float>(ramp.re[j]), s = static_cast<float>(ramp.im[j]);
      const float x = re[first + j], y = im[first + j];
      re[first + j] = c * x - s * y;
      im[first + j] = c * y + s * x;
    }
    for (std::int64_t j = 0; j < at_once; ++j) {
      const double next = ramp.re[j] * a - ramp.im[j] * b;
      ramp.im[j] = ramp.re[j] * b + ramp.im[j] * a;
      ramp.re[j] = next;
    }
  }
}

}  // namespace

void multiply_phase_ramp(double start, double step, std::int64_t n, float* re, float* im) {
  Ramp ramp;
  const double one_re = std::cos(step), one_im = std::sin(step);
  double a = std::cos(start), b = std::sin(start);
  for (std::int64_t j = 0; j < at_once; ++j) {
    ramp.re[j] = a;
    ramp.im[j] = b;
    const double next = a * one_re - b * one_im;
    b = a * one_im + b * one_re;
    a = next;
  }
  const double angle = static_cast<double>(at_once) * step;
  ramp.step_re = std::cos(angle);
  ramp.step_im = std::sin(angle);
  multiply(ramp, n, re, im);
}

}  // namespace mr::kspace
