// How long intervals of one AUROC take: of 5,000 scores in 500 subjects, by 2000 resamples and by
// influences. On one thread; prints a line of JSON.
#include <algorithm>
#include <chrono>
#include <iostream>

#include "base/json.h"
#include "stats/contrast.h"
#include "stats/resampled.h"

using namespace mr::stats;

namespace {

Cases simulated(std::int32_t subjects, int samples) {
  const auto key = mr::random_key(1, {"speed"});
  Cases cases;
  cases.subjects = subjects;
  std::uint64_t draw = 0;
  for (std::int32_t p = 0; p < subjects; ++p) {
    const double effect = mr::normal(key, draw++);
    for (int s = 0; s < samples; ++s) {
      const bool positive = mr::uniform(key, draw++) < 0.3;
      cases.truth.push_back(positive);
      cases.scores.push_back(static_cast<float>(effect + mr::normal(key, draw++) + positive));
      cases.subject.push_back(p);
    }
  }
  return cases;
}

/// Milliseconds, the least of several.
template <typename Work>
double milliseconds(const Work& work) {
  double least = 1e9;
  for (int repetition = 0; repetition < 7; ++repetition) {
    const auto began = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
    least = std::min(least, took.count());
  }
  return least;
}

}  // namespace

int main() {
  const auto cases = simulated(500, 10);
  double width = 0;  // so that nothing is left out
  const double bootstrap = milliseconds([&] {
    const auto b = cluster_bootstrap(mr::random_key(1, {"resamples"}), cases.subjects, 2000,
                                     ResampledAuroc(cases), 1);
    width += *b.high - *b.low;
  });
  const double influence = milliseconds([&] {
    const auto u = linearize(Metric::auroc, cases);
    const auto e = estimate({{{*u.value}, {u.influence}}}, u.subjects, Scale::logit);
    width += *e.high - *e.low;
  });
  std::cout << mr::Json{{"bootstrap_ms", bootstrap}, {"influence_ms", influence}, {"width", width}}
            << "\n";
}
