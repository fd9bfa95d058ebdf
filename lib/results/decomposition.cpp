#include "results/decomposition.h"

namespace mr::results {

Decomposition decompose(const Study& study, const std::string& arm,
                        const std::optional<std::string>& artifact) {
  const auto mean = [&](Part part) {
    return artifact ? study.over_severities(arm, *artifact, part) : study.endpoint(arm, part);
  };
  const auto x = study.clean(arm), y = mean(Part::all);
  const auto matched = mean(Part::structure), scaled = mean(Part::gain);
  return {x - y, 0.5 * ((x - scaled) + (matched - y)), 0.5 * ((x - matched) + (scaled - y)),
          (x - scaled) - (matched - y)};
}

ThresholdLoss threshold_loss(const Study& study, const std::string& arm,
                             const std::optional<std::string>& artifact) {
  const auto y = artifact ? study.over_severities(arm, *artifact) : study.endpoint(arm);
  const auto clean = 2.0 * study.clean(arm), frozen = 2.0 * y;
  const auto retuned = 2.0 * Study::retuned(y);
  return {clean - frozen, clean - retuned, retuned - frozen};
}

Advantage advantage(const Study& study, const std::string& arm, const std::string& baseline) {
  const auto as_drawn = study.endpoint(arm) - study.endpoint(baseline);
  const auto matched =
      study.endpoint(arm, Part::structure) - study.endpoint(baseline, Part::structure);
  return {as_drawn, matched, as_drawn - matched};
}

}  // namespace mr::results
