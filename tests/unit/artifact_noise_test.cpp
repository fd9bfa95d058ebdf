// Noise, gains and receive coils: oracles and laws.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "artifact/autoregressive.h"
#include "artifact_samples.h"
#include "base/error.h"
#include "kspace/coils.h"

#include "check.h"

using namespace mr::artifact;
using namespace samples;
using mr::Shape;
using Wide = std::complex<double>;

namespace {

constexpr double pi = 3.14159265358979323846;

/// A block of constant tissue in air: S is the tissue's value.
Volume block_in_air(const Shape& shape = {1, 4, 60, 50}, float value = 100) {
  auto v = two_d(shape);
  v.voxels = sampled(shape, [&](double x, double y, double) {
    return std::fabs(x) < 0.5 && std::fabs(y) < 0.6 ? value : 0.0f;
  });
  return v;
}

/// The same object seen by coils, as frames.
Volume coil_frames(std::int64_t coils, const Shape& shape = {1, 3, 40, 33}) {
  auto v = with_phase(block_in_air(shape));
  const auto n = v.complex_voxels.size();
  mr::Array<Complex> frames({coils, shape[1], shape[2], shape[3]});
  for (std::int64_t i = 0; i < frames.size(); ++i) frames[i] = v.complex_voxels[i % n];
  v.complex_voxels = std::move(frames);
  v.acquisition.dim4 = "coil";
  return v;
}

std::vector<double> where(const Volume& image, float value, const Volume& result) {
  std::vector<double> found;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    if (image.voxels[i] == value) found.push_back(static_cast<double>(result.voxels[i]));
  return found;
}

double mean(const std::vector<double>& x, double power = 1) {
  double sum = 0;
  for (const double v : x) sum += std::pow(v, power);
  return sum / static_cast<double>(x.size());
}

double variance(const std::vector<double>& x) {
  return mean(x, 2) - mean(x) * mean(x);
}

/// Corrupts without any map, as tools do where none is given.
Result without_maps(Volume volume, const std::string& step, std::uint64_t seed = 1,
                    int threads = 1) {
  const auto facts = measure_facts(volume);
  auto record = corrupt(volume, recipe({step}), facts, {seed, "a", std::nullopt}, threads);
  return {std::move(volume), std::move(record)};
}

/// Four standard errors of a variance estimated from n Gaussian numbers.
double bound(double sigma, std::int64_t n) {
  return 4 * sigma * sigma * std::sqrt(2.0 / static_cast<double>(n));
}

}  // namespace

// ---- gaussian ----

TEST_CASE("Gaussian noise has variance sigma^2 in both parts, in the image and in k-space") {
  const auto image = with_phase(two_d());
  const auto result = corrupted(image, "gaussian:4");
  const double sigma = result.record[0]["drawn"]["sigma"];
  CHECK(sigma == doctest::Approx(measure_facts(image).signal / 8));
  auto noise = result.volume.complex_voxels;
  for (std::int64_t i = 0; i < noise.size(); ++i) noise[i] -= image.complex_voxels[i];
  for (const bool in_kspace : {false, true}) {
    CAPTURE(in_kspace);
    if (in_kspace) to_kspace(noise, {1, 2});
    double re = 0, im = 0, both = 0;
    for (const auto& x : noise) {
      re += static_cast<double>(x.real() * x.real());
      im += static_cast<double>(x.imag() * x.imag());
      both += static_cast<double>(x.real() * x.imag());
    }
    const auto n = static_cast<double>(noise.size());
    CHECK(std::fabs(re / n - sigma * sigma) < bound(sigma, noise.size()));
    CHECK(std::fabs(im / n - sigma * sigma) < bound(sigma, noise.size()));
    CHECK(std::fabs(both / n) < 4 * sigma * sigma / std::sqrt(n));
  }
}

TEST_CASE("Gaussian noise on a real image is signed and raises no floor") {
  const auto image = block_in_air();
  const auto air = where(image, 0, corrupted(image, "gaussian:5").volume);
  const double sigma = 20;
  CHECK(std::fabs(mean(air)) < 4 * sigma / std::sqrt(static_cast<double>(air.size())));
  CHECK(std::fabs(variance(air) - sigma * sigma) <
        bound(sigma, static_cast<std::int64_t>(air.size())));
}

TEST_CASE("behind a step that made the image complex, Gaussian noise is Rician") {
  const auto image = block_in_air();
  const auto result = corrupted(image, recipe({"ghosting:1,modulation=1e-6", "gaussian:5"}));
  const auto air = where(image, 0, result.volume);
  CHECK(mean(air) == doctest::Approx(1.2533 * 20).epsilon(0.02));
}

// ---- nc-chi ----

TEST_CASE("L coils: the background is a chi distribution, and noise power adds up in tissue") {
  // sqrt(2) Gamma(L + 1/2) / Gamma(L)
  const std::vector<std::pair<int, double>> betas = {
      {1, 1.2533}, {2, 1.8800}, {4, 2.7416}, {8, 3.9380}, {16, 5.6128}};
  const auto image = block_in_air();
  const double sigma = 20;
  for (const auto& [coils, beta] : betas) {
    CAPTURE(coils);
    const auto result = corrupted(image, "nc-chi:5,coils=" + std::to_string(coils)).volume;
    const auto air = where(image, 0, result), tissue = where(image, 100, result);
    const double n = static_cast<double>(air.size()), spread = (2 * coils - beta * beta);
    CHECK(std::fabs(mean(air) - beta * sigma) < 4 * sigma * std::sqrt(spread / n) + 1e-4 * sigma);
    // Kurtosis of a chi distribution is near 3, as for a Gaussian.
    CHECK(std::fabs(variance(air) - spread * sigma * sigma) <
          5 * spread * sigma * sigma * std::sqrt(2 / n));
    // M^2 / sigma^2 is a non-central chi square: variance 4 (L + A^2 / sigma^2).
    const double power = 100.0 * 100 + 2 * coils * sigma * sigma;
    const double error =
        sigma * sigma * std::sqrt(4 * (coils + 25.0) / static_cast<double>(tissue.size()));
    CHECK(std::fabs(mean(tissue, 2) - power) < 4 * error);
  }
}

TEST_CASE("combined coils leave a complex image its phase") {
  const auto image = with_phase(two_d());
  const auto result = corrupted(image, "nc-chi:5").volume;
  for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
    const auto x = image.complex_voxels[i], y = result.complex_voxels[i];
    REQUIRE(std::abs(std::arg(y * std::conj(x))) < 1e-5f);
  }
}

TEST_CASE("what does not fit an image of coils, or a number of coils, is refused by name") {
  auto frames = coil_frames(4);
  const auto facts = measure_facts(frames);
  CHECK_THROWS_WITH_AS(corrupt(frames, recipe({"nc-chi"}), facts, {}),
                       "nc-chi: the frames are coils; want the combined image", mr::DataError);
  CHECK_THROWS_WITH_AS(corrupted(two_d(), "nc-chi:2,coils=2.5"),
                       "nc-chi: coils: want a whole number, got 2.5", mr::DataError);
}

// ---- correlated noise ----

TEST_CASE("noise of coils has the covariance Psi, and whitening gives the identity") {
  const std::int64_t coils = 5;
  const auto image = coil_frames(coils);
  const auto result = without_maps(image, "correlated-noise:5");
  const auto n = image.complex_voxels.size() / coils;
  const auto at = [&](std::int64_t c, std::int64_t i) {
    return Wide(result.volume.complex_voxels[c * n + i] - image.complex_voxels[c * n + i]);
  };
  const auto& drawn = result.record[0]["drawn"];
  REQUIRE(drawn.size() == 5);
  CHECK(drawn[0] == drawn[4]);  // coils share one draw
  const std::vector<double> sigma = drawn[0]["sigma"], phase = drawn[0]["phase_rad"];
  double squares = 0;
  for (const double s : sigma) squares += s * s / static_cast<double>(coils);
  CHECK(std::sqrt(squares) == doctest::Approx(measure_facts(image).signal / 5));
  CHECK(*std::max_element(sigma.begin(), sigma.end()) >
        1.2 * *std::min_element(sigma.begin(), sigma.end()));

  double error = 0, size = 0, white_error = 0;
  for (std::int64_t a = 0; a < coils; ++a)
    for (std::int64_t b = 0; b < coils; ++b) {
      const auto i = static_cast<std::size_t>(a), j = static_cast<std::size_t>(b);
      const Wide psi = sigma[i] * sigma[j] * std::pow(0.5, std::abs(a - b)) *
                       std::polar(1.0, phase[i] - phase[j]);
      Wide estimate = 0, white = 0;
      // The inverse of an autoregressive covariance's factor: differences of neighbours.
      const auto unwound = [&](std::int64_t c, std::int64_t v) {
        const auto k = static_cast<std::size_t>(c);
        return at(c, v) / std::polar(sigma[k], phase[k]);
      };
      const auto whitened = [&](std::int64_t c, std::int64_t v) {
        return c == 0 ? unwound(0, v) : (unwound(c, v) - 0.5 * unwound(c - 1, v)) / std::sqrt(0.75);
      };
      for (std::int64_t v = 0; v < n; ++v) {
        estimate += at(a, v) * std::conj(at(b, v)) / (2.0 * static_cast<double>(n));
        white += whitened(a, v) * std::conj(whitened(b, v)) / (2.0 * static_cast<double>(n));
      }
      error += std::norm(estimate - psi);
      size += std::norm(psi);
      white_error += std::norm(white - (a == b ? 1.0 : 0.0));
    }
  const double allowed = 4 * std::sqrt(static_cast<double>(coils) / static_cast<double>(n));
  CHECK(std::sqrt(error / size) < allowed);
  CHECK(std::sqrt(white_error / static_cast<double>(coils)) < allowed);
}

TEST_CASE("a combined image of correlated coils has the power of its signal and of all noise") {
  const auto image = block_in_air({1, 4, 60, 50});
  const auto result = without_maps(image, "correlated-noise:5");
  const std::vector<double> sigma = result.record[0]["drawn"]["sigma"];
  CHECK(result.record[0]["drawn"]["array"] == "loops");
  REQUIRE(sigma.size() == 8);
  double noise = 0;
  for (const double s : sigma) noise += 2 * s * s;
  const auto air = where(image, 0, result.volume), tissue = where(image, 100, result.volume);
  // Var |n|^2 = 4 |Psi|_F^2 <= 4 (trace Psi)^2, and 4 A^2 s^2 in tissue, s^2 <= trace Psi.
  const double trace = noise / 2;
  CHECK(std::fabs(mean(air, 2) - noise) <
        4 * 2 * trace / std::sqrt(static_cast<double>(air.size())));
  CHECK(std::fabs(mean(tissue, 2) - 1e4 - noise) <
        4 * 2 * std::sqrt(trace * trace + 1e4 * trace) /
            std::sqrt(static_cast<double>(tissue.size())));
  // Correlation lets the noise power vary more than that of as many coils of their own.
  double frobenius = 0;
  for (std::size_t i = 0; i < 8; ++i)
    for (std::size_t j = 0; j < 8; ++j)
      frobenius +=
          std::pow(sigma[i] * sigma[j] *
                       std::pow(0.5, std::fabs(static_cast<double>(i) - static_cast<double>(j))),
                   2);
  CHECK(mean(air, 4) - mean(air, 2) * mean(air, 2) == doctest::Approx(4 * frobenius).epsilon(0.1));
}

TEST_CASE("a map of coils takes the place of the loops, and must lie on the image's grid") {
  const auto record = corrupted(two_d(), "correlated-noise:3").record;
  CHECK(record[0]["drawn"]["array"] == "map");
  CHECK(record[0]["drawn"]["coils"] == 4);
  auto image = two_d();
  const auto facts = measure_facts(image);
  CHECK_THROWS_WITH_AS(
      corrupt(image, recipe({"correlated-noise"}), facts, {}, 1, maps(two_d({1, 6, 24, 34}))),
      "correlated-noise: the coils map has 34 voxels along i, the image 35", mr::DataError);
}

// ---- gains ----

TEST_CASE("a common gain is the same for all, a random one goes up or down by as much") {
  const auto image = two_d();
  const double g = std::exp2(0.6);
  int up = 0;
  for (int unit = 0; unit < 200; ++unit) {
    const auto id = std::to_string(unit);
    const auto common = corrupted(image, "gain-common:3", 1, id);
    REQUIRE(distance(image, common.volume, g) < 1e-6 * norm(image));
    const auto random = corrupted(image, "gain-random:3", 1, id);
    const double gain = random.record[0]["drawn"]["gain"];
    REQUIRE(distance(image, random.volume, gain) < 1e-6 * norm(image));
    REQUIRE(std::min(std::fabs(gain / g - 1), std::fabs(gain * g - 1)) < 1e-12);
    up += gain > 1;
  }
  CHECK(std::abs(up - 100) < 4 * std::sqrt(50.0));
}

TEST_CASE("a gain leaves no structure behind: the matched error is 0") {
  const auto image = two_d();
  for (const std::string step : {"gain-common:1,log2_gain=-2", "gain-common:2", "gain-random:5"}) {
    const auto f = compare(image, corrupted(image, step).volume, measure_facts(image));
    CHECK(f.nrmse_matched < 1e-6);
    CHECK(f.nrmse > 0.1);
  }
}

// ---- failed coils ----

TEST_CASE("a failed element takes exactly (1 - w^2) |I_c|^2 off the squared root of squares") {
  const auto image = with_phase(two_d());
  const auto result = without_maps(image, "coil-failure:2");
  const std::vector<double> weights = result.record[0]["drawn"]["weights"];
  CHECK(std::count(weights.begin(), weights.end(), 1.0) == 7);
  CHECK(*std::min_element(weights.begin(), weights.end()) == 0.5);
  const auto failed = std::min_element(weights.begin(), weights.end()) - weights.begin();
  const mr::kspace::CoilGrid grid{{6, 24, 35}, {4, 1.1, 0.8}};
  const auto n = 24 * 35;
  for (std::int64_t slice = 0; slice < 6; ++slice) {
    const auto s = mr::kspace::loop_sensitivities(mr::kspace::ring_of_loops(8), grid, slice);
    for (std::int64_t i = 0; i < n; ++i) {
      double all = 0;
      for (std::int64_t c = 0; c < 8; ++c) all += static_cast<double>(std::norm(s[c * n + i]));
      const auto x = Wide(image.complex_voxels[slice * n + i]);
      const auto y = Wide(result.volume.complex_voxels[slice * n + i]);
      const double of_coil = std::norm(x) * static_cast<double>(std::norm(s[failed * n + i])) / all;
      REQUIRE(std::norm(x) - std::norm(y) ==
              doctest::Approx(0.75 * of_coil).epsilon(1e-5 + 1e-6 * std::norm(x) / of_coil));
      REQUIRE(std::abs(std::arg(y * std::conj(x))) < 1e-6);
    }
  }
}

TEST_CASE("of frames that are coils, the failed ones alone are scaled; more failures hold fewer") {
  const auto image = coil_frames(6);
  const auto n = image.complex_voxels.size() / 6;
  std::vector<bool> before(6, false);
  for (const auto& [step, failures] : std::vector<std::pair<std::string, int>>{
           {"coil-failure:4", 1}, {"coil-failure:5", 2}, {"coil-failure:5,elements=6", 6}}) {
    const auto result = without_maps(image, step);
    int dead = 0;
    for (std::int64_t c = 0; c < 6; ++c) {
      bool zero = true, same = true;
      for (auto i = c * n; i < (c + 1) * n; ++i) {
        zero &= result.volume.complex_voxels[i] == Complex(0, 0);
        same &= result.volume.complex_voxels[i] == image.complex_voxels[i];
      }
      CHECK((zero || same));
      if (before[static_cast<std::size_t>(c)]) CHECK(zero);
      before[static_cast<std::size_t>(c)] = zero;
      dead += zero;
    }
    CHECK(dead == failures);
  }
}

TEST_CASE("failed elements leave less noise in the air of combined coils: all dead, no image") {
  const auto image = two_d();
  const auto result = without_maps(image, "coil-failure:5,elements=8").volume;
  for (const float x : result.voxels) REQUIRE(x == 0);
}

// ---- zipper ----

TEST_CASE("interference has one modulus in all of k-space, and its frequency along the readout") {
  for (const auto& image : {with_phase(two_d()), with_phase(three_d())}) {
    const auto result = corrupted(image, "zipper:3");
    const double amplitude = result.record[0]["drawn"]["amplitude"];
    const double column = result.record[0]["drawn"]["column"];
    const auto readout = image.shape()[3];
    CHECK(amplitude ==
          doctest::Approx(measure_facts(image).signal / std::sqrt(static_cast<double>(readout))));
    auto k = result.volume.complex_voxels;
    for (std::int64_t i = 0; i < k.size(); ++i) k[i] -= image.complex_voxels[i];
    const bool volumetric = image.acquisition.mode == Mode::three_d;
    to_kspace(k, volumetric ? std::vector<int>{0, 1, 2} : std::vector<int>{1, 2});
    Wide turns = 0;
    for (std::int64_t i = 0; i < k.size(); ++i) {
      REQUIRE(std::abs(k[i]) == doctest::Approx(amplitude).epsilon(1e-3));
      if (i % readout == 0) {
        turns += Wide(k[i]) / amplitude;
        continue;
      }
      const Wide turn = Wide(k[i]) / Wide(k[i - 1]) *
                        std::polar(1.0, -2 * pi * column / static_cast<double>(readout));
      REQUIRE(std::fabs(std::arg(turn)) < 2e-3);
    }
    // Lines have phases of their own: their sum is that of a random walk.
    const auto lines = static_cast<double>(k.size() / readout);
    CHECK(std::abs(turns) < 3 * std::sqrt(lines));
  }
}

TEST_CASE(
    "one phase for all lines makes a point in every slice, and a point of the volume in 3-D") {
  for (const auto& image : {with_phase(two_d()), with_phase(three_d())}) {
    const auto result = corrupted(image, "zipper:3,phase_spread=0").volume;
    const bool volumetric = image.acquisition.mode == Mode::three_d;
    const auto& shape = image.shape();
    double at_centre = 0, all = 0;
    for (std::int64_t i = 0; i < result.complex_voxels.size(); ++i) {
      const auto energy =
          static_cast<double>(std::norm(result.complex_voxels[i] - image.complex_voxels[i]));
      const bool row = i / shape[3] % shape[2] == shape[2] / 2;
      const bool slice = !volumetric || i / shape[3] / shape[2] == shape[1] / 2;
      all += energy;
      if (row && slice) at_centre += energy;
    }
    CHECK(at_centre == doctest::Approx(all).epsilon(1e-4));
  }
}

TEST_CASE("coils hear one source, and lose the same lines; their thermal noise is their own") {
  const auto image = coil_frames(3);
  const auto n = image.complex_voxels.size() / 3;
  for (const std::string artifact : {"zipper:3", "line-loss:5", "gaussian:3"}) {
    CAPTURE(artifact);
    const auto result = without_maps(image, artifact).volume;  // frames are alike before
    const bool alike = std::equal(result.complex_voxels.begin(), result.complex_voxels.begin() + n,
                                  result.complex_voxels.begin() + n);
    CHECK(alike == (artifact != "gaussian:3"));
  }
}

// ---- lost lines ----

TEST_CASE("lost energy is that of the lost lines, and the others stay") {
  for (const auto& image : {with_phase(two_d()), with_phase(three_d())}) {
    const bool volumetric = image.acquisition.mode == Mode::three_d;
    const auto axes = volumetric ? std::vector<int>{0, 1, 2} : std::vector<int>{1, 2};
    const auto result = corrupted(image, "line-loss:5");
    auto before = image.complex_voxels, after = result.volume.complex_voxels;
    to_kspace(before, axes);
    to_kspace(after, axes);
    const auto& shape = image.shape();
    std::vector<double> weights(static_cast<std::size_t>(shape[1] * shape[2]), 1.0);
    double sum = 0, lost = 0;
    for (const auto& l : result.record[0]["drawn"]["lost"]) {
      const std::int64_t slice = l[0], line = l[1];
      weights[static_cast<std::size_t>(slice * shape[2] + line)] = l[2];
      sum += 1 - static_cast<double>(l[2]);
      const double y = static_cast<double>(line - shape[2] / 2) / static_cast<double>(shape[2]);
      const double z =
          volumetric ? static_cast<double>(slice - shape[1] / 2) / static_cast<double>(shape[1])
                     : 0;
      CHECK(std::hypot(y, z) > 0.02);
    }
    CHECK(sum == doctest::Approx(0.08 * static_cast<double>(shape[1] * shape[2])));
    double error = 0;
    for (std::int64_t i = 0; i < before.size(); ++i) {
      const double w = weights[static_cast<std::size_t>(i / shape[3])];
      error += std::norm(Wide(after[i]) - w * Wide(before[i]));
      lost += (1 - w * w) * static_cast<double>(std::norm(before[i]));
    }
    const double energy = norm(image) * norm(image);
    CHECK(std::sqrt(error) < 1e-5 * norm(image));
    CHECK(energy - norm(result.volume) * norm(result.volume) ==
          doctest::Approx(lost).epsilon(1e-6 * energy / lost));
  }
}

TEST_CASE("garbage in place of lost lines is white noise of the stated strength") {
  const auto image = with_phase(two_d({1, 6, 100, 64}));
  const auto result = corrupted(image, "line-loss:5,garbage=2");
  auto k = result.volume.complex_voxels;
  to_kspace(k, {1, 2});
  double squares = 0, n = 0;
  for (const auto& l : result.record[0]["drawn"]["lost"]) {
    REQUIRE(l[2] == 0);
    const auto first = (l[0].get<std::int64_t>() * 100 + l[1].get<std::int64_t>()) * 64;
    for (auto i = first; i < first + 64; ++i, n += 2)
      squares += static_cast<double>(std::norm(k[i]));
  }
  const double sigma = 2 * measure_facts(image).signal;
  CHECK(result.record[0]["drawn"]["sigma"] == doctest::Approx(sigma));
  CHECK(std::fabs(squares / n - sigma * sigma) < bound(sigma, static_cast<std::int64_t>(n)));
}

TEST_CASE("a larger loss holds the smaller; slices lose lines of their own; the centre may go") {
  const auto lost = [](const std::string& step) {
    const auto record = corrupted(two_d({1, 6, 100, 20}), step).record[0]["drawn"]["lost"];
    std::set<std::pair<std::int64_t, std::int64_t>> all;
    for (const auto& l : record) all.emplace(l[0].get<std::int64_t>(), l[1].get<std::int64_t>());
    return all;
  };
  const auto few = lost("line-loss:4"), many = lost("line-loss:5");
  CHECK(few.size() == 6 * 4);
  CHECK(many.size() == 6 * 8);
  CHECK(std::includes(many.begin(), many.end(), few.begin(), few.end()));
  std::set<std::int64_t> lines;
  for (const auto& l : few) lines.insert(l.second);
  CHECK(lines.size() > 12);
  CHECK(lost("line-loss:1,fraction=1").size() == 6 * 95);  // 48 .. 52 are spared
  CHECK(lost("line-loss:1,fraction=1,spared=0").size() == 600);
}

// ---- parallel imaging ----

namespace {

/// Empirical standard deviation of the noise per component at each voxel, over draws.
mr::Array<double> spread_over_draws(const Volume& image, const std::string& step, int draws) {
  mr::Array<double> sum({image.complex_voxels.size()});
  for (int seed = 1; seed <= draws; ++seed) {
    const auto result = without_maps(image, step, static_cast<std::uint64_t>(seed)).volume;
    for (std::int64_t i = 0; i < sum.size(); ++i)
      sum[i] += static_cast<double>(std::norm(result.complex_voxels[i] - image.complex_voxels[i]));
  }
  for (auto& s : sum) s = std::sqrt(s / (2 * draws));
  return sum;
}

/// g of Pruessmann 1999, eq. 23, for two aliased voxels, by the 2 x 2 inverse.
double geometry(const mr::Array<Complex>& s, std::int64_t plane, std::int64_t a, std::int64_t b) {
  double aa = 0, bb = 0;
  Wide ab = 0;
  for (std::int64_t c = 0; c < s.shape(0); ++c) {
    const Wide x(s[c * plane + a]), y(s[c * plane + b]);
    aa += std::norm(x);
    bb += std::norm(y);
    ab += std::conj(x) * y;
  }
  return std::sqrt(bb / (aa * bb - std::norm(ab)) * aa);
}

}  // namespace

TEST_CASE("without acceleration g is 1: noise is even and white") {
  const auto image = with_phase(two_d({1, 3, 24, 35}));
  const double sigma = measure_facts(image).signal / 40;
  const auto spread = spread_over_draws(image, "g-factor:1,acceleration=1", 100);
  double squares = 0;
  for (const double s : spread) {
    squares += s * s / static_cast<double>(spread.size());
    REQUIRE(std::fabs(s / sigma - 1) < 5 / std::sqrt(4.0 * 100));  // of 200 numbers, 5 sigma
  }
  CHECK(std::fabs(squares - sigma * sigma) < bound(sigma, 200 * spread.size()));
}

TEST_CASE("SENSE's noise is sigma sqrt(R) g at each voxel, for even and odd numbers of lines") {
  for (const std::int64_t lines : {24, 23}) {
    CAPTURE(lines);
    const auto image = with_phase(two_d({1, 2, lines, 35}));
    const int draws = 200;
    const double sigma = measure_facts(image).signal / 40;
    const auto spread = spread_over_draws(image, "g-factor:1", draws);
    const auto plane = lines * 35, step = (lines + 1) / 2;
    double squares = 0, largest = 0;
    for (std::int64_t slice = 0; slice < 2; ++slice) {
      const auto s = mr::kspace::loop_sensitivities(mr::kspace::ring_of_loops(8),
                                                    {{2, lines, 35}, {4, 1.1, 0.8}}, slice);
      for (std::int64_t i = 0; i < plane; ++i) {
        const auto y = i / 35, partner = y < step ? i + step * 35 : i - step * 35;
        const double g = partner < plane ? geometry(s, plane, i, partner) : 1;
        REQUIRE(g >= 1 - 1e-6);
        largest = std::max(largest, g);
        const double ratio = spread[slice * plane + i] / (sigma * std::sqrt(2.0) * g);
        REQUIRE(std::fabs(ratio - 1) < 5 / std::sqrt(4.0 * draws));
        squares += ratio * ratio;
      }
    }
    CHECK(largest > 1.03);
    // Aliased voxels share noise, so that as few as half of the numbers may be independent.
    CHECK(std::fabs(squares / (2.0 * static_cast<double>(plane)) - 1) <
          bound(1, plane * 2 * draws));
  }
}

TEST_CASE("a voxel that no coil sees has no noise; coils that are too few or alike are refused") {
  auto image = with_phase(two_d());
  const auto facts = measure_facts(image);
  auto all = maps(image);
  auto& coils = all[Map::coils].complex_voxels;
  const auto n = coils.size() / 4;
  for (std::int64_t c = 0; c < 4; ++c)
    for (std::int64_t i = 0; i < 100; ++i) coils[c * n + i] = 0;
  auto result = image;
  const auto record = corrupt(result, recipe({"g-factor:5"}), facts, {}, 1, all);
  CHECK(record[0]["drawn"]["array"] == "map");
  for (std::int64_t i = 0; i < 120; ++i)
    CHECK((result.complex_voxels[i] == image.complex_voxels[i]) == (i < 100));
  CHECK_THROWS_WITH_AS(corrupt(result, recipe({"g-factor:5,coils=3"}), facts, {}),
                       "g-factor: want at least 4 coils for that acceleration, got 3",
                       mr::DataError);
  for (auto& x : coils) x = 1;
  CHECK_THROWS_WITH_AS(corrupt(result, recipe({"g-factor:5"}), facts, {}, 1, all),
                       "g-factor: the coils see aliased voxels alike: they cannot be unfolded",
                       mr::DataError);
}

TEST_CASE("residual aliasing is a copy of the stated strength at N / R voxels") {
  const auto image = with_phase(two_d({1, 6, 24, 36}));
  for (const int r : {2, 3}) {
    CAPTURE(r);
    const auto result =
        corrupted(image, "parallel-residual:4,acceleration=" + std::to_string(r)).volume;
    for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
      const auto slice = i / (24 * 36), y = i / 36 % 24, x = i % 36;
      const auto row = [&](std::int64_t line) {
        return static_cast<double>(
            std::abs(image.complex_voxels[(slice * 24 + line % 24) * 36 + x]));
      };
      const double added =
          static_cast<double>(std::abs(result.complex_voxels[i] - image.complex_voxels[i]));
      if (r == 2)
        REQUIRE(added == doctest::Approx(0.2 * row(y + 12)).epsilon(1e-3 + 0.1 / row(y + 12)));
      else
        REQUIRE(added < 0.2 * (row(y + 8) + row(y + 16)) + 1e-3);
    }
  }
}

// ---- levels of noise ----

namespace {

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  double ab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) ab += a[i] * b[i];
  return (ab / static_cast<double>(a.size()) - mean(a) * mean(b)) /
         std::sqrt(variance(a) * variance(b));
}

}  // namespace

namespace {

using Ids = std::map<std::string, std::string>;

/// log of a draw for a unit with these ids.
double log_of(const Distribution& d, const Ids& ids) {
  return std::log(draw(d, [&](const std::string& level) {
    return mr::random_key(1, {level, ids.at(level)});
  }));
}

}  // namespace

TEST_CASE("two draws correlate by the cumulative share of the levels that they have in common") {
  const std::vector<std::pair<std::string, double>> spread = {
      {"site", 0.25}, {"scanner", 0.15}, {"subject", 0.10}, {"image", 0.05}};
  const Distribution d{Distribution::Kind::lognormal, {1}, {spread.begin(), spread.end()}};
  double total = 0, common = 0;
  for (const auto& [unused, sd] : spread) total += sd * sd;
  const int n = 20000;
  for (std::size_t level = 0; level <= spread.size(); ++level) {
    CAPTURE(level);
    std::vector<double> a, b;
    for (int i = 0; i < n; ++i) {
      const auto id = std::to_string(i);
      Ids one{{"site", id}, {"scanner", id}, {"subject", id}, {"image", id}}, other = one;
      for (auto below = level; below < spread.size(); ++below) other[spread[below].first] += "'";
      a.push_back(log_of(d, one));
      b.push_back(log_of(d, other));
    }
    const double want = common / total;
    CHECK(std::fabs(correlation(a, b) - want) <=
          4 * (1 - want * want) / std::sqrt(static_cast<double>(n)) + 1e-9);
    CHECK(std::fabs(variance(a) - total) < bound(std::sqrt(total), n));
    CHECK(std::fabs(mean(a)) < 4 * std::sqrt(total / n));
    if (level < spread.size()) common += spread[level].second * spread[level].second;
  }
}

TEST_CASE("a gamma draw has its mean and variance; odds move by the levels' deviates") {
  const Distribution d{Distribution::Kind::gamma, {2, 1.5}};
  std::vector<double> x, log_odds;
  const Probability p{0.3, {{"scanner", 0.5}, {"site", 1.2}}};
  const int n = 20000;
  for (int i = 0; i < n; ++i) {
    const auto key = [&](const std::string& level) {
      return mr::random_key(static_cast<std::uint64_t>(i), {level});
    };
    x.push_back(draw(d, key));
    const double drawn = draw(p, key);
    log_odds.push_back(std::log(drawn / (1 - drawn)));
  }
  // Var of the variance of a gamma: (kurtosis - 1) / n, kurtosis 3 + 6 / shape.
  CHECK(std::fabs(mean(x) - 2) < 4 * std::sqrt(4 / 1.5 / n));
  CHECK(std::fabs(variance(x) - 4 / 1.5) < 4 * 4 / 1.5 * std::sqrt((2 + 6 / 1.5) / n));
  CHECK(std::fabs(mean(log_odds) - std::log(0.3 / 0.7)) < 4 * 1.3 / std::sqrt(n));
  CHECK(std::fabs(variance(log_odds) - 1.69) < bound(1.3, n));
}

TEST_CASE("in a recipe each level's draw is the id's, whatever stands above or below") {
  const auto recipe_of = [](const std::string& log_sd) {
    return recipe_from_json(
        mr::parse_json(R"({"schema": "mr-recipe/1", "steps": [{"artifact": "rician",
            "parameters": {"snr": {"lognormal": {"median": 20, "log_sd": )" +
                           log_sd + "}}}}]}",
                       "r"),
        "r");
  };
  const auto image = two_d();
  const auto facts = measure_facts(image);
  const auto snr = [&](const Recipe& r, const Ids& ids, const std::string& unit) {
    auto volume = image;
    const auto record = corrupt(volume, r, facts, {1, unit, std::nullopt, ids});
    return record[0]["parameters"]["snr"].get<double>();
  };
  const auto by_scanner = recipe_of(R"({"scanner": 0.3})");
  CHECK(levels(by_scanner) == std::vector<std::string>{"scanner"});
  CHECK(levels(recipe_of(R"({"site": 0.3, "image": 0.1, "subject": 0.2})")) ==
        std::vector<std::string>{"site", "subject"});
  const double a = snr(by_scanner, {{"scanner", "A"}}, "one");
  CHECK(a == snr(by_scanner, {{"scanner", "A"}}, "two"));
  CHECK(a != snr(by_scanner, {{"scanner", "B"}}, "one"));
  const auto by_both = recipe_of(R"({"scanner": 0.3, "image": 0.2})");
  const double one = snr(by_both, {{"scanner", "A"}}, "one"),
               two = snr(by_both, {{"scanner", "A"}}, "two");
  CHECK(one != two);
  // The image's own deviate is the same below another scanner.
  const double moved = snr(by_both, {{"scanner", "B"}}, "one");
  CHECK(std::log(moved / one) ==
        doctest::Approx(std::log(snr(by_scanner, {{"scanner", "B"}}, "one") / a)));
  // Beyond the parameter's range a draw ends at its bound.
  CHECK(snr(recipe_of("40"), {}, "one") >= 0.1);
  CHECK(snr(recipe_of("40"), {}, "eight") >= 0.1);
}

TEST_CASE("slices are autoregressive: stationary from the first, with the stated coefficient") {
  const int n = 20000;
  const double rho = 0.8, std = 0.05;
  const auto series = autoregressive({5}, n, rho, std);
  const std::vector<double> now(series.begin(), series.end() - 1),
      next(series.begin() + 1, series.end());
  CHECK(std::fabs(correlation(now, next) - rho) < 4 * std::sqrt((1 - rho * rho) / n));
  const std::vector<double> later(series.begin() + 3, series.end()),
      before(series.begin(), series.end() - 3);
  CHECK(std::fabs(correlation(before, later) - rho * rho * rho) < 0.06);
  std::vector<double> first, tenth;
  for (std::uint64_t key = 0; key < 5000; ++key) {
    const auto x = autoregressive({key}, 10, rho, std);
    first.push_back(x[0]);
    tenth.push_back(x[9]);
  }
  CHECK(std::fabs(variance(first) - std * std) < bound(std, 5000));
  CHECK(std::fabs(variance(tenth) - std * std) < bound(std, 5000));
  // A longer series goes on where a shorter one ended.
  const auto shorter = autoregressive({5}, 7, rho, std);
  CHECK(std::equal(shorter.begin(), shorter.end(), series.begin()));
}

TEST_CASE("noise has each slice's own sigma in 2-D, and one of the volume in 3-D") {
  const auto flat = block_in_air({1, 12, 60, 50});
  const auto result = corrupted(flat, "nonstationary-noise:5");
  const std::vector<double> sigma = result.record[0]["drawn"]["sigma"];
  REQUIRE(sigma.size() == 12);
  CHECK(*std::max_element(sigma.begin(), sigma.end()) >
        1.3 * *std::min_element(sigma.begin(), sigma.end()));
  for (std::int64_t slice = 0; slice < 12; ++slice) {
    double squares = 0, n = 0;
    for (auto i = slice * 3000; i < (slice + 1) * 3000; ++i)
      if (flat.voxels[i] == 0) {
        squares += std::pow(static_cast<double>(result.volume.voxels[i]), 2);
        ++n;
      }
    const double want = 2 * std::pow(sigma[static_cast<std::size_t>(slice)], 2);
    CHECK(std::fabs(squares / n / want - 1) < 4 / std::sqrt(n));  // Var M^2 = (E M^2)^2
  }
  const auto steady = corrupted(flat, "nonstationary-noise:5,log_std=0").record;
  for (const double s : steady[0]["drawn"]["sigma"]) CHECK(s == doctest::Approx(20));
  CHECK(corrupted(three_d(), "nonstationary-noise:5").record[0]["drawn"]["sigma"].size() == 1);
}

// ---- shading of coils ----

TEST_CASE("shading by loops keeps the foreground's sum, is positive, and brightest at the rim") {
  for (const auto& image : {two_d(), three_d()}) {
    const auto facts = measure_facts(image);
    const auto result = corrupted(image, "coil-shading:5,distance=1.5").volume;
    double before = 0, after = 0;
    for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
      REQUIRE(result.voxels[i] > 0);
      before += static_cast<double>(facts.foreground[i] * image.voxels[i]);
      after += static_cast<double>(facts.foreground[i] * result.voxels[i]);
    }
    CHECK(after == doctest::Approx(before).epsilon(1e-6));
    const auto& shape = image.shape();
    const auto gain = [&](std::int64_t y, std::int64_t x) {
      const auto i = (shape[1] / 2 * shape[2] + y) * shape[3] + x;
      return static_cast<double>(result.voxels[i]) / static_cast<double>(image.voxels[i]);
    };
    // The loops stand off the longer side; the short side of the 3-D image is far from them.
    const double middle = gain(shape[2] / 2, shape[3] / 2);
    CHECK(gain(2, shape[3] / 2) > 1.3 * middle);
    if (image.acquisition.mode == Mode::two_d) CHECK(gain(shape[2] / 2, 2) > 1.3 * middle);
  }
}

TEST_CASE("far loops shade nothing; a surface coil falls off as the field of its loop") {
  const auto image = two_d();
  const auto far = corrupted(image, "coil-shading:1,distance=1000").volume;
  CHECK(distance(image, far) < 1e-3 * norm(image));
  const auto result = corrupted(image, "coil-shading:5,distance=1.5,coils=1");
  const double angle = result.record[0]["drawn"]["first_rad"];
  const double scale = result.record[0]["drawn"]["scale"];
  const double half = 35 * 0.8 / 2;
  const auto loop = mr::kspace::ring_of_loops(1, 1.5, 0.2, angle)[0];
  CHECK(loop.centre[1] == doctest::Approx(1.5 * std::sin(angle)));
  const auto middle = mr::kspace::loop_field(loop, {0, 0, 0});
  for (const std::int64_t x : {0, 10, 30}) {
    const auto b = mr::kspace::loop_field(
        loop, {(static_cast<double>(x) - 17) * 0.8 / half, 1.5 * 1.1 / half, 2 / half});
    const auto i = (3 * 24 + 13) * 35 + x;
    CHECK(static_cast<double>(result.volume.voxels[i]) ==
          doctest::Approx(static_cast<double>(image.voxels[i]) * scale * std::hypot(b[0], b[1]) /
                          std::hypot(middle[0], middle[1]))
              .epsilon(1e-5));
  }
}
