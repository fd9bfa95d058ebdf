#include "dataset/calibrate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "base/threads.h"

namespace mr::dataset {
namespace {

constexpr double strongest = 50;    // of at_strength; long before, most parameters end
constexpr double tolerance = 0.02;  // of a target
constexpr int most_bisections = 24;

struct CalibrationImage {
  ImageEntry entry;
  CleanImage clean;
};

/// Up to `most` images, evenly spread over those of the split.
std::vector<ImageEntry> choose(ManifestReader& reader, const CalibrateOptions& options) {
  std::vector<ImageEntry> all;
  for (ImageEntry entry; reader.next(entry);)
    if (options.split.empty() || entry.split == options.split) all.push_back(std::move(entry));
  if (all.empty())
    throw DataError(reader.name() + ": no image" +
                    (options.split.empty() ? "" : " in split '" + options.split + "'"));
  const auto n = static_cast<std::int64_t>(all.size());
  const auto wanted = std::min(n, options.images);
  std::vector<ImageEntry> chosen;
  for (std::int64_t i = 0; i < wanted; ++i)
    chosen.push_back(std::move(all[static_cast<std::size_t>(i * n / wanted)]));
  return chosen;
}

/// The median of E over the images, of an artifact at one strength.
class Damage {
 public:
  Damage(const std::vector<CalibrationImage>& samples, const artifact::Row& row,
         const CalibrateOptions& options)
      : samples_(samples), row_(row), options_(options) {}

  double operator()(double strength) const {
    artifact::Recipe recipe;
    recipe.steps.push_back({row_.name, std::nullopt, artifact::at_strength(row_, strength)});
    std::vector<double> e(samples_.size());
    parallel_for(options_.threads, static_cast<std::int64_t>(samples_.size()), [&](std::int64_t i) {
      throw_if_stopped();
      const auto& sample = samples_[static_cast<std::size_t>(i)];
      const auto result = corrupt_image(
          sample.clean, recipe, draw_of(sample.entry, recipe, options_.seed), sample.entry.file);
      // No positive gain: beyond any damage that can be matched.
      const double value = result.fidelity.nrmse_matched;
      e[static_cast<std::size_t>(i)] =
          std::isnan(value) ? std::numeric_limits<double>::infinity() : value;
    });
    std::sort(e.begin(), e.end());
    const auto n = e.size();
    return n % 2 ? e[n / 2] : 0.5 * (e[n / 2 - 1] + e[n / 2]);
  }

 private:
  const std::vector<CalibrationImage>& samples_;
  const artifact::Row& row_;
  const CalibrateOptions& options_;
};

void require_monotone(const artifact::Row& row, double weaker, double e_weaker, double stronger,
                      double e_stronger) {
  if (e_stronger < e_weaker * (1 - tolerance))
    throw DataError(row.name + ": the median damage falls from " + fixed(e_weaker, 4) +
                    " at strength " + shortest(weaker) + " to " + fixed(e_stronger, 4) + " at " +
                    shortest(stronger) + ": it cannot be calibrated on these images");
}

/// One level: the strength from `low` to the strongest, of damage e_strongest, whose damage is the
/// target. The next level starts there.
Json solve(const artifact::Row& row, const Damage& damage, double target, double e_strongest,
           double& low, double& e_low) {
  require_monotone(row, low, e_low, strongest, e_strongest);
  bool reached = e_strongest >= target * (1 - tolerance);
  double high = strongest, strength = strongest, e = e_strongest;
  for (int n = 0; reached && std::abs(e - target) > tolerance * target; ++n) {
    if (n == most_bisections) {  // the damage jumps over the target
      reached = false;
      break;
    }
    strength = 0.5 * (low + high);
    e = damage(strength);
    if (e < target) {
      require_monotone(row, low, e_low, strength, e);
      low = strength;
      e_low = e;
    } else {
      high = strength;
    }
  }
  low = strength;
  e_low = e;
  Json level = {{"target", target},
                {"e", std::isfinite(e) ? Json(e) : Json()},
                {"strength", strength},
                {"reached", reached}};
  for (const auto& [name, value] : artifact::at_strength(row, strength))
    level["parameters"][name] = value;
  return level;
}

}  // namespace

Json calibrate(ManifestReader& reader, const CalibrateOptions& options, const Messages& messages) {
  artifact::Recipe everything;
  for (const auto& name : options.artifacts)
    everything.steps.push_back({artifact::find(name).name, std::nullopt, {}});
  const auto maps = artifact::used_maps(everything);
  std::vector<CalibrationImage> samples;
  for (auto& entry : choose(reader, options)) {
    auto clean = read_clean(entry, maps);
    samples.push_back({std::move(entry), std::move(clean)});
  }
  Json artifacts = Json::array();
  Progress progress(messages, "calibrating", static_cast<std::int64_t>(options.artifacts.size()));
  for (const auto& name : options.artifacts) {
    const auto& row = artifact::find(name);
    const Damage damage(samples, row, options);
    Json levels = Json::array();
    const double e_strongest = damage(strongest);
    double low = 0, e_low = 0;
    for (const double target : options.targets) {
      levels.push_back(solve(row, damage, target, e_strongest, low, e_low));
      const auto& level = levels.back();
      if (!level["reached"].get<bool>())
        messages.warn(name + ": E = " + fixed(target, 2) + " is not reached; capped " +
                      (level["e"].is_number() ? "at " + fixed(level["e"].get<double>(), 3)
                                              : std::string("where no positive gain is left")));
    }
    artifacts.push_back({{"artifact", name}, {"levels", std::move(levels)}});
    progress.advance();
  }
  Json ids = Json::array();
  for (const auto& sample : samples) ids.push_back(sample.entry.id);
  return {{"schema", "mr-ladder/1"},
          {"artifacts", std::move(artifacts)},
          {"images", std::move(ids)},
          {"split", options.split},
          {"seed", options.seed}};
}

}  // namespace mr::dataset
