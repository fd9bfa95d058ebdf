// What a sequence makes of a tissue's relaxation times, relative to its proton density. Times in
// ms, angles in radians.
#pragma once
#include <cmath>

namespace mr::artifact {

/// exp(-TE/T2) (1 - exp(-TR/T1)), TE much shorter than TR.
/// source  Haacke et al. 1999, Magnetic Resonance Imaging, ch. 8
inline double spin_echo(double te, double tr, double t1, double t2) {
  return std::exp(-te / t2) * -std::expm1(-tr / t1);
}

/// |1 - 2 exp(-TI/T1) + exp(-TR/T1)|, before the decay by T2.
/// source  Bydder et al. 1985, J Comput Assist Tomogr 9:659
inline double inversion_recovery(double ti, double tr, double t1) {
  return std::fabs(1 - 2 * std::exp(-ti / t1) + std::exp(-tr / t1));
}

/// sin(a) (1 - E1) / (1 - E1 cos(a)), E1 = exp(-TR/T1), before the decay by T2*.
/// source  Haacke et al. 1999, ch. 18 (Ernst and Anderson 1966)
inline double spoiled_gradient_echo(double flip, double tr, double t1) {
  const double e1 = std::exp(-tr / t1);
  return std::sin(flip) * (1 - e1) / (1 - e1 * std::cos(flip));
}

}  // namespace mr::artifact
