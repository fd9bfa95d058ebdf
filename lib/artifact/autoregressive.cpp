#include "artifact/autoregressive.h"

#include <cmath>

namespace mr::artifact {
std::vector<double> autoregressive(RandomKey key, std::int64_t n, double rho, double std) {
  std::vector<double> x;
  for (std::int64_t z = 0; z < n; ++z) {
    const double fresh = std * normal(key, static_cast<std::uint64_t>(z));
    x.push_back(z == 0 ? fresh : rho * x.back() + std::sqrt(1 - rho * rho) * fresh);
  }
  return x;
}

}  // namespace mr::artifact
