// Golden numbers without another source: sets D1 and the robustness toy of the statistical survey,
// computed there with scikit-learn 1.2.1, pROC 1.18 and exhaustive enumeration.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "check.h"
#include "stats/blocks.h"
#include "stats/bootstrap.h"
#include "stats/calibration.h"
#include "stats/contrast.h"
#include "stats/correlation.h"
#include "stats/decision.h"
#include "stats/distribution.h"
#include "stats/influence.h"
#include "stats/multiplicity.h"
#include "stats/permutation.h"
#include "stats/proportion.h"
#include "stats/reliability.h"
#include "stats/resampled.h"
#include "stats/robustness.h"
#include "stats/threshold.h"

using namespace mr::stats;
using doctest::Approx;

namespace {

Approx near(double value, double tolerance = 1e-12) {
  return Approx(value).epsilon(tolerance).scale(0);
}

const std::vector<std::int8_t> d1_truth{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0};
const std::vector<float> d1_a{.1f, .2f, .2f, .4f, .5f, .6f, .4f, .5f, .7f, .8f, .9f, .7f};
const std::vector<float> d1_b{.3f, .1f, .4f, .4f, .2f, .7f, .3f, .6f, .5f, .8f, .6f, .5f};
const std::vector<std::int32_t> d1_patient{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5};

Cases d1(const std::vector<float>& scores) {
  return {scores, d1_truth, d1_patient, 6};
}

Cases singletons(std::vector<float> scores, std::vector<std::int8_t> truth) {
  std::vector<std::int32_t> subject(scores.size());
  std::iota(subject.begin(), subject.end(), 0);
  const auto n = static_cast<std::int32_t>(scores.size());
  return {std::move(scores), std::move(truth), std::move(subject), n};
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double variance(const Linearized& metric) {
  return dot(metric.influence, metric.influence);
}

Arm one_run(const Linearized& metric, double sign = 1) {
  auto influence = metric.influence;
  for (double& u : influence) u *= sign;
  return {{sign * *metric.value}, {influence}};
}

/// Clustered data with ties and unknown truth: scores in quarters, 1 + (p mod 5) samples a subject.
Cases clustered(std::uint64_t seed, std::int32_t subjects) {
  const auto key = mr::random_key(seed, {"clustered"});
  Cases cases;
  cases.subjects = subjects;
  std::uint64_t draw = 0;
  for (std::int32_t p = 0; p < subjects; ++p) {
    const double effect = mr::normal(key, draw++);
    const double prevalence = mr::uniform(key, draw++, 0, 0.8);
    for (int s = 0; s <= p % 5; ++s) {
      const bool positive = mr::uniform(key, draw++) < prevalence;
      const double score = effect + mr::normal(key, draw++) + (positive ? 1 : 0);
      cases.scores.push_back(static_cast<float>(std::round(4 * score) / 4));
      cases.truth.push_back(mr::uniform(key, draw++) < 0.1 ? -1 : positive ? 1 : 0);
      cases.subject.push_back(p);
    }
  }
  return cases;
}

/// Placements by comparing every pair.
struct Placements {
  double area = 0;
  std::vector<double> of_positive, of_negative;
};
Placements brute_force(const Cases& c) {
  Placements v;
  std::vector<std::size_t> pos, neg;
  for (std::size_t i = 0; i < c.truth.size(); ++i) {
    if (c.truth[i] == 1) pos.push_back(i);
    if (c.truth[i] == 0) neg.push_back(i);
  }
  v.of_positive.resize(pos.size());
  v.of_negative.resize(neg.size());
  for (std::size_t i = 0; i < pos.size(); ++i)
    for (std::size_t j = 0; j < neg.size(); ++j) {
      const float x = c.scores[pos[i]], y = c.scores[neg[j]];
      const double won = x > y ? 1 : x == y ? 0.5 : 0;
      v.of_positive[i] += won / static_cast<double>(neg.size());
      v.of_negative[j] += won / static_cast<double>(pos.size());
      v.area += won / static_cast<double>(pos.size() * neg.size());
    }
  return v;
}

double sample_variance(const std::vector<double>& x) {
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
  double sum = 0;
  for (const double value : x) sum += (value - mean) * (value - mean);
  return sum / static_cast<double>(x.size() - 1);
}

}  // namespace

TEST_CASE("AUROC and average precision are those of scikit-learn") {
  CHECK(*auroc(d1_a, d1_truth).value == near(.8142857142857143));
  CHECK(*auroc(d1_b, d1_truth).value == near(.7714285714285714));
  CHECK(*average_precision(d1_a, d1_truth).value == near(.7753968253968255));
  CHECK(*average_precision(d1_b, d1_truth).value == near(.7333333333333333));
}

TEST_CASE("the partial AUROC is pROC's, standardised") {
  // partial.auc = c(1, .8), partial.auc.focus = "spec", partial.auc.correct = TRUE
  CHECK(*linearize(Metric::partial_auroc, d1(d1_a)).value == near(.738095238, 1e-9));
  // No false positive before the last true one; a score for chance: both classes alike.
  CHECK(*linearize(Metric::partial_auroc, singletons({0, 1, 2, 3}, {0, 0, 1, 1})).value == 1);
  CHECK(*linearize(Metric::partial_auroc, singletons({1, 1, 1, 1}, {0, 0, 1, 1})).value ==
        near(.5));
  CHECK(linearize(Metric::partial_auroc, singletons({1, 2}, {0, 0})).reason ==
        "no positive samples");
}

TEST_CASE("the partial AUROC's influence is its derivative by each sample's weight") {
  // Once more with weights, by the definition; the derivative by a central difference. Of the sets
  // some have a vertical piece of the curve at the limit, where it has two.
  const auto partial = [](const Cases& c, const std::vector<double>& weight) {
    std::vector<std::size_t> order(c.scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return c.scores[a] > c.scores[b]; });
    double total[2] = {0, 0};
    for (const auto i : order)
      if (c.truth[i] >= 0) total[c.truth[i]] += weight[i];
    std::vector<std::pair<double, double>> curve{{0, 0}};
    for (std::size_t k = 0; k < order.size(); ++k) {
      const auto i = order[k];
      if (k == 0 || c.scores[i] != c.scores[order[k - 1]]) curve.push_back(curve.back());
      if (c.truth[i] == 0) curve.back().first += weight[i] / total[0];
      if (c.truth[i] == 1) curve.back().second += weight[i] / total[1];
    }
    double area = 0;
    for (std::size_t k = 1; k < curve.size(); ++k) {
      const auto [x0, y0] = curve[k - 1];
      const auto [x1, y1] = curve[k];
      const double end = std::min(x1, .2);
      if (end <= x0) continue;
      area += (end - x0) * (y0 + 0.5 * (y1 - y0) * (end - x0) / (x1 - x0));
    }
    return 0.5 * (1 + (area - .02) / (.2 - .02));
  };
  std::size_t vertical = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const auto drawn = clustered(seed, 8 + static_cast<std::int32_t>(seed) % 7);
    const auto cases = singletons(drawn.scores, drawn.truth);
    const auto found = linearize(Metric::partial_auroc, cases);
    if (!found.value || found.subjects < 2) continue;
    const std::vector<double> ones(cases.scores.size(), 1);
    CHECK(*found.value == near(partial(cases, ones)));
    const auto n = count(cases.truth, cases.subject, cases.subjects);
    vertical += n.negatives % 5 == 0;
    const double i10 = static_cast<double>(n.positives), i01 = static_cast<double>(n.negatives);
    for (std::size_t i = 0; i < ones.size(); ++i) {
      auto more = ones, less = ones;
      more[i] += 1e-6;
      less[i] -= 1e-6;
      const double derivative = (partial(cases, more) - partial(cases, less)) / 2e-6;
      const double of_class = cases.truth[i] == 1 ? i10 : i01;
      CHECK(std::fabs(found.influence[i] - derivative * std::sqrt(of_class / (of_class - 1))) <
            1e-7);
    }
  }
  CHECK(vertical > 5);
}

TEST_CASE("what is gained by deferring: AURC and AUGRC of Traub et al.") {
  // err 1, 0, 0, 0, 1, 0 at confidence .9, .9, .8, .7, .7, .6 (in tenths: ties are ties)
  const std::vector<float> z{9, 9, 8, 7, 7, 6};
  const std::vector<std::int8_t> y{0, 1, 1, 1, 0, 1};
  CHECK(*linearize(Metric::aurc, singletons(z, y), {0.}).value == near(.4194444, 1e-6));
  CHECK(*linearize(Metric::augrc, singletons(z, y), {0.}).value == near(.1944444, 1e-6));
  auto tenths = d1_a;
  for (float& score : tenths) score = std::round(10 * score);
  CHECK(*linearize(Metric::aurc, d1(tenths), {5.}).value == near(.1200396825, 1e-9));
  CHECK(*linearize(Metric::augrc, d1(tenths), {5.}).value == near(.0972222222, 1e-9));
  CHECK(*linearize(Metric::augrc, singletons({0, 1, 2, 3}, {0, 0, 1, 1}), {1.5}).value == 0);
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(linearize(Metric::aurc, d1(d1_a), {inf}).reason == "the threshold is infinite");
  CHECK(*linearize(Metric::augrc, singletons({-inf, 0, 1, inf}, {1, 0, 1, 1}), {.5}).value ==
        near((0.5 * 2 + 1 * 2) / 16));
}

TEST_CASE("AUGRC is at least e^2 / 2, and that where errors are the least sure") {
  const auto at = [](const std::vector<float>& z) {
    return *linearize(Metric::augrc, singletons(z, {1, 1, 1, 0, 0, 0, 0, 1}), {0.}).value;
  };
  CHECK(at({9, 8, 7, 1, -9, -8, -7, -1}) == near(.25 * .25 / 2));
  CHECK(at({9, 8, 7, 10, -9, -8, -7, -1}) > .25 * .25 / 2);
}

TEST_CASE("predictive values: counts at the samples' prevalence, Bayes at another") {
  const auto at = [](Metric metric, std::optional<double> prevalence) {
    return linearize(metric, d1(d1_a), {.7f, prevalence});
  };
  using M = Metric;
  CHECK(*at(M::positive_predictive_value, {}).value == near(3. / 4));  // 3 of 4 called
  CHECK(*at(M::negative_predictive_value, {}).value == near(6. / 8));
  CHECK(*at(M::positive_predictive_value, .05).value ==
        near(.6 * .05 / (.6 * .05 + .95 / 7), 1e-9));
  CHECK(*at(M::negative_predictive_value, .05).value ==
        near(6. / 7 * .95 / (6. / 7 * .95 + .4 * .05), 1e-9));
  CHECK(at(M::positive_predictive_value, .05).subjects == 3);
  const auto never = linearize(M::positive_predictive_value, d1(d1_a), {2.});
  CHECK(never.reason == "no sample is called positive");
  CHECK(linearize(M::negative_predictive_value, d1(d1_a), {0.}).reason ==
        "no sample is called negative");
}

TEST_CASE("at a stated prevalence the variance is that of sensitivity and specificity") {
  const auto cases = singletons(d1_a, d1_truth);
  const double se = .6, sp = 6. / 7, p = .1, called = se * p + (1 - sp) * (1 - p);
  const double by_se = p * (1 - sp) * (1 - p) / (called * called);
  const double by_sp = (1 - p) * se * p / (called * called);
  const auto ppv = linearize(Metric::positive_predictive_value, cases, {.7f, p});
  CHECK(variance(ppv) ==
        near(by_se * by_se * se * (1 - se) / 4 + by_sp * by_sp * sp * (1 - sp) / 6, 1e-9));
}

TEST_CASE("AUROC counts every pair once, ties half, and leaves unknown truth out") {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    const auto cases = clustered(seed, 60);
    CHECK(*auroc(cases.scores, cases.truth).value == near(brute_force(cases).area));
  }
}

TEST_CASE("AUROC knows order alone: monotone maps keep it, a change of sign mirrors it") {
  const auto cases = clustered(4, 40);
  auto stretched = cases.scores, mirrored = cases.scores;
  for (float& s : stretched) s = s * s * s + 8 * s;
  for (float& s : mirrored) s = -s;
  const double area = *auroc(cases.scores, cases.truth).value;
  CHECK(area > 0.55);
  CHECK(*auroc(stretched, cases.truth).value == area);
  CHECK(*auroc(mirrored, cases.truth).value == near(1 - area));
}

TEST_CASE("an infinite score is ranked, a NaN is an error that says where") {
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(*auroc({-inf, 0, 1, inf}, {0, 1, 0, 1}).value == 0.75);
  CHECK_THROWS_WITH_AS(auroc({0, NAN}, {0, 1}), "scores: NaN at sample 1", mr::DataError);
  CHECK_THROWS_WITH_AS(auroc({0, 1}, {0, 2}), "truth: want 0, 1 or -1, got 2 at sample 1",
                       mr::DataError);
  CHECK_THROWS_AS(auroc({0, 1}, {0}), mr::DataError);
}

TEST_CASE("a missing class gives no number, and the reason") {
  CHECK_FALSE(auroc({0, 1}, {0, -1}).value);
  CHECK(auroc({0, 1}, {0, -1}).reason == "no positive samples");
  CHECK(auroc({0, 1}, {1, 1}).reason == "no negative samples");
  CHECK(average_precision({0, 1}, {0, 0}).reason == "no positive samples");
  CHECK(roc_points({0, 1}, {1, 1}).empty());
  const auto metric = linearize(Metric::auroc, {{0, 1}, {0, 0}, {0, 1}, 2});
  CHECK_FALSE(metric.value);
  CHECK(metric.reason == "no positive samples");
  CHECK(metric.influence == std::vector<double>(2, 0.0));
}

TEST_CASE("the ROC curve runs from (0, 0) to (1, 1) and its trapezoids are the AUROC") {
  const auto cases = clustered(5, 50);
  const auto points = roc_points(cases.scores, cases.truth);
  CHECK(points.front().sensitivity == 0);
  CHECK(std::isinf(points.front().threshold));
  CHECK(points.back().sensitivity == 1);
  CHECK(points.back().false_positive_rate == 1);
  double area = 0;
  for (std::size_t i = 1; i < points.size(); ++i) {
    CHECK(points[i].threshold < points[i - 1].threshold);
    area += 0.5 * (points[i].sensitivity + points[i - 1].sensitivity) *
            (points[i].false_positive_rate - points[i - 1].false_positive_rate);
  }
  CHECK(area == near(*auroc(cases.scores, cases.truth).value));
}

TEST_CASE("operating points of D1") {
  // scikit-learn's ROC thresholds; a sample is called positive where score >= threshold
  const auto at = [](const char* rule) {
    return *choose_threshold(d1_a, d1_truth, parse_operating_rule(rule)).value;
  };
  CHECK(at("youden") == .7f);
  CHECK(at("sens>=0.90") == .4f);
  CHECK(at("sens>=0.8") == .5f);  // exactly 4 of 5: reached, not exceeded
  CHECK(at("sens>=0.81") == .4f);
}

TEST_CASE("of equal Youden indices the more sensitive point is taken") {
  // t = 3: 1/2 - 0/2; t = 1: 2/2 - 1/2
  CHECK(*choose_threshold({3, 2, 1, 0}, {1, 0, 1, 0}, parse_operating_rule("youden")).value == 1);
}

TEST_CASE("an operating rule is read back from its name; nonsense is refused") {
  CHECK(name(parse_operating_rule("sens>=0.90")) == "sens>=0.9");
  CHECK(name(parse_operating_rule("youden")) == "youden");
  for (const char* text : {"", "sens>=", "sens>=0", "sens>=1.1", "sens>=.9x", "spec>=0.9"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_operating_rule(text), mr::UsageError);
  }
  CHECK(choose_threshold({0, 1}, {0, 0}, {}).reason == "no positive samples");
}

TEST_CASE("calibration of the temperature set, as in scipy") {
  std::vector<float> z;
  for (const double t : {-2.2, -1.4, -1.3, -.4, .1, .4, -.5, .2, .9, 1.4, 2.2, .8})
    z.push_back(static_cast<float>(3 * t));
  CHECK(*log_loss(z, d1_truth).value == near(.6103523571, 1e-6));
  CHECK(*calibration_slope(z, d1_truth).value == near(.48907911, 1e-6));
  CHECK(*calibration_in_the_large(z, d1_truth).value == near(-1.06334433, 1e-6));
  const auto temperature = temperature_scaling(z, d1_truth);
  CHECK(1 / temperature.slope == near(2.245051882, 1e-6));
  CHECK(temperature.intercept == 0);
  auto cooled = z;
  for (float& score : cooled) score *= static_cast<float>(temperature.slope);
  CHECK(*log_loss(cooled, d1_truth).value == near(.5040016328, 1e-6));
  const auto platt = platt_scaling(z, d1_truth);
  CHECK(platt.slope == near(.48907911, 1e-6));
  CHECK(platt.intercept == near(-.58398307, 1e-6));
  std::vector<float> logits;  // of D1's a as a probability
  for (const float a : d1_a) logits.push_back(static_cast<float>(std::log(double{a} / (1 - a))));
  CHECK(*brier(logits, d1_truth).value == near(.175, 1e-6));
  CHECK(*log_loss(logits, d1_truth).value == near(.5142084068464284, 1e-6));
}

TEST_CASE("recalibrated scores are calibrated; what cannot be fitted says why") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    auto cases = clustered(seed, 60);
    for (float& score : cases.scores) score = (score - 1) * static_cast<float>(1 + seed % 5);
    const auto platt = platt_scaling(cases.scores, cases.truth);
    const auto temperature = temperature_scaling(cases.scores, cases.truth);
    CAPTURE(platt.reason);
    REQUIRE(platt.reason.empty());
    auto scaled = cases.scores, cooled = cases.scores;
    for (float& score : scaled)
      score = static_cast<float>(platt.intercept + platt.slope * double{score});
    CHECK(*calibration_slope(scaled, cases.truth).value == near(1, 1e-5));
    CHECK(std::abs(*calibration_in_the_large(scaled, cases.truth).value) < 1e-6);
    REQUIRE(temperature.reason.empty());
    // No other temperature has a smaller loss.
    const auto loss = [&](double factor) {
      for (std::size_t i = 0; i < cooled.size(); ++i)
        cooled[i] = static_cast<float>(factor * temperature.slope * double{cases.scores[i]});
      return *log_loss(cooled, cases.truth).value;
    };
    CHECK(loss(1) <= loss(1.01));
    CHECK(loss(1) <= loss(0.99));
  }
  CHECK(platt_scaling({0, 1, 2, 3}, {0, 0, 1, 1}).reason ==
        "a score separates the classes: no slope");
  CHECK(temperature_scaling({-1, -2, 2, 3}, {0, 0, 1, 1}).reason ==
        "the temperature is beyond its bounds");
  CHECK(temperature_scaling({1, -2, 2, -3, 1}, {0, 1, 0, 1, 1}).reason ==
        "the temperature is beyond its bounds");
  CHECK(platt_scaling({3, 2, 1, 0, 2.5f}, {0, 0, 1, 1, 1}).reason ==
        "higher scores are no more often positive");
  CHECK(platt_scaling({3, 2}, {0, 0}).reason == "no positive samples");
}

TEST_CASE("calibration in the large solves its equation, however far away the scores are") {
  std::vector<float> z = d1_a;
  for (const float shift : {-60.f, -5.f, 0.f, 5.f, 60.f}) {
    auto moved = z;
    for (float& score : moved) score += shift;
    const double a = *calibration_in_the_large(moved, d1_truth).value;
    double expected = 0;
    for (const float score : moved) expected += 1 / (1 + std::exp(-(a + double{score})));
    CHECK(expected == near(5, 1e-9));
  }
}

TEST_CASE("the slope's fit ends at the maximum of the likelihood, on data of every size") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    auto cases = clustered(seed, 10 + static_cast<std::int32_t>(seed) * 3);
    for (float& score : cases.scores) score = score * 0.5f * static_cast<float>(1 + seed % 9) + 1;
    const auto slope = calibration_slope(cases.scores, cases.truth);
    CAPTURE(slope.reason);
    REQUIRE(slope.value);
    // The likelihood equations, with the intercept that belongs to this slope.
    auto sloped = cases.scores;
    for (float& score : sloped) score = static_cast<float>(*slope.value * double{score});
    const double a = *calibration_in_the_large(sloped, cases.truth).value;
    double moment = 0, spread = 0;
    for (std::size_t i = 0; i < cases.scores.size(); ++i) {
      if (cases.truth[i] < 0) continue;
      const double p = 1 / (1 + std::exp(-(a + *slope.value * double{cases.scores[i]})));
      moment += (p - cases.truth[i]) * double{cases.scores[i]};
      spread += std::abs(double{cases.scores[i]});
    }
    CHECK(std::fabs(moment) < 1e-5 * spread);
  }
}

TEST_CASE("the slope halves when scores double, and does not mind an offset") {
  auto doubled = d1_a;
  for (float& score : doubled) score = 2 * score - 3;
  CHECK(*calibration_slope(doubled, d1_truth).value ==
        near(*calibration_slope(d1_a, d1_truth).value / 2, 1e-5));
}

TEST_CASE("calibration has no value where it is infinite, and says why") {
  const std::vector<std::int8_t> truth{0, 0, 1, 1, -1};
  const auto inf = std::numeric_limits<float>::infinity();
  CHECK(calibration_slope({0, 1, 1, 2, 9}, truth).reason ==
        "a score separates the classes: no slope");
  CHECK(calibration_slope({1, 1, 1, 1, 9}, truth).reason ==
        "a score separates the classes: no slope");
  CHECK(calibration_slope({2, 3, 1, 0, 9}, truth).reason ==
        "a score separates the classes: no slope");
  CHECK(calibration_slope({0, 1, 2, 3, 9}, {1, 1, 1, 1, -1}).reason == "no negative samples");
  CHECK(calibration_in_the_large({0, 1, 2, 3, 9}, {0, 0, 0, 0, -1}).reason ==
        "no positive samples");
  CHECK(calibration_in_the_large({0, 1, 2, inf, 9}, truth).reason == "a score is infinite");
  CHECK(log_loss({0, 1, 2, inf, 9}, truth).reason == "a score is infinite");
  CHECK(*brier({-inf, -inf, inf, inf, 9}, truth).value == 0);
  CHECK(brier({0, 1}, {-1, -1}).reason == "no samples of known truth");
  CHECK(*brier({0, 1, 2, 3, inf}, truth).value == near(*brier({0, 1, 2, 3}, {0, 0, 1, 1}).value));
}

TEST_CASE("clustered variances of D1 by patient") {
  const auto a = linearize(Metric::auroc, d1(d1_a)), b = linearize(Metric::auroc, d1(d1_b));
  CHECK(*a.value == near(.8142857142857143));
  CHECK(variance(a) == near(.02829184136853377));
  CHECK(variance(b) == near(.01685950046131053));
  const auto difference = contrast_variance({one_run(a), one_run(b, -1)}, a.subjects);
  CHECK(difference.total == near(.003180441653549704));
  CHECK(a.subjects == 3);  // patients 3, 4, 5 have positives; 0, 1, 2, 5 negatives
}

TEST_CASE("with one sample per subject it is DeLong, as in pROC") {
  const auto a = linearize(Metric::auroc, singletons(d1_a, d1_truth));
  const auto b = linearize(Metric::auroc, singletons(d1_b, d1_truth));
  CHECK(variance(a) == near(.01690476190476190));
  CHECK(variance(b) == near(.0227551020408163));
  CHECK(dot(a.influence, b.influence) == near(.0133673469387755));
  const double z =
      (*a.value - *b.value) / std::sqrt(contrast_variance({one_run(a), one_run(b, -1)}, 5).total);
  CHECK(z == near(.3769685175, 1e-9));
  CHECK(2 * normal_cdf(-z) == near(.706197001, 1e-9));
}

TEST_CASE("300 samples with many ties agree with scikit-learn 1.2.1 and pROC 1.18") {
  // i = np.arange(300); y = ((3*i*i + i) % 7 < 2).astype(int)
  // a = (37*i + 11*i*i) % 101 + 20*y;  b = (53*i + 5*i*i*i) % 67 + 9*y
  // sklearn.metrics: roc_auc_score(y, a), average_precision_score(y, a)
  // pROC: r <- roc(y, a, direction = "<", levels = 0:1); var(r); cov(r, s); roc.test(r, s)
  std::vector<float> a, b;
  std::vector<std::int8_t> y;
  for (int i = 0; i < 300; ++i) {
    const int positive = (3 * i * i + i) % 7 < 2;
    y.push_back(static_cast<std::int8_t>(positive));
    a.push_back(static_cast<float>((37 * i + 11 * i * i) % 101 + 20 * positive));
    b.push_back(static_cast<float>((53 * i + 5 * i * i * i) % 67 + 9 * positive));
  }
  CHECK(*auroc(a, y).value == near(0.6716474679417518));
  CHECK(*auroc(b, y).value == near(0.6232069115409693));
  CHECK(*average_precision(a, y).value == near(0.5046521984299425));
  CHECK(*average_precision(b, y).value == near(0.465082749494658));
  const auto of_a = linearize(Metric::auroc, singletons(a, y));
  const auto of_b = linearize(Metric::auroc, singletons(b, y));
  CHECK(variance(of_a) == near(1.08988393498839e-03));
  CHECK(variance(of_b) == near(1.22849395699766e-03));
  CHECK(dot(of_a.influence, of_b.influence) == near(2.79359657952291e-05));
  const auto difference = contrast_variance({one_run(of_a), one_run(of_b, -1)}, 86);
  const double z = (*of_a.value - *of_b.value) / std::sqrt(difference.total);
  CHECK(z == near(1.018390306659426));
  CHECK(2 * normal_cdf(-z) == near(0.308492506930842));
}

TEST_CASE("with one sample per subject it is DeLong by brute force, on data with ties") {
  for (const std::uint64_t seed : {6u, 7u}) {
    auto drawn = clustered(seed, 70);
    const auto cases = singletons(drawn.scores, drawn.truth);
    const auto v = brute_force(cases);
    const double delong =
        sample_variance(v.of_positive) / static_cast<double>(v.of_positive.size()) +
        sample_variance(v.of_negative) / static_cast<double>(v.of_negative.size());
    CHECK(variance(linearize(Metric::auroc, cases)) == near(delong));
  }
}

TEST_CASE("influences of any metric sum to zero when every factor is the same") {
  // Every subject has both classes, so I10 = I01 = I and one factor scales all.
  auto cases = clustered(8, 30);
  for (std::int32_t p = 0; p < 30; ++p)
    for (const std::int8_t truth : {0, 1}) {
      cases.scores.push_back(0.25f * static_cast<float>(p % 7));
      cases.truth.push_back(truth);
      cases.subject.push_back(p);
    }
  for (const auto metric : all_metrics) {
    CAPTURE(std::string(name(metric)));
    const auto result = linearize(metric, cases, {0.5});
    CAPTURE(result.reason);
    CHECK(variance(result) > 1e-5);
    CHECK(std::fabs(std::accumulate(result.influence.begin(), result.influence.end(), 0.0)) <
          1e-12);
  }
}

TEST_CASE("the influence is the derivative of the metric by the subject's weight") {
  // A subject that appears 1 + 1/k times as often: all others k times, this one k + 1 times. The
  // metric moves by U_p / k (less the factors, equal here) and terms of second order.
  auto cases = clustered(9, 24);
  for (std::int32_t p = 0; p < 24; ++p)
    for (const std::int8_t truth : {0, 1}) {
      cases.scores.push_back(0.5f * static_cast<float>((p * 5) % 9) - 1);
      cases.truth.push_back(truth);
      cases.subject.push_back(p);
    }
  const int k = 400;
  const double factor = std::sqrt(24.0 / 23.0);
  for (const auto metric : all_metrics) {
    CAPTURE(std::string(name(metric)));
    const auto plain = linearize(metric, cases, {0.5});
    for (const std::int32_t heavier : {3, 17}) {
      auto weighted = cases;
      for (std::size_t i = 0; i < cases.scores.size(); ++i)
        for (int copy = 1; copy < k + (cases.subject[i] == heavier); ++copy) {
          weighted.scores.push_back(cases.scores[i]);
          weighted.truth.push_back(cases.truth[i]);
          weighted.subject.push_back(cases.subject[i]);
        }
      const double moved = *linearize(metric, weighted, {0.5}).value - *plain.value;
      const double expected = plain.influence[static_cast<std::size_t>(heavier)] / factor;
      CHECK(std::fabs(k * moved - expected) < 3.0 / k);
    }
  }
}

TEST_CASE("the order of samples does not matter, nor do samples of unknown truth") {
  const auto cases = clustered(10, 40);
  std::vector<std::size_t> order(cases.scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  mr::shuffle(mr::random_key(10, {"order"}), order);
  Cases shuffled{{}, {}, {}, cases.subjects};
  for (const auto i : order) {
    if (cases.truth[i] < 0) continue;
    shuffled.scores.push_back(cases.scores[i]);
    shuffled.truth.push_back(cases.truth[i]);
    shuffled.subject.push_back(cases.subject[i]);
  }
  REQUIRE(shuffled.scores.size() < cases.scores.size());
  for (const auto metric : all_metrics) {
    CAPTURE(std::string(name(metric)));
    const auto a = linearize(metric, cases, {0.5}), b = linearize(metric, shuffled, {0.5});
    CHECK(*a.value == near(*b.value));
    CHECK(a.subjects == b.subjects);
    for (std::size_t p = 0; p < a.influence.size(); ++p)
      CHECK(std::fabs(a.influence[p] - b.influence[p]) < 1e-14);
  }
}

TEST_CASE("thresholded metrics count score >= threshold as positive") {
  const auto at = [](Metric metric, double threshold) {
    return *linearize(metric, d1(d1_a), {threshold}).value;
  };
  CHECK(at(Metric::sensitivity, .7f) == near(3. / 5));
  CHECK(at(Metric::specificity, .7f) == near(6. / 7));
  CHECK(at(Metric::balanced_accuracy, .7f) == near((3. / 5 + 6. / 7) / 2));
  CHECK(at(Metric::alarm_rate, .7f) == near(4. / 12));
  CHECK(linearize(Metric::sensitivity, d1(d1_a)).reason == "no operating point");
}

TEST_CASE("both classes' subjects count where both classes do: the scarcer one decides") {
  auto mirrored = d1(d1_a);  // 4 patients with positives, 3 with negatives
  for (auto& t : mirrored.truth) t = static_cast<std::int8_t>(1 - t);
  CHECK(linearize(Metric::sensitivity, mirrored, {.5}).subjects == 4);
  CHECK(linearize(Metric::specificity, mirrored, {.5}).subjects == 3);
  CHECK(linearize(Metric::balanced_accuracy, mirrored, {.5}).subjects == 3);
  CHECK(linearize(Metric::auroc, mirrored).subjects == 3);
  CHECK(linearize(Metric::alarm_rate, mirrored, {.5}).subjects == 6);
}

TEST_CASE("a share over single samples has the binomial variance with n - 1") {
  const auto s = linearize(Metric::sensitivity, singletons(d1_a, d1_truth), {.7f});
  CHECK(variance(s) == near(.6 * .4 / 4));
  CHECK(s.subjects == 5);
  const auto alarm = linearize(Metric::alarm_rate, singletons(d1_a, d1_truth), {.7f});
  CHECK(variance(alarm) == near((1. / 3) * (2. / 3) / 11));
}

TEST_CASE("a subject index out of range is refused") {
  CHECK_THROWS_WITH_AS(linearize(Metric::auroc, {{0, 1}, {0, 1}, {0, 2}, 2}),
                       "subjects: want an index below 2, got 2 at sample 1", mr::DataError);
}

TEST_CASE("one network: V is V_S, df counts subjects, the interval is on the logit scale") {
  const auto a = linearize(Metric::auroc, d1(d1_a));
  const auto e = estimate({one_run(a)}, a.subjects, Scale::logit);
  CHECK(e.this_network_only);
  CHECK(e.variance.df == near(2));
  CHECK(e.variance.total == near(.02829184136853377));
  // logit(.8142857142857143) +- 4.302652729911275 se / (A (1 - A))
  const double half =
      4.302652729911275 * std::sqrt(.02829184136853377) / (.8142857142857143 * .1857142857142857);
  const double logit = std::log(.8142857142857143 / .1857142857142857);
  CHECK(*e.low == near(1 / (1 + std::exp(half - logit)), 1e-9));
  CHECK(*e.high == near(1 / (1 + std::exp(-half - logit)), 1e-9));
  CHECK_FALSE(e.p);
  CHECK_FALSE(e.mde);
  CHECK(e.reason.empty());
}

TEST_CASE("fewer than 10 subjects: a difference keeps its interval and has no p value") {
  const auto a = linearize(Metric::auroc, d1(d1_a)), b = linearize(Metric::auroc, d1(d1_b));
  const auto e = estimate({one_run(a), one_run(b, -1)}, a.subjects, Scale::plain);
  const double half = 4.302652729911275 * std::sqrt(.003180441653549704);
  CHECK(*e.low == near(*e.value - half, 1e-9));
  CHECK(*e.high == near(*e.value + half, 1e-9));
  CHECK_FALSE(e.p);
  CHECK(e.reason == "fewer than 10 subjects (3): no p value");
}

TEST_CASE("a perfect AUROC has no interval, and neither has an estimate without variation") {
  const auto perfect = linearize(Metric::auroc, singletons({0, 1, 2, 3, 4, 5}, {0, 0, 0, 1, 1, 1}));
  const auto e = estimate({one_run(perfect)}, perfect.subjects, Scale::logit);
  CHECK(*e.value == 1);
  CHECK_FALSE(e.low);
  CHECK(e.reason == "the estimate is at its limit: no interval");
  const auto same = estimate({one_run(perfect), one_run(perfect, -1)}, 3, Scale::plain);
  CHECK(*same.value == 0);
  CHECK_FALSE(same.high);
  CHECK_FALSE(same.p);
  CHECK(same.reason == "no variation between subjects: no interval");
  const auto lone = linearize(Metric::auroc, {{0, 1, 2}, {0, 1, 0}, {0, 0, 1}, 2});
  CHECK(lone.subjects == 1);
  CHECK(lone.influence == std::vector<double>(2, 0.0));
  CHECK(estimate({one_run(lone)}, 1, Scale::logit).reason == "1 independent subjects: no interval");
}

TEST_CASE("runs and subjects: the variance parts of a small contrast, by hand") {
  // arm 1: runs .8 and .9; arm 2 (coefficient -1): runs -.7, -.7, -.76. Three subjects.
  const Arm first{{.8, .9}, {{.03, 0, -.03}, {.01, .02, -.03}}};
  const Arm second{{-.7, -.7, -.76}, {{-.01, 0, .01}, {-.01, 0, .01}, {-.01, .03, -.02}}};
  const auto v = contrast_variance({first, second}, 3);
  // Ubar: (.02, .01, -.03) + (-.01, .01, 0) = (.01, .02, -.03)
  CHECK(v.subjects == near(.0014));
  // s^2: .005 / 2 runs and .0012 / 3 runs
  CHECK(v.runs == near(.005 / 2 + .0012 / 3));
  // (1e-4 + 1e-4) * 2 / (2 * 1) and (2 (0 + 1e-4 + 1e-4) + 4e-4 + 4e-4) / (3 * 2)
  CHECK(v.interaction == near(4e-4 / 2 + 12e-4 / 6));
  CHECK(v.total == near(.0014 + .0029 - .0004));
  CHECK(v.df ==
        near(v.total * v.total / (.0014 * .0014 / 2 + .0025 * .0025 / 1 + .0004 * .0004 / 2)));
}

TEST_CASE("operating points add their variance over validation subjects, by hand") {
  Arm first{{.8, .9}, {{.03, 0, -.03}, {.01, .02, -.03}}};
  first.resampled = {{.8, .7, .9, .8}, {.9, .7, .9, .9}};
  Arm second{{-.7}, {{-.01, 0, .01}}};
  second.resampled = {{-.7, -.7, -.7, -.6}};
  const auto v = contrast_variance({first, second}, 3, 9);
  // Means over runs .85 .7 .9 .85, and -.7 -.7 -.7 -.6: sums .15 0 .2 .25, mean .15.
  CHECK(v.validation == near((.15 * .15 + .05 * .05 + .1 * .1) / 3));
  // Each run from the mean over runs: -.05 0 0 -.05 and the negative of it, mean -+.025.
  const double of_run = 4 * .025 * .025 / 3;
  // Over subjects: (-.01 .01 0)^2 of each run from its mean, over 2 (2 - 1).
  CHECK(v.interaction == near(4e-4 / 2 + 2 * of_run / 2));
  CHECK(v.runs == near(.005 / 2));
  CHECK(v.total == near(v.subjects + v.validation + v.runs - v.interaction));
  CHECK(v.df == near(v.total * v.total /
                     (v.subjects * v.subjects / 2 + v.runs * v.runs / 1 +
                      v.validation * v.validation / 8)));
  first.resampled = second.resampled = {};
  CHECK(contrast_variance({first, second}, 3).validation == 0);
}

TEST_CASE("the interval of a level at operating points: both parts squared and added") {
  Arm arm{{.9}, {{.03, 0, -.03}}};
  const auto given = estimate({arm}, 3, Scale::logit);
  arm.resampled = {{}};
  for (int b = 0; b <= 1000; ++b) arm.resampled[0].push_back(.6 + .0004 * b);  // .6 to 1
  const auto e = estimate({arm}, 3, Scale::logit, 50);
  const auto high =
      std::min(1.0, .9 + std::hypot(*given.high - .9, .99 - .9));  // percentiles .61, .99
  CHECK(*e.low == near(.9 - std::hypot(.9 - *given.low, .9 - .61), 1e-9));
  CHECK(*e.high == near(high, 1e-9));
  // Where all resamples lie on one side, the other has the test subjects' part alone.
  for (auto& at : arm.resampled[0]) at = std::min(at, .85);
  CHECK(*estimate({arm}, 3, Scale::logit, 50).high == near(*given.high, 1e-9));
  // No test subject moves it: the percentiles remain.
  arm = {{.9}, {{0, 0, 0}}, {{.8, .9, .95, .9}}};
  const auto alone = estimate({arm}, 3, Scale::logit, 50);
  CHECK(*alone.low == near(.9 - (.9 - .8075), 1e-9));
  CHECK(*alone.high == near(.94625, 1e-9));
}

TEST_CASE("an operating point that many resamples lack gives no interval") {
  Arm arm{{.8}, {{.03, 0, -.03}}, {std::vector<double>(40, .8)}};
  arm.resampled[0][7] = .7;
  arm.resampled[0][1] = arm.resampled[0][2] = std::nan("");
  CHECK(estimate({arm}, 3, Scale::logit, 5).low);
  arm.resampled[0][3] = std::nan("");
  CHECK(estimate({arm}, 3, Scale::logit, 5).reason ==
        "3 of 40 resamples of the validation subjects give no value: no interval");
}

TEST_CASE("runs that agree leave the variance over subjects, never less") {
  const auto a = linearize(Metric::auroc, clustered(11, 50));
  const Arm three{{*a.value, *a.value, *a.value}, {a.influence, a.influence, a.influence}};
  const auto v = contrast_variance({three}, a.subjects);
  CHECK(v.runs == 0);
  CHECK(v.total == near(variance(a)));
  CHECK(v.df == near(static_cast<double>(a.subjects - 1)));
}

TEST_CASE("minimal detectable effect and p value come from Student's t") {
  const Arm arm{{.05}, {std::vector<double>(16, .005)}};  // V = 16 * 25e-6 = 4e-4, se .02
  const auto e = estimate({arm}, 11, Scale::plain);
  CHECK(*e.p == near(0.0314468442366088, 1e-10));  // R: 2 * pt(-2.5, 10)
  CHECK(*e.mde ==
        near(.02 * (2.228138851986274 + 0.879057828550589), 1e-10));  // R: qt(c(.975, .8), 10)
  CHECK(*e.high == near(.05 + .02 * 2.228138851986274, 1e-10));
}

TEST_CASE("arms whose shapes disagree are refused") {
  CHECK_THROWS_AS(contrast_variance({}, 10), mr::DataError);
  CHECK_THROWS_AS(contrast_variance({{{.5}, {}}}, 10), mr::DataError);
  CHECK_THROWS_AS(contrast_variance({{{.5}, {{0, 1}}}, {{.5}, {{0, 1, 2}}}}, 10), mr::DataError);
  CHECK_THROWS_AS(contrast_variance({{{.5, .5}, {{0, 1}, {0, 1}}, {{.5}}}}, 10), mr::DataError);
  CHECK_THROWS_AS(contrast_variance({{{.5, .5}, {{0, 1}, {0, 1}}, {{.5}, {.5, .4}}}}, 10),
                  mr::DataError);
}

TEST_CASE("one-sided tests against a margin, by hand") {
  Estimate e;
  e.value = 0.01;
  e.low = -0.01;
  e.subjects = 30;
  e.p = 0.3;
  e.variance.total = 1e-4;  // standard error 0.01
  e.variance.df = 29;
  CHECK(*p_above(e, 0) == near(two_sided_p(1, 29) / 2));
  CHECK(*p_above(e, -0.03) == near(two_sided_p(4, 29) / 2));
  CHECK(*p_above(e, 0.02) == near(1 - two_sided_p(1, 29) / 2));
  CHECK(*p_within(e, 0.03) == near(two_sided_p(2, 29) / 2));  // the nearer bound decides
  CHECK(*p_within(e, 0.01) == near(0.5));
  e.p.reset();
  CHECK_FALSE(p_above(e, 0));
  CHECK_FALSE(p_within(e, 0.03));
}

TEST_CASE("arms that score alike are not inferior, nor superior, without sampling error") {
  const std::vector<double> none(12, 0.0);
  const auto same = estimate({{{0.0}, {none}}}, 12, Scale::plain);
  CHECK(*p_above(same, -0.03) == 0);
  CHECK(*p_above(same, 0) == 1);
  CHECK(*p_within(same, 0.03) == 0);
  CHECK_FALSE(p_above(estimate({{{0.0}, {none}}}, 9, Scale::plain), 0));
  CHECK_FALSE(p_above(estimate({{{0.1}, {none}}}, 12, Scale::plain), 0));
}

TEST_CASE("planned power: at no difference and a margin of .02") {
  const double errors[] = {.026, .015, .010, .006}, powers[] = {.12, .27, .52, .92};
  for (int i = 0; i < 4; ++i) CHECK(std::abs(power(.02, errors[i], .025) - powers[i]) < .005);
  CHECK(power(0, 1, .025) == near(.025));
  CHECK_THROWS_AS(power(.02, 0, .025), mr::DataError);
  CHECK_THROWS_AS(power(.02, 1, 1), mr::DataError);
}

TEST_CASE("distributions agree with R") {
  CHECK(normal_cdf(-1.96) == near(0.0249978951482204, 1e-12));
  CHECK(normal_quantile(.975) == near(1.95996398454005, 1e-13));
  CHECK(student_t_quantile(.975, 2) == near(4.30265272974946, 1e-12));
  CHECK(student_t_cdf(2.5, 3.7) == near(0.964088988544087, 1e-12));
  CHECK(two_sided_p(0, 5) == near(1));
  CHECK(student_t_cdf(student_t_quantile(.8, 4.25), 4.25) == near(.8, 1e-12));
  CHECK_THROWS_AS(normal_quantile(1), mr::DataError);
  CHECK_THROWS_AS(student_t_quantile(.5, 0), mr::DataError);
}

TEST_CASE("adjusted p values of Holm and Benjamini-Hochberg, in the order given") {
  const std::vector<double> p{.04, .001, .02, .2, .01, .03};
  const std::vector<double> holm_golden{.09, .006, .08, .2, .05, .09};
  const std::vector<double> bh_golden{.048, .006, .04, .2, .03, .045};
  const auto h = holm(p), q = benjamini_hochberg(p);
  for (std::size_t i = 0; i < p.size(); ++i) {
    CHECK(h[i] == near(holm_golden[i]));
    CHECK(q[i] == near(bh_golden[i]));
  }
  CHECK(holm({.6, .7}) == std::vector<double>{1, 1});
  CHECK(benjamini_hochberg({}).empty());
  CHECK_THROWS_AS(holm({NAN}), mr::DataError);
}

TEST_CASE("robustness summaries of the toy curve") {
  const Curve arm{.90, {.88, .84, .80, .70, .58}}, baseline{.88, {.86, .78, .70, .56, .40}};
  CHECK(*corruption_error(arm, baseline).value == near(.7058823529, 1e-9));
  CHECK(*relative_corruption_error(arm, baseline).value == near(.6363636364, 1e-9));
  CHECK(rood_overall(arm) == near(.8447218045, 1e-9));
  CHECK(rood_degradation(arm) == near(.0871090047, 1e-9));
  CHECK(area_under_curve(arm) == near(.792));
  CHECK(*retention(arm).value == near(.65));
}

TEST_CASE("a ratio over nothing is undefined with its reason, and a mean says how many it used") {
  const Curve arm{.9, {.8}}, perfect{1, {1}}, chance{.5, {.5}};
  CHECK(corruption_error(arm, perfect).reason == "the baseline's error is 0, not above 0");
  CHECK_FALSE(relative_corruption_error(arm, perfect).value);
  CHECK_FALSE(relative_corruption_error(arm, {.8, {.9}}).value);  // the baseline gained
  CHECK_FALSE(retention(chance).value);
  const auto mean = mean_of_defined({corruption_error(arm, perfect), {.5, ""}, {.7, ""}});
  CHECK(*mean.value == near(.6));
  CHECK(mean.reason == "2 of 3 defined");
  CHECK_THROWS_AS(corruption_error(arm, {.9, {.8, .7}}), mr::DataError);
  CHECK_THROWS_AS(rood_overall({.9, {}}), mr::DataError);
}

TEST_CASE("intervals of a difference cover where runs vary; with subjects alone they do not") {
  // Two arms of equal true performance, 3 runs each, 60 subjects of 3 samples. A run has its own
  // strength (sd .35), each run reads each subject its own way (sd .6).
  const int replicates = 1000, subjects = 60, runs = 3;
  int covered = 0, covered_by_subjects = 0;
  for (int r = 0; r < replicates; ++r) {
    const auto key = mr::random_key(12, {"coverage", std::to_string(r)});
    std::uint64_t draw = 0;
    const auto gauss = [&](double sd) { return sd * mr::normal(key, draw++); };
    std::vector<double> subject_effect(subjects);
    Cases cases;
    cases.subjects = subjects;
    for (auto& effect : subject_effect) effect = gauss(0.7);
    for (int i = 0; i < 3 * subjects; ++i) {
      cases.truth.push_back(mr::uniform(key, draw++) < 0.35);
      cases.subject.push_back(i / 3);
    }
    std::vector<Arm> arms(2);
    std::int64_t independent = 0;
    for (int j = 0; j < 2 * runs; ++j) {
      const double strength = 1.3 + gauss(0.35), sign = j < runs ? 1 : -1;
      std::vector<double> reading(subject_effect);
      for (double& effect : reading) effect += gauss(0.6);
      cases.scores.clear();
      for (std::size_t i = 0; i < cases.truth.size(); ++i)
        cases.scores.push_back(
            static_cast<float>(strength * cases.truth[i] +
                               reading[static_cast<std::size_t>(cases.subject[i])] + gauss(1)));
      auto metric = linearize(Metric::auroc, cases);
      for (double& u : metric.influence) u *= sign;
      arms[j < runs ? 0 : 1].values.push_back(sign * *metric.value);
      arms[j < runs ? 0 : 1].influences.push_back(metric.influence);
      independent = metric.subjects;
    }
    const auto e = estimate(arms, independent, Scale::plain);
    covered += *e.low <= 0 && 0 <= *e.high;
    const double by_subjects = std::sqrt(e.variance.subjects) *
                               student_t_quantile(0.975, static_cast<double>(independent - 1));
    covered_by_subjects += std::fabs(*e.value) <= by_subjects;
  }
  MESSAGE("coverage " << covered << ", by subjects alone " << covered_by_subjects << " of "
                      << replicates);
  CHECK(covered >= 0.94 * replicates);  // .96 to .97 expected; Monte Carlo standard error .006
  CHECK(covered <= 0.985 * replicates);
  CHECK(covered_by_subjects < 0.80 * replicates);
}

TEST_CASE("degrees of freedom are never fewer than those of the weakest part") {
  // Runs differ much, subjects hardly, and the interaction takes nearly all of it away again.
  Arm arm;
  arm.values = {0.80, 0.80 + 1e-3};
  arm.influences = {{4e-4, -4e-4, 3e-4, -3e-4}, {-4e-4, 4e-4, -3e-4, 3e-4 + 1e-7}};
  const auto v = contrast_variance({arm}, 4);
  CHECK(v.subjects < v.runs);
  CHECK(v.df >= 1);
  CHECK(estimate({arm}, 4, Scale::plain).low);
}

TEST_CASE("influences that cancel to rounding give no interval") {
  Arm one, other;
  one.values = other.values = {0.5};
  one.influences = {{0.01, -0.01, 0.02}};
  other.values[0] = -0.5;
  other.influences = {{-0.01, 0.01 + 1e-17, -0.02}};
  const auto e = estimate({one, other}, 3, Scale::plain);
  CHECK(!e.low);
  CHECK(e.reason == "no variation between subjects: no interval");
}

namespace {

/// D1's a as probabilities, in full precision.
Stated stated_d1() {
  return {{.1, .2, .2, .4, .5, .6, .4, .5, .7, .8, .9, .7}, d1_truth, d1_patient, 6};
}

}  // namespace

TEST_CASE("ECE of D1 in bins (lo, hi], the first closed at 0") {
  const auto error = [](std::size_t count) {
    return reliability(stated_d1(), Binning::equal_width, count)->calibration_error;
  };
  CHECK(error(10) == near(.1666666667, 1e-9));
  CHECK(error(5) == near(.1333333333, 1e-9));
  CHECK(bins_of({0, .2, .20001, .6, 1}, Binning::equal_width, 10) ==
        std::vector<std::size_t>{0, 1, 2, 5, 9});
  CHECK_FALSE(reliability({}, Binning::equal_width));
}

TEST_CASE("bins of equal mass hold the same number, but for ties, which stay together") {
  const std::vector<double> p{.9, .1, .2, .3, .4, .5};
  CHECK(bins_of(p, Binning::equal_mass, 3) == std::vector<std::size_t>{2, 0, 0, 1, 1, 2});
  CHECK(bins_of({.5, .5, .5, .5, .1, .9}, Binning::equal_mass, 3) ==
        std::vector<std::size_t>{1, 1, 1, 1, 0, 2});
  // Of D1: .1 .2 .2 | .4 .4 .5 .5 .6 | .7 .7 .8 .9 with 0, 2 and 3 positives.
  const auto found = reliability(stated_d1(), Binning::equal_mass, 3);
  REQUIRE(found->bins.size() == 3);
  CHECK(found->calibration_error == near((.5 + .4 + .1) / 12));
}

TEST_CASE("the Brier score falls into its parts, those within bins too (Stephenson et al. 2008)") {
  const auto r = *reliability(stated_d1(), Binning::equal_width, 5);
  CHECK(r.reliability - r.resolution + r.uncertainty == near(.17333, 1e-4));
  CHECK(r.within_bins == near(.00166667, 1e-5));
  for (const auto binning : {Binning::equal_width, Binning::equal_mass})
    for (const std::size_t count : {1u, 5u, 15u}) {
      const auto parts = *reliability(stated_d1(), binning, count);
      CHECK(parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins ==
            near(.175));
    }
}

TEST_CASE("Wilson's interval") {
  const auto bounds = wilson(.9, 50);
  CHECK(bounds.low == near(.7863976857, 1e-9));
  CHECK(bounds.high == near(.9565242351, 1e-9));
  CHECK(wilson(0, 10).low == 0);
  CHECK(wilson(1, 10).high == 1);
  CHECK(wilson(1, 10).low == near(1 / (1 + 3.841458820694124 / 10)));
  CHECK_THROWS_AS(wilson(.5, 0), mr::DataError);
}

TEST_CASE("a bin's interval is Wilson's of its samples, or of fewer where subjects repeat") {
  Stated alone, repeated;
  for (std::int32_t i = 0; i < 40; ++i)
    for (int copy = 0; copy < 5; ++copy) {
      auto& to = copy == 0 ? alone : repeated;
      to.probability.push_back(.31);
      to.truth.push_back(i % 4 == 0);
      to.subject.push_back(i);
      to.subjects = 40;
    }
  const auto one = reliability(alone, Binning::equal_width)->bins.front();
  const auto many = reliability(repeated, Binning::equal_width)->bins.front();
  const auto wanted = wilson(.25, 40);
  CHECK(one.low == near(wanted.low));
  CHECK(many.samples == 160);
  CHECK(many.low == near(wanted.low));  // a subject's four equal samples say no more than one
  CHECK(many.high == near(wanted.high));
  for (auto& truth : repeated.truth) truth = 1;
  CHECK(reliability(repeated, Binning::equal_width)->bins.front().low == near(wilson(1, 40).low));
}

TEST_CASE("every resample of D1's six patients, one by one") {
  const ResampledAuroc area(d1(d1_a));
  std::vector<double> values;
  std::int64_t dropped = 0;
  for (int resample = 0; resample < 46656; ++resample) {
    Times times(6);
    for (int rest = resample, d = 0; d < 6; ++d, rest /= 6)
      ++times[static_cast<std::size_t>(rest % 6)];
    const auto value = area(times);
    if (value)
      values.push_back(*value);
    else
      ++dropped;
  }
  CHECK(dropped == 793);
  const double mean =
      std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  CHECK(mean == near(.8255114344, 1e-9));
  CHECK(std::sqrt(sample_variance(values)) == near(.1660746313, 1e-4));
  const double of_all = sample_variance(values) * static_cast<double>(values.size() - 1) /
                        static_cast<double>(values.size());
  CHECK(std::sqrt(of_all) == near(.1660746313, 1e-9));
}

TEST_CASE("a resampled metric is the metric of the resample") {
  for (const std::uint64_t seed : {21u, 22u}) {
    const auto cases = clustered(seed, 30);
    Stated stated;
    append(stated, cases);
    const ResampledAuroc area(cases);
    const ResampledCalibrationError error(stated);
    for (const std::uint64_t number : {0u, 1u, 2u}) {
      Times times(30);
      draw_subjects(mr::random_key(seed, {"resample"}), number, times);
      CHECK(std::accumulate(times.begin(), times.end(), 0) == 30);
      Cases drawn;
      drawn.subjects = 30;
      for (std::size_t i = 0; i < cases.truth.size(); ++i)
        for (int copy = 0; copy < times[static_cast<std::size_t>(cases.subject[i])]; ++copy) {
          drawn.scores.push_back(cases.scores[i]);
          drawn.truth.push_back(cases.truth[i]);
          drawn.subject.push_back(cases.subject[i]);
        }
      Stated drawn_stated;
      append(drawn_stated, drawn);
      CHECK(*area(times) == near(*auroc(drawn.scores, drawn.truth).value));
      CHECK(*error(times) ==
            near(reliability(drawn_stated, Binning::equal_width)->calibration_error, 1e-5));
      for (const char* rule : {"sens>=0.90", "sens>=0.35", "youden"}) {
        const auto parsed = parse_operating_rule(rule);
        CHECK(*ResampledThreshold(cases, parsed)(times) ==
              *choose_threshold(drawn.scores, drawn.truth, parsed).value);
      }
    }
  }
}

TEST_CASE("a threshold of a resample without a class is none") {
  const ResampledThreshold rule({{3, 2, 1}, {1, 0, 0}, {0, 1, 2}, 3}, {});
  CHECK(*rule({1, 1, 1}) == 3);
  CHECK_FALSE(rule({0, 2, 1}));
  CHECK_FALSE(rule({3, 0, 0}));
}

TEST_CASE("decisions at many thresholds are those at each of them") {
  auto cases = clustered(23, 30);
  for (std::size_t i = 0; i < cases.truth.size(); i += 9) cases.truth[i] = -1;
  const double none = std::numeric_limits<double>::quiet_NaN();
  const double of_a_sample = static_cast<double>(cases.scores[4]);
  const std::vector<double> thresholds = {0.2, none, -1e9, of_a_sample, 1e9, 0.2, -0.7};
  for (const std::optional<double> prevalence : {std::optional<double>(), std::optional(0.07)}) {
    const auto values = decisions_at(cases, thresholds, prevalence);
    for (std::size_t m = 0; m < std::size(decision_metrics); ++m)
      for (std::size_t b = 0; b < thresholds.size(); ++b) {
        if (std::isnan(thresholds[b])) {
          CHECK(std::isnan(values[m][b]));
          continue;
        }
        const auto want = linearize(decision_metrics[m], cases, {thresholds[b], prevalence});
        if (want.value)
          CHECK(std::abs(double{values[m][b]} - *want.value) < 1e-6);
        else
          CHECK(std::isnan(values[m][b]));
      }
  }
}

TEST_CASE("decisions about one class do without the other") {
  const auto values = decisions_at({{3, 2, 1}, {1, 1, 1}, {0, 1, 2}, 3}, {1.5});
  CHECK(double{values[0][0]} == near(2.0 / 3, 1e-6));  // sensitivity
  CHECK(std::isnan(values[1][0]));
  CHECK(std::isnan(values[2][0]));
  CHECK(double{values[3][0]} == near(2.0 / 3, 1e-6));  // alarm rate
}

TEST_CASE("draws are even, and belong to key and number") {
  const auto key = mr::random_key(3, {"draws"});
  std::vector<double> total(7);
  Times times(7), again(7), other(7);
  for (std::uint64_t number = 0; number < 10000; ++number) {
    draw_subjects(key, number, times);
    for (std::size_t p = 0; p < 7; ++p) total[p] += times[p];
  }
  for (const double drawn : total) CHECK(std::fabs(drawn - 10000) < 5 * std::sqrt(10000 * 6. / 7));
  draw_subjects(key, 9999, again);
  draw_subjects(key, 9998, other);
  CHECK(again == times);
  CHECK(other != times);
}

TEST_CASE("quantiles are NumPy's") {
  const std::vector<double> x{1, 2, 4, 8, 16};
  CHECK(quantile(x, .5) == 4);
  CHECK(quantile(x, .3) == near(2.4));  // numpy.quantile(x, .3)
  CHECK(quantile(x, 1) == 16);
  CHECK(quantile({3}, .975) == 3);
}

TEST_CASE("the bootstrap of the AUROC agrees with its influence interval on a large sample") {
  const auto cases = clustered(31, 400);
  const auto u = linearize(Metric::auroc, cases);
  const ResampledAuroc area(cases);
  const auto b = cluster_bootstrap(mr::random_key(1, {"auroc"}), 400, 2000, area, 2);
  CHECK(b.discarded == 0);
  CHECK(*b.low == near(*u.value - 1.96 * std::sqrt(variance(u)), .02));
  CHECK(*b.high == near(*u.value + 1.96 * std::sqrt(variance(u)), .02));
  for (const int threads : {1, 12}) {
    const auto same = cluster_bootstrap(mr::random_key(1, {"auroc"}), 400, 2000, area, threads);
    CHECK(*same.low == *b.low);
    CHECK(*same.high == *b.high);
  }
}

TEST_CASE("more than one resample in twenty without a value, and there is no interval") {
  const ResampledAuroc area({{0, 1, 2, 3}, {0, 0, 0, 1}, {0, 1, 2, 3}, 4});
  const auto b = cluster_bootstrap(mr::random_key(1, {"rare"}), 4, 1000, area, 1);
  CHECK(b.discarded > 250);  // (3/4)^4 = .316 of them lack the positive
  CHECK(b.discarded < 390);
  CHECK_FALSE(b.low);
  CHECK(b.reason == std::to_string(b.discarded) + " of 1000 resamples have no value: no interval");
}

TEST_CASE("exchange of D1's ranks, all 64 ways") {
  const auto key = mr::random_key(1, {"exchange"});
  const auto all = exchange_ranks({d1(d1_a)}, {d1(d1_b)}, key, 64);
  CHECK(all.exact);
  CHECK(all.exchanges == 64);
  CHECK(*all.p == 34. / 64);
  CHECK(*all.difference == near(.8142857142857143 - .7714285714285714));
  const auto drawn = exchange_ranks({d1(d1_a)}, {d1(d1_b)}, key, 63);
  CHECK_FALSE(drawn.exact);
  CHECK(drawn.exchanges == 63);
  const auto many = exchange_ranks({d1(d1_a), d1(d1_a)}, {d1(d1_b), d1(d1_b)}, key, 64);
  CHECK(*many.p == 34. / 64);  // the same twice: subjects are exchanged as a whole
}

TEST_CASE("exchange of ranks knows order alone, and sees a difference that is there") {
  const auto key = mr::random_key(2, {"exchange"});
  const auto truth = clustered(41, 300);
  auto blurred = truth, stretched = truth;
  for (std::size_t i = 0; i < truth.scores.size(); ++i) {
    blurred.scores[i] += static_cast<float>(4 * mr::normal(key, i));
    stretched.scores[i] = 100 * truth.scores[i] * truth.scores[i] * truth.scores[i] + 7;
  }
  CHECK(*exchange_ranks({truth}, {stretched}, key, 500).p == 1);
  const auto found = exchange_ranks({truth}, {blurred}, key, 500);
  CHECK(*found.p < .02);
  CHECK(*found.p >= 1. / 501);
  CHECK(*exchange_ranks({blurred}, {truth}, key, 500).difference == near(-*found.difference));
  auto one_class = truth;
  for (auto& t : one_class.truth) t = std::min<std::int8_t>(t, 0);
  CHECK(exchange_ranks({one_class}, {one_class}, key, 99).reason == "no label has both classes");
  CHECK_THROWS_AS(exchange_ranks({truth}, {one_class}, key, 99), mr::DataError);
}

TEST_CASE("Friedman with ties, Iman and Davenport, and signed ranks") {
  const std::vector<std::vector<double>> x{{.80, .85, .85, .70}, {.75, .79, .81, .74},
                                           {.90, .90, .92, .88}, {.60, .72, .70, .65},
                                           {.66, .71, .73, .60}, {.82, .84, .83, .80}};
  const auto f = friedman(x);
  const double ranks[] = {3.08333, 1.66667, 1.41667, 3.83333};
  for (std::size_t j = 0; j < 4; ++j) CHECK(f.mean_ranks[j] == near(ranks[j], 1e-5));
  CHECK(*f.chi2 == near(14.8448275862, 1e-9));  // 14.35 without the correction
  CHECK(*f.p == near(.00195417248448, 1e-9));   // scipy.stats.friedmanchisquare
  CHECK(*f.f == near(23.5245901639, 1e-9));
  CHECK(*f.p_of_f == near(6.34454e-6, 1e-5));
  std::vector<double> differences;
  for (const auto& block : x) differences.push_back(block[1] - block[3]);
  CHECK(*signed_rank(differences).value == near(.03125));
}

TEST_CASE("signed ranks by counting all signs, with ties and zeros") {
  const std::vector<std::vector<double>> sets{
      {1, 2, 3, -4, 5, 6}, {1, 1, -1, 2, 0, 3, -2}, {0, 0, 1, 2, 3}, {-1, -1, -1, -1, -1, 1, 1, 1}};
  for (const auto& d : sets) {
    std::vector<double> rank(d.size());
    for (std::size_t i = 0; i < d.size(); ++i)
      for (std::size_t j = 0; j < d.size(); ++j)
        rank[i] += std::fabs(d[j]) < std::fabs(d[i])    ? 1
                   : std::fabs(d[j]) == std::fabs(d[i]) ? .5
                                                        : 0;
    double observed = 0;
    std::vector<double> kept;
    for (std::size_t i = 0; i < d.size(); ++i) {
      if (d[i] > 0) observed += rank[i] + .5;
      if (d[i] != 0) kept.push_back(rank[i] + .5);
    }
    double low = 0, high = 0;
    for (std::size_t signs = 0; signs < std::size_t{1} << kept.size(); ++signs) {
      double sum = 0;
      for (std::size_t i = 0; i < kept.size(); ++i)
        if (signs >> i & 1) sum += kept[i];
      low += sum <= observed;
      high += sum >= observed;
    }
    const double all = std::pow(2, static_cast<double>(kept.size()));
    CHECK(*signed_rank(d).value == near(std::min(1., 2 * std::min(low, high) / all)));
  }
}

TEST_CASE("too few blocks or treatments, or no difference, and there is no test") {
  CHECK(signed_rank({1, 2, 3, 4}).reason == "fewer than 5 blocks (4): no test");
  CHECK(signed_rank({0, 0, 0, 0, 0}).reason == "no block differs");
  CHECK(friedman({{1, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 2}}).reason ==
        "fewer than 3 treatments (2): no test");
  CHECK(friedman({{1, 2, 3}}).reason == "fewer than 5 blocks (1): no test");
  CHECK(friedman(std::vector<std::vector<double>>(5, {1, 1, 1})).reason ==
        "all treatments tie in every block");
  const auto same = friedman(std::vector<std::vector<double>>(5, {3, 2, 1}));
  CHECK(*same.chi2 == near(10));
  CHECK_FALSE(same.f);
  CHECK(same.reason == "every block has the same order: F is infinite");
}

namespace {

Estimate of_variance(double subjects, double runs, double interaction, std::int64_t i,
                     std::int64_t j) {
  Estimate e;
  e.value = 0.01;
  e.subjects = i;
  e.runs = j;
  auto& v = e.variance;
  v.subjects = subjects;
  v.runs = runs;
  v.interaction = interaction;
  v.total = std::max(subjects, subjects + runs - interaction);
  v.df = v.total * v.total /
         (subjects * subjects / static_cast<double>(i - 1) +
          (runs > 0 ? runs * runs / static_cast<double>(j - 1) : 0));
  return e;
}

}  // namespace

TEST_CASE("more subjects: the fewest whose variance suffices") {
  // One run: V = V_S P / P', 49 degrees of freedom for 50 subjects of 100 that are counted.
  const auto e = of_variance(4e-4, 0, 0, 50, 1);
  const auto more = more_data(e, 100, .03, .025);
  const auto suffices = [](std::int64_t subjects) {
    const double df = 50 * static_cast<double>(subjects) / 100 - 1;
    const double t = student_t_quantile(.975, df) + student_t_quantile(.8, df);
    return t * std::sqrt(4e-4 * 100 / static_cast<double>(subjects)) <= .03;
  };
  REQUIRE(more.subjects);
  CHECK(*more.subjects > 300);
  CHECK(suffices(*more.subjects));
  CHECK_FALSE(suffices(*more.subjects - 1));
  CHECK_FALSE(more.runs);
  CHECK(*more_data(e, 100, .5, .025).subjects == 100);  // enough already
}

TEST_CASE("where one factor alone cannot reach the margin, that is said") {
  // The limits without bound: sqrt(V_R - V_SR) and sqrt(V_S - V_SR) times 1.96 + 0.84.
  const auto many_runs_needed = of_variance(1e-4, 9e-4, 5e-5, 100, 3);
  auto more = more_data(many_runs_needed, 200, .05, .025);
  CHECK_FALSE(more.subjects);  // 2.8 sqrt(8.5e-4) = .082
  REQUIRE(more.runs);
  CHECK(*more.runs > 3);
  const auto many_subjects_needed = of_variance(9e-4, 1e-4, 5e-5, 100, 3);
  more = more_data(many_subjects_needed, 200, .05, .025);
  CHECK_FALSE(more.runs);
  REQUIRE(more.subjects);
  CHECK_THROWS_AS(more_data(Estimate{}, 10, .03, .025), mr::DataError);
}

TEST_CASE("with twice the subjects and a variance over them alone, half of it is left") {
  // So that n subjects suffice for a margin, the margin is set to what they detect.
  const auto e = of_variance(4e-4, 1e-4, 1e-4, 60, 4);
  for (const std::int64_t wanted : {61, 100, 240}) {
    const double a = static_cast<double>(wanted) / 60;
    const double both = 1e-4 / a, subjects = 3e-4 / a + both, runs = both;
    const double total = subjects + runs - both;
    const double df = total * total / (subjects * subjects / (a * 60 - 1) + runs * runs / 3);
    const double margin =
        (student_t_quantile(.975, df) + student_t_quantile(.8, df)) * std::sqrt(total);
    CHECK(*more_data(e, 60, margin + 1e-12, .025).subjects == wanted);
  }
}

TEST_CASE("Spearman's correlation is that of mid-ranks") {
  const std::vector<double> x = {1, 2, 2, 4, 9};
  CHECK(*spearman(x, {0, 1, 1, 5, 6}) == doctest::Approx(1));
  CHECK(*spearman(x, {3, 2, 2, -1, -8}) == doctest::Approx(-1));
  // Ranks 1, 2.5, 2.5, 4, 5 and 5, 1, 3, 3, 3: sums of products of their distances from 3.
  CHECK(*spearman(x, {7, 0, 1, 1, 1}) == doctest::Approx(-3 / std::sqrt(9.5 * 8)));
  CHECK(!spearman(x, {2, 2, 2, 2, 2}));
  CHECK(!spearman({}, {}));
  CHECK_THROWS_AS(spearman(x, {1, 2}), mr::DataError);
  CHECK_THROWS_AS(spearman({1, 2}, {1, std::nan("")}), mr::DataError);
}
