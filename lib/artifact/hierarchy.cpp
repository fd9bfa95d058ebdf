#include "artifact/hierarchy.h"

#include <cmath>

namespace mr::artifact {
namespace {

double of_level(std::uint64_t seed, const char* level, const std::string& id) {
  return normal(random_key(seed, {"noise hierarchy", level, id}), 0);
}

}  // namespace

std::vector<double> autoregressive(RandomKey key, std::int64_t n, double rho, double std) {
  std::vector<double> x;
  for (std::int64_t z = 0; z < n; ++z) {
    const double fresh = std * normal(key, static_cast<std::uint64_t>(z));
    x.push_back(z == 0 ? fresh : rho * x.back() + std::sqrt(1 - rho * rho) * fresh);
  }
  return x;
}

std::vector<double> log_sigma(std::uint64_t seed, const NoiseIds& ids, std::int64_t slices,
                              const NoiseSpread& spread) {
  const double shared = spread.site * of_level(seed, "site", ids.site) +
                        spread.scanner * of_level(seed, "scanner", ids.scanner) +
                        spread.patient * of_level(seed, "patient", ids.patient);
  auto x = autoregressive(random_key(seed, {"noise hierarchy", "session", ids.session}), slices,
                          spread.slice_correlation, spread.slice);
  for (auto& value : x) value += shared;
  return x;
}

}  // namespace mr::artifact
