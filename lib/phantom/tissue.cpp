#include "phantom/tissue.h"

#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace mr::phantom {

const char* sequence_name(Sequence sequence) {
  return sequence == Sequence::pd ? "pd" : "pdfs";
}

double signal(Tissue tissue, const SpinEcho& spin_echo) {
  if (spin_echo.field_t != 1.5 && spin_echo.field_t != 3)
    throw DataError("signal: want a field of 1.5 or 3 T, got " + shortest(spin_echo.field_t));
  const auto& p = properties(tissue);
  const auto& times = spin_echo.field_t == 3 ? p.at_3t : p.at_1_5t;
  const double kept =
      spin_echo.sequence == Sequence::pdfs ? 1 - p.fat_fraction * (1 - spin_echo.fat_residual) : 1;
  return kept * p.proton_density * (1 - std::exp(-spin_echo.tr_ms / times.t1_ms)) *
         std::exp(-spin_echo.te_ms / times.t2_ms);
}

}  // namespace mr::phantom
