// Laws of the artifacts of the object, of slices and of the export.
#include <algorithm>
#include <cmath>
#include <set>

#include "artifact/tissue.h"
#include "artifact_samples.h"
#include "base/error.h"

#include "check.h"

using namespace mr::artifact;
using namespace samples;
using mr::Shape;

namespace {

double sum_of(const Volume& v) {
  double sum = 0;
  for (const float x : v.voxels) sum += static_cast<double>(x);
  return sum;
}

/// An image that is the same in every slice, brighter along x.
Volume cylinder(const Shape& shape) {
  auto v = two_d(shape);
  const auto plane = shape[2] * shape[3];
  for (std::int64_t i = 0; i < v.voxels.size(); ++i)
    v.voxels[i] = static_cast<float>(i % plane % shape[3] < shape[3] / 2 ? 5 : 300 + i % shape[3]);
  return v;
}

std::string refusal(const Volume& image, const std::string& step) {
  try {
    corrupted(image, step);
  } catch (const mr::DataError& e) {
    return e.what();
  }
  return "";
}

}  // namespace

// ---- thick slices ----

TEST_CASE("thick slices leave an object that is constant through them, whatever the profile") {
  const auto image = cylinder({1, 9, 12, 14});
  for (const std::string step :
       {"thick-slice:1", "thick-slice:4", "thick-slice:5", "thick-slice:3,gaussian=1"})
    CHECK(distance(image, corrupted(image, step).volume) < 1e-6 * norm(image));  // float32 sums
}

TEST_CASE("a thick slice is the mean of the thin ones that it holds, half where it cuts one") {
  auto image = two_d({1, 9, 4, 5});
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    image.voxels[i] = i / 20 == 4 ? 900.0f : 0.0f;
  // Thickness 3: thick slices over slices 0-2, 3-5, 6-8, read off at their centres and between.
  const auto thick = corrupted(image, "thick-slice,thickness=3").volume;
  const std::vector<double> want = {0, 0, 100, 200, 300, 200, 100, 0, 0};
  for (std::int64_t s = 0; s < 9; ++s)
    CHECK(static_cast<double>(thick.voxels[s * 20 + 7]) ==
          doctest::Approx(want[static_cast<std::size_t>(s)]).epsilon(1e-6));
  // Thickness 4 about slices 0, 4 and 8: the middle one holds 3 whole slices and 2 halves.
  const auto wide = corrupted(image, "thick-slice,thickness=4").volume;
  CHECK(static_cast<double>(wide.voxels[4 * 20]) == doctest::Approx(225).epsilon(1e-6));
  // The same through a Gaussian of the same width: 900 erf(0.5 / (sigma sqrt 2)).
  const auto gaussian = corrupted(image, "thick-slice,thickness=3,gaussian=1").volume;
  CHECK(static_cast<double>(gaussian.voxels[4 * 20]) ==
        doctest::Approx(900 * std::erf(0.5 * std::sqrt(std::log(2.0)) / 1.5)).epsilon(1e-3));
}

TEST_CASE("one slice cannot be made thick") {
  CHECK(refusal(two_d({1, 1, 24, 36}), "thick-slice:2") ==
        "thick-slice: want at least 2 slices, the image has 1");
}

// ---- intensities at export ----

TEST_CASE("gamma keeps the darkest voxel and the foreground's mean, and is its own inverse") {
  auto image = two_d();
  image.voxels[0] = 0;
  const auto facts = measure_facts(image);
  const auto mean = [&](const Volume& v) {
    double sum = 0;
    for (std::int64_t i = 0; i < v.voxels.size(); ++i)
      sum += facts.foreground[i] * static_cast<double>(v.voxels[i]);
    return sum;
  };
  for (const std::string step : {"gamma:5", "gamma-dark:5"}) {
    const auto result = corrupted(image, step).volume;
    CHECK(result.voxels[0] == 0);
    CHECK(mean(result) == doctest::Approx(mean(image)).epsilon(1e-6));
  }
  // Without a gain the white point stays, so 0.5 undoes 2.
  const auto there =
      corrupted(image, recipe({"gamma,gamma=0.5,keep_mean=0", "gamma,gamma=2,keep_mean=0"})).volume;
  CHECK(distance(there, image) < 1e-6 * norm(image));
}

TEST_CASE("gamma follows the power law between the darkest voxel and the 99.9th percentile") {
  auto image = two_d({1, 1, 10, 100});
  for (std::int64_t i = 0; i < 1000; ++i) image.voxels[i] = static_cast<float>(100 + i);
  const auto result = corrupted(image, "gamma,gamma=2,keep_mean=0").volume;
  const double black = 100, white = 100 + 0.999 * 999;
  for (const std::int64_t i : {0, 250, 999})
    CHECK(static_cast<double>(result.voxels[i]) ==
          doctest::Approx(black + static_cast<double>(i * i) / (white - black)).epsilon(1e-6));
}

TEST_CASE("clipping cuts the stated share of the foreground to one value and nothing else") {
  const auto image = two_d();
  const auto facts = measure_facts(image);
  const auto result = corrupted(image, "clipping:4");
  const auto limit = result.record[0]["drawn"]["limit"].get<float>();
  std::int64_t cut = 0, foreground = 0;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
    CHECK(result.volume.voxels[i] == std::min(image.voxels[i], limit));
    cut += image.voxels[i] > limit;
    foreground += facts.foreground[i];
  }
  CHECK(std::fabs(static_cast<double>(cut) - 0.2 * static_cast<double>(foreground)) <= 1);
}

TEST_CASE("quantisation: errors within half a step, of variance step^2 / 12, on a grid from 0") {
  const auto image = two_d({1, 8, 48, 50});
  const auto result = corrupted(image, "quantisation:3");
  const double step = result.record[0]["drawn"]["step"].get<double>();
  CHECK(step == doctest::Approx(measure_facts(image).maximum / 31));
  double square = 0, n = 0;
  std::set<float> levels;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
    const auto x = static_cast<double>(image.voxels[i]);
    const double error = static_cast<double>(result.volume.voxels[i]) - x;
    CHECK(std::fabs(error) <= step / 2 * (1 + 1e-6));
    levels.insert(result.volume.voxels[i]);
    if (x < 400) continue;  // tissue covers many steps
    square += error * error;
    n += 1;
  }
  CHECK(levels.size() <= 32);
  // Of a uniform error the mean square varies by sqrt(4/5 / n); 4 of these, and a tenth for tissue
  // that is not uniform within a step.
  CHECK(std::fabs(square / n / (step * step / 12) - 1) < 0.1 + 4 * std::sqrt(0.8 / n));
}

TEST_CASE("a window is linear inside and flat outside; the whole range is the identity") {
  auto image = two_d({1, 1, 10, 101});
  for (std::int64_t i = 0; i < 1010; ++i) image.voxels[i] = static_cast<float>(i % 101 + 50);
  const auto result = corrupted(image, "window,low_percent=20,high_percent=80").volume;
  CHECK(result.voxels[20] == doctest::Approx(50.0f));
  CHECK(result.voxels[5] == 50.0f);
  CHECK(result.voxels[50] == doctest::Approx(100.0f));
  CHECK(result.voxels[65] == doctest::Approx(50.0 + 100.0 * 45 / 60));
  CHECK(result.voxels[95] == 150.0f);
}

TEST_CASE("a window between percentiles that are equal is refused") {
  auto image = two_d({1, 1, 10, 10});
  for (std::int64_t i = 0; i < 100; ++i) image.voxels[i] = i < 5 ? 100.0f : 0.0f;
  CHECK(refusal(image, "window:5") ==
        "window: percentiles 20 and 80 of the image are 0 and 0: want the second one higher");
}

TEST_CASE("a border covers its share of the object and leaves what lies inside") {
  auto image = two_d({1, 2, 20, 30});
  for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
    const auto x = i % 30, y = i / 30 % 20;
    image.voxels[i] = x >= 5 && x < 25 && y >= 4 && y < 14 ? 700.0f : 3.0f;  // 20 x 10 voxels
  }
  // 12 % of 20 is 2.4, of 10 is 1.2: kept are 5 + 2.4 to 25 - 2.4 and 4 + 1.2 to 14 - 1.2.
  const auto result = corrupted(image, "border:4").volume;
  const auto at = [&](std::int64_t x, std::int64_t y) {
    return static_cast<double>(result.voxels[600 + y * 30 + x]);
  };
  CHECK(at(6, 8) == 0);
  CHECK(at(7, 8) == doctest::Approx(0.6 * 700));
  CHECK(at(8, 8) == 700);
  CHECK(at(21, 8) == 700);
  CHECK(at(22, 8) == doctest::Approx(0.6 * 700));
  CHECK(at(23, 8) == 0);
  CHECK(at(8, 4) == 0);
  CHECK(at(8, 5) == doctest::Approx(0.8 * 700));
  CHECK(at(7, 12) == doctest::Approx(0.8 * 0.6 * 700));
  CHECK(sum_of(result) == doctest::Approx(2 * 700 * 15.2 * 7.6).epsilon(1e-6));
  const auto padded = corrupted(image, "border:4,padding=0.5").volume;
  CHECK(static_cast<double>(padded.voxels[0]) == doctest::Approx(350));
}

TEST_CASE(
    "burnt-in text: the stated number of voxels at the maximum, the rest bit for bit, nested") {
  const auto image = two_d({1, 3, 64, 90}, 1000);
  const auto maximum = static_cast<float>(measure_facts(image).maximum);
  std::set<std::int64_t> before;
  for (int level = 1; level <= 5; ++level) {
    const auto result = corrupted(image, "burnt-in-text:" + std::to_string(level));
    std::set<std::int64_t> burnt;
    for (std::int64_t i = 0; i < image.voxels.size(); ++i)
      if (result.volume.voxels[i] != image.voxels[i]) {
        CHECK(result.volume.voxels[i] == maximum);
        burnt.insert(i);
      }
    const std::array<double, 5> percent = {1, 2, 4, 6, 10};
    const auto wanted = std::lround(percent[static_cast<std::size_t>(level - 1)] / 100 * 64 * 90);
    CHECK(result.record[0]["drawn"]["burnt_voxels"] == wanted);
    CHECK(static_cast<std::int64_t>(burnt.size()) <= 3 * wanted);
    CHECK(static_cast<std::int64_t>(burnt.size()) >= 3 * wanted - 3);  // the maximum itself
    CHECK(std::includes(burnt.begin(), burnt.end(), before.begin(), before.end()));
    before = burnt;
  }
}

TEST_CASE("text is upright on a display, whichever axis is stored first or phase-encoded") {
  auto image = two_d({1, 2, 64, 90});
  const auto turned = [&](const mr::image::Affine& affine) {
    auto other = image;
    other.affine = affine;
    return corrupted(other, "burnt-in-text:3").record[0]["drawn"];
  };
  const auto ras = turned(image.affine);  // axial: j runs to the front
  CHECK((ras["right"] == "i-" && ras["down"] == "j-"));
  const auto lps = turned({{{-1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}});
  CHECK((lps["right"] == "i" && lps["down"] == "j"));
  // Sagittal: i runs to the head, j to the back.
  const auto sagittal = turned({{{0, 0, 1, 0}, {0, -1, 0, 0}, {1, 0, 0, 0}, {0, 0, 0, 1}}});
  CHECK((sagittal["right"] == "j" && sagittal["down"] == "i-"));
  const auto rows = corrupted(image, "burnt-in-text:3").volume;
  image.acquisition.phase_encode_axis = 0;
  CHECK(same_bits(corrupted(image, "burnt-in-text:3").volume, rows));
}

TEST_CASE("an export step on a complex image acts on the magnitude and keeps the phase") {
  const auto real = two_d();
  const auto image = with_phase(real);
  for (const std::string step :
       {"gamma:4", "clipping:4", "quantisation:5", "window:3", "border:4"}) {
    CAPTURE(step);
    const auto want = corrupted(real, step).volume;
    const auto got = corrupted(image, step).volume;
    double distance = 0;
    for (std::int64_t i = 0; i < want.voxels.size(); ++i) {
      const std::complex<double> x(got.complex_voxels[i]);
      const double phase = std::arg(std::complex<double>(image.complex_voxels[i]));
      distance += std::norm(x - std::polar(static_cast<double>(want.voxels[i]), phase));
    }
    CHECK(std::sqrt(distance) < 2e-3 * norm(want));  // one voxel may round to the next level
  }
}

TEST_CASE("export of a magnitude image after a complex step acts on its magnitude") {
  const auto image = two_d();
  auto r = recipe({"rician:3", "quantisation:5"});
  const auto together = corrupted(image, r).volume;
  const auto noisy = corrupted(image, "rician:3").volume;
  const double step = measure_facts(image).maximum / 7;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    CHECK(static_cast<double>(together.voxels[i]) ==
          doctest::Approx(step * std::nearbyint(static_cast<double>(noisy.voxels[i]) / step)));
}

// ---- single slices ----

namespace {

/// Factor of each slice, where the result is the image times one number a slice.
std::vector<double> slice_factors(const Volume& image, const Volume& result) {
  const auto n = image.shape()[2] * image.shape()[3];
  std::vector<double> factors;
  for (std::int64_t s = 0; s < image.shape()[1]; ++s) {
    double before = 0, after = 0, rest = 0;
    for (std::int64_t i = s * n; i < (s + 1) * n; ++i) {
      before += static_cast<double>(image.voxels[i]);
      after += static_cast<double>(result.voxels[i]);
    }
    for (std::int64_t i = s * n; i < (s + 1) * n; ++i)
      rest = std::max(rest, std::fabs(static_cast<double>(result.voxels[i]) -
                                      after / before * static_cast<double>(image.voxels[i])));
    CHECK(rest < 1e-3);  // of up to 1000, in float32
    factors.push_back(after / before);
  }
  return factors;
}

std::vector<float> slice_of(const Volume& v, std::int64_t s) {
  const auto n = v.shape()[2] * v.shape()[3];
  return {v.voxels.begin() + s * n, v.voxels.begin() + (s + 1) * n};
}

}  // namespace

TEST_CASE("cross-talk: the first pass keeps its bits, the second loses the stated share") {
  auto image = two_d({1, 7, 12, 14});
  image.acquisition.slice_order = "interleaved";
  const auto result = corrupted(image, "slice-crosstalk:4").volume;
  const auto factors = slice_factors(image, result);
  for (std::int64_t s = 0; s < 7; ++s)
    if (s % 2 == 0)
      CHECK(slice_of(result, s) == slice_of(image, s));
    else
      CHECK(factors[static_cast<std::size_t>(s)] == doctest::Approx(0.8).epsilon(1e-6));
}

TEST_CASE("cross-talk of a sequential scan: every slice but the first has one earlier neighbour") {
  auto image = two_d({1, 4, 12, 14});
  image.acquisition.slice_order = "sequential";
  const auto up = slice_factors(image, corrupted(image, "slice-crosstalk:4").volume);
  image.acquisition.slice_order = "reverse";
  const auto down = slice_factors(image, corrupted(image, "slice-crosstalk:4").volume);
  for (std::size_t s = 0; s < 4; ++s) {
    CHECK(up[s] == doctest::Approx(s == 0 ? 1 : 0.9).epsilon(1e-6));
    CHECK(down[s] == doctest::Approx(s == 3 ? 1 : 0.9).epsilon(1e-6));
  }
}

TEST_CASE("slice gain without wandering: odd and even slices differ by twice the offset") {
  const auto image = two_d();
  const auto f = slice_factors(image, corrupted(image, "slice-gain,offset=0.1,spread=0").volume);
  for (std::size_t s = 0; s + 1 < f.size(); ++s) {
    CHECK(f[s] * f[s + 1] == doctest::Approx(1).epsilon(1e-6));
    CHECK(std::fabs(std::log(f[s])) == doctest::Approx(0.1).epsilon(1e-6));
  }
}

TEST_CASE("slice gain wanders with the stated spread and correlation, from the first slice on") {
  const auto image = two_d({1, 40, 4, 5});
  double square = 0, first = 0, product = 0, n = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto record =
        corrupted(image, "slice-gain,offset=0,spread=0.2,correlation=0.6", seed).record;
    const auto f = record[0]["drawn"]["factors"].get<std::vector<double>>();
    first += std::pow(std::log(f[0]), 2) / 200;
    for (std::size_t s = 0; s + 1 < f.size(); ++s, ++n) {
      square += std::pow(std::log(f[s]), 2);
      product += std::log(f[s]) * std::log(f[s + 1]);
    }
  }
  // Standard error of a variance from 200 independent draws: 10 %; of 7800 correlated ones and of
  // their product: below 3 %. Four of them.
  CHECK(std::fabs(first / 0.04 - 1) < 0.4);
  CHECK(std::fabs(square / n / 0.04 - 1) < 0.12);
  CHECK(std::fabs(product / square - 0.6) < 0.12);
}

TEST_CASE("slice dropout: whole slices as stated, nested over the levels, the others bit for bit") {
  const auto image = two_d({1, 20, 12, 14});
  std::vector<double> before(20, 1.0);
  const std::array<std::int64_t, 5> dropped = {1, 1, 2, 4, 6};  // 20 x 2, 5, 10, 20, 30 %
  for (int level = 1; level <= 5; ++level) {
    const auto result = corrupted(image, "slice-dropout:" + std::to_string(level)).volume;
    const auto factors = slice_factors(image, result);
    std::int64_t lower = 0;
    for (std::size_t s = 0; s < 20; ++s) {
      if (factors[s] >= 1 - 1e-9)
        CHECK(slice_of(result, static_cast<std::int64_t>(s)) ==
              slice_of(image, static_cast<std::int64_t>(s)));
      else
        ++lower;
      CHECK(factors[s] <= before[s] + 1e-6);
      if (level > 1 && factors[s] < 1 - 1e-9) CHECK(factors[s] <= 0.7 + 1e-6);
    }
    CHECK(lower == dropped[static_cast<std::size_t>(level - 1)]);
    before = factors;
  }
}

TEST_CASE("slices of a 3-D scan are not excited one by one") {
  for (const std::string name : {"slice-crosstalk", "slice-gain", "slice-dropout"})
    CHECK(refusal(three_d(), name + ":2") ==
          name + ": want slices that are excited one by one, but the encoding is 3-D");
  CHECK(refusal(two_d({1, 1, 24, 36}), "slice-crosstalk:2") ==
        "slice-crosstalk: want at least 2 slices, the image has 1");
}

// ---- lossy files ----

TEST_CASE(
    "JPEG at quality 100 is 8-bit rounding to a step or two; each slice is a file of its own") {
  const auto image = two_d({1, 3, 24, 35});
  const auto result = corrupted(image, "jpeg,quality=100");
  const double step = result.record[0]["drawn"]["step"].get<double>();
  CHECK(step == doctest::Approx(measure_facts(image).maximum / 255));
  for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
    const auto x = static_cast<double>(result.volume.voxels[i]);
    CHECK(std::fabs(x - static_cast<double>(image.voxels[i])) < 2.6 * step);
    CHECK(std::fabs(x / step - std::round(x / step)) < 1e-4);
  }
}

TEST_CASE("lossy files have their rows along the axis stored first, whichever is phase-encoded") {
  auto image = two_d({1, 2, 24, 35});
  for (const std::string step : {"jpeg:4", "jpeg2000:4"}) {
    image.acquisition.phase_encode_axis = 1;
    const auto rows = corrupted(image, step).volume;
    image.acquisition.phase_encode_axis = 0;
    CHECK(same_bits(corrupted(image, step).volume, rows));
  }
}

// ---- fat ----

namespace {

/// Share of the voxels of the object (foreground, or mostly fat) for which `is` holds.
template <typename Predicate>
double share_of_object(const Volume& image, Predicate is) {
  const auto facts = measure_facts(image);
  const auto fat = maps(image)[Map::fat];
  double inside = 0, held = 0;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
    if (facts.foreground[i] == 0 && fat.voxels[i] < 0.5f) continue;
    inside += 1;
    held += is(i);
  }
  return held / inside;
}

}  // namespace

TEST_CASE("failed fat suppression adds at most the fat's signal, half of it in the stated share") {
  const auto image = two_d();
  const auto fat = maps(image)[Map::fat];
  const double signal = 1.5 * measure_facts(image).signal;
  Volume before = image;
  for (int level = 1; level <= 5; ++level) {
    const auto result = corrupted(image, "fat-sat-failure:" + std::to_string(level)).volume;
    const auto eta = [&](std::int64_t i) {
      return (static_cast<double>(result.voxels[i]) - static_cast<double>(image.voxels[i])) /
             (signal * static_cast<double>(fat.voxels[i]));
    };
    for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
      CHECK(result.voxels[i] >= before.voxels[i]);
      CHECK(eta(i) <= 1 + 1e-4);
    }
    const std::array<double, 5> area = {0.05, 0.1, 0.2, 0.35, 0.6};
    // One voxel of about 2500, and float32 in eta.
    CHECK(share_of_object(image, [&](std::int64_t i) { return eta(i) > 0.5; }) ==
          doctest::Approx(area[static_cast<std::size_t>(level - 1)]).epsilon(0.02));
    before = result;
  }
}

TEST_CASE("water only: failed fat suppression is the identity") {
  auto volume = two_d();
  const auto image = volume;
  auto all = maps(image);
  for (auto& x : all[Map::fat].voxels) x = 0;
  corrupt(volume, recipe({"fat-sat-failure:5"}), measure_facts(image), {1, "a", std::nullopt}, 1,
          all);
  CHECK(same_bits(volume, image));
}

TEST_CASE("a Dixon swap shows the fat image in the stated share, and is nested over the levels") {
  const auto image = two_d();
  const auto fat = maps(image)[Map::fat];
  const auto signal = static_cast<float>(1.5 * measure_facts(image).signal);
  std::vector<bool> before(static_cast<std::size_t>(image.voxels.size()));
  for (int level = 1; level <= 5; ++level) {
    const auto result = corrupted(image, "dixon-swap:" + std::to_string(level)).volume;
    std::vector<bool> swapped;
    for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
      swapped.push_back(result.voxels[i] != image.voxels[i]);
      if (swapped.back())
        CHECK(result.voxels[i] == doctest::Approx(signal * fat.voxels[i]).epsilon(1e-6));
      CHECK((swapped.back() || !before[static_cast<std::size_t>(i)]));
    }
    const std::array<double, 5> area = {0.05, 0.1, 0.2, 0.35, 0.6};
    CHECK(share_of_object(image, [&](std::int64_t i) {
            return swapped[static_cast<std::size_t>(i)];
          }) == doctest::Approx(area[static_cast<std::size_t>(level - 1)]).epsilon(0.02));
    before = swapped;
  }
}

// ---- contrast ----

namespace {

const std::string at_1_5t = ",field_t=1.5";

Tissue tissue_at(const Volume& image, std::int64_t i) {
  return static_cast<Tissue>(maps(image)[Map::tissue].voxels[i]);
}

}  // namespace

TEST_CASE("a change of the echo time scales each tissue by exp(-dTE / T2), and can be taken back") {
  const auto image = two_d({1, 2, 16, 40});
  const auto tissues = maps(image)[Map::tissue];
  const auto later = corrupted(image, "contrast-te:5,te_ms=20" + at_1_5t).volume;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
    const auto& p = properties(static_cast<Tissue>(tissues.voxels[i]));
    // Air, and cortical bone with its T2 of 0.5 ms, have no signal that could fade.
    const bool seen = tissues.voxels[i] > 0 && p.at_1_5t.t2_ms > 5;
    CHECK(later.voxels[i] == doctest::Approx(static_cast<double>(image.voxels[i]) *
                                             (seen ? std::exp(-10 / p.at_1_5t.t2_ms) : 1))
                                 .epsilon(1e-6));
  }
  const auto back =
      corrupted(later, "contrast-te,te_ms=30,change_percent=-33.333333333" + at_1_5t).volume;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    CHECK(back.voxels[i] == doctest::Approx(image.voxels[i]).epsilon(1e-5));
}

TEST_CASE("a repetition time far above T1 changes nothing; far below, signal follows it") {
  const auto image = two_d({1, 2, 16, 40});
  const auto slow = corrupted(image, "contrast-tr:5,tr_ms=90000" + at_1_5t).volume;
  CHECK(distance(slow, image) < 1e-6 * norm(image));
  const auto fast = corrupted(image, "contrast-tr:5,tr_ms=0.01" + at_1_5t).volume;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    CHECK(fast.voxels[i] ==
          doctest::Approx(image.voxels[i] * (tissue_at(image, i) == Tissue::air ? 1.0f : 0.5f))
              .epsilon(1e-4));  // expm1(-x) = -x to x / 2
}

TEST_CASE("contrast without its times or field is refused, with how to give them") {
  const auto image = two_d();
  CHECK(refusal(image, "contrast-te:2,field_t=3") ==
        "contrast-te: te_ms of the image is unknown: give te_ms=MS with the artifact, or "
        "acquisition.te_ms in the manifest");
  CHECK(refusal(image, "contrast-tr:2,field_t=3") ==
        "contrast-tr: tr_ms of the image is unknown: give tr_ms=MS with the artifact, or "
        "acquisition.tr_ms in the manifest");
  CHECK(refusal(image, "contrast-te:2,te_ms=30") ==
        "contrast-te: field_t of the image is unknown: give field_t=1.5 or 3 with the artifact, or "
        "acquisition.field_t in the manifest");
  CHECK(refusal(image, "contrast-te:2,te_ms=30,field_t=7") ==
        "contrast-te: T1 and T2 are known at 1.5 and 3 T, not at 7 T");
}

TEST_CASE("a map of tissues with a number that is none is refused") {
  auto image = two_d();
  auto all = maps(image);
  all[Map::tissue].voxels[5] = 12;
  CHECK_THROWS_WITH_AS(corrupt(image, recipe({"contrast-te:2,te_ms=30,field_t=3"}),
                               measure_facts(image), {}, 1, all),
                       "contrast-te: the tissue map: want whole numbers 0..11, got 12",
                       mr::DataError);
}

TEST_CASE("at the magic angle fibres have the T2 of free ones; all else keeps its bits") {
  const auto image = two_d({1, 2, 30, 40});
  const std::string times = ",te_ms=15,tr_ms=2000,field_t=3";
  const auto result = corrupted(image, "magic-angle:5" + times);
  const auto unit = result.record[0]["drawn"]["unit"].get<double>();
  const auto tissues = maps(image)[Map::tissue];
  std::int64_t fibres = 0;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
    const auto tissue = static_cast<Tissue>(tissues.voxels[i]);
    if (tissue != Tissue::ligament && tissue != Tissue::meniscus) {
      CHECK(result.volume.voxels[i] == image.voxels[i]);
      continue;
    }
    ++fibres;
    const auto& p = properties(tissue);
    const double added = unit * p.proton_density * (1 - std::exp(-2000 / p.at_3t.t1_ms)) *
                         (std::exp(-15 / 22.0) - std::exp(-15 / p.at_3t.t2_ms));
    CHECK(static_cast<double>(result.volume.voxels[i]) ==
          doctest::Approx(static_cast<double>(image.voxels[i]) + added).epsilon(1e-5));
  }
  CHECK(fibres > 100);
  // Along the field, offset 54.74, the fibres stay as they are; at a long echo time all are black.
  CHECK(same_bits(corrupted(image, "magic-angle:0").volume, image));
  const auto contribution = [&](const std::string& te) {
    const auto drawn =
        corrupted(image, "magic-angle:5,tr_ms=2000,field_t=3,te_ms=" + te).record[0]["drawn"];
    return drawn["added"]["ligament"].get<double>() / drawn["unit"].get<double>();
  };
  CHECK(contribution("15") > 0.2);
  CHECK(contribution("150") < 0.001);
}

// ---- deformation ----

TEST_CASE(
    "a shift moves the object by the stated length, towards the higher index where positive") {
  auto image = two_d({1, 2, 40, 50});
  image.spacing_mm = {1, 1, 4};
  const auto result = corrupted(image, "position,shift_percent=10,rotation_deg=0");
  const auto& drawn = result.record[0]["drawn"];
  const double dy = drawn["shift_phase_encode_mm"], dx = drawn["shift_readout_mm"];
  CHECK(std::hypot(dx, dy) == doctest::Approx(4).epsilon(1e-9));
  // A linear ramp stays a ramp under cubic convolution: it shows the displacement itself.
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    image.voxels[i] = static_cast<float>(100 + 3 * (i % 50) + 7 * (i / 50 % 40));
  const auto ramp = corrupted(image, "position,shift_percent=10,rotation_deg=0").volume;
  for (std::int64_t y = 8; y < 32; ++y)
    for (std::int64_t x = 8; x < 42; ++x)
      CHECK(static_cast<double>(ramp.voxels[y * 50 + x]) ==
            doctest::Approx(100 + 3 * (static_cast<double>(x) - dx) +
                            7 * (static_cast<double>(y) - dy))
                .epsilon(1e-6));
}

TEST_CASE("a turn is rigid in mm: on anisotropic voxels a ramp turns by the stated angle") {
  auto image = two_d({1, 1, 48, 48});
  image.spacing_mm = {0.8, 1.6, 4};
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    image.voxels[i] = static_cast<float>(1000 + 10 * 0.8 * static_cast<double>(i % 48 - 24));
  const auto result = corrupted(image, "position,shift_percent=0,rotation_deg=15");
  const double angle =
      result.record[0]["drawn"]["rotation_deg"].get<double>() * 3.14159265358979 / 180;
  for (std::int64_t y = 18; y < 30; ++y)
    for (std::int64_t x = 18; x < 30; ++x)
      CHECK(static_cast<double>(result.volume.voxels[y * 48 + x]) ==
            doctest::Approx(1000 + 10 * (std::cos(angle) * 0.8 * static_cast<double>(x - 24) +
                                         std::sin(angle) * 1.6 * static_cast<double>(y - 24)))
                .epsilon(1e-6));
}

TEST_CASE("a ramp shows an elastic displacement: its root mean square is the stated one") {
  const auto object = two_d({1, 4, 96, 120});
  const auto facts = measure_facts(object);
  double square = 0, inside = 0;
  for (const int along : {0, 1}) {
    // The facts, and so the scale, are those of the object; the ramp goes through the same draw.
    auto ramp = object;
    for (std::int64_t i = 0; i < ramp.voxels.size(); ++i)
      ramp.voxels[i] = static_cast<float>(1000 + (along == 0 ? i % 120 : i / 120 % 96));
    auto warped = ramp;
    corrupt(warped, recipe({"elastic:2"}), facts, {1, "a", std::nullopt});
    for (std::int64_t i = 0; i < ramp.voxels.size(); ++i) {
      if (facts.foreground[i] == 0) continue;
      square +=
          std::pow(static_cast<double>(warped.voxels[i]) - static_cast<double>(ramp.voxels[i]), 2);
      inside += along;
    }
  }
  CHECK(std::sqrt(square / inside) == doctest::Approx(2).epsilon(1e-3));
}

TEST_CASE("a constant image stays constant however it is deformed") {
  auto image = two_d({1, 2, 24, 35});
  const auto facts = measure_facts(image);
  for (auto& x : image.voxels) x = 321;
  for (const std::string step : {"elastic:5", "position:5"}) {
    auto warped = image;
    corrupt(warped, recipe({step}), facts, {1, "a", std::nullopt});
    CHECK(distance(warped, image) < 1e-6 * norm(image));
  }
}

// ---- field strength ----

TEST_CASE("there and back between 1.5 and 3 T is the identity, but for the noise") {
  const auto image = two_d({1, 2, 16, 40});
  const std::string times = ",te_ms=20,tr_ms=1500,snr=1e9";
  const auto there = corrupted(image, "field-strength:5,field_t=1.5" + times).volume;
  CHECK(distance(there, image) > 0.01 * norm(image));
  const auto back = corrupted(there, "field-strength:5,field_t=3" + times).volume;
  CHECK(distance(back, image) < 1e-5 * norm(image));
}

TEST_CASE("at 1.5 T the SNR of 3 T is halved: variances add up to four times as much") {
  auto image = two_d({1, 2, 96, 120});
  const auto facts = measure_facts(image);
  for (auto& x : image.voxels) x = 0;
  auto noisy = with_phase(image);
  auto all = maps(image);
  const auto record = corrupt(noisy, recipe({"field-strength:5,te_ms=20,tr_ms=1500,field_t=3"}),
                              facts, {1, "a", std::nullopt}, 1, all);
  const double wanted = 3 * std::pow(facts.signal / 30, 2);
  double square = 0;
  for (const auto& x : noisy.complex_voxels) square += static_cast<double>(std::norm(x)) / 2;
  const auto n = static_cast<double>(noisy.complex_voxels.size());
  CHECK(square / n == doctest::Approx(wanted).epsilon(4 / std::sqrt(n)));  // 4 standard errors
  CHECK(record[0]["drawn"]["sigma"].get<double>() == doctest::Approx(std::sqrt(wanted)));
}
