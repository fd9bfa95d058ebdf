#include <cmath>

#include "artifact/encoded_axes.h"

namespace mr::artifact {
namespace {

bool acts(const Values& values) {
  return values.at("fraction") != 1;
}

/// Keeps |k| <= f n / 2 along each encoded axis. The unpaired frequency of an even length is
/// dropped, so that a real image stays real; zero frequency, and with it the mean, is kept.
Drawn draw(const Context& context, const Values& values) {
  // Products such as 0.7 * 20 / 2 may miss the whole number that they stand for by rounding.
  const double fraction = values.at("fraction"), rounding = 1e-9;
  Drawn drawn;
  drawn.weights = along_encoded_axes(context, [&](double k, double n) {
    return std::fabs(k) <= fraction * n / 2 + rounding ? 1.0 : 0.0;
  });
  return drawn;
}

}  // namespace

Artifact truncation() {
  return {{"truncation",
           "Too little of k-space measured: ringing along sharp edges (Gibbs), loss of detail",
           "Czervionke et al. 1988, AJNR 9:815 (truncation artifacts); Gibbs 1899",
           Stage::encoding,
           {{"fraction",
             "1",
             "share of k-space that is kept along each encoded axis",
             0.01,
             1,
             {0.7, 0.5, 0.4, 0.3, 0.2},
             1}},
           2,
           false},
          acts,
          draw,
          true};
}

}  // namespace mr::artifact
