// Phases that grow evenly along a line: the Fourier transform of a shift.
#pragma once
#include <cstdint>

namespace mr::kspace {

/// Multiplies sample x of a complex line by exp(i (start + x step)); angles in rad, the phase by
/// repeated rotation in double precision.
void multiply_phase_ramp(double start, double step, std::int64_t n, float* re, float* im);

}  // namespace mr::kspace
