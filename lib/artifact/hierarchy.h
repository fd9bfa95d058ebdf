// How noise varies between sites, scanners, patients and slices: a sum of levels in its logarithm.
#pragma once
#include <string>
#include <vector>

#include "base/random.h"

namespace mr::artifact {

/// Standard deviations of log sigma that each level adds, and the correlation of neighbouring
/// slices.
struct NoiseSpread {
  double site = 0.25, scanner = 0.15, patient = 0.10, slice = 0.05;
  double slice_correlation = 0.8;
};

/// Whom an image belongs to. An id means the same wherever it stands: scanners of two sites have
/// different ids.
struct NoiseIds {
  std::string site, scanner, patient, session;
};

/// log(sigma / sigma_phys) of the slices of a session: u_site + v_scanner + w_patient + x_slice.
/// Each draw is keyed by the seed and the id of its own level, so that all that is below shares it,
/// in whatever order and batch it is asked for. source  artifacts.md section 7 (variance
/// components; x autoregressive of first order)
std::vector<double> log_sigma(std::uint64_t seed, const NoiseIds& ids, std::int64_t slices,
                              const NoiseSpread& spread = {});

/// x_0 ~ N(0, std^2), x_z = rho x_(z-1) + sqrt(1 - rho^2) std e_z: of variance std^2 everywhere.
std::vector<double> autoregressive(RandomKey key, std::int64_t n, double rho, double std);

}  // namespace mr::artifact
