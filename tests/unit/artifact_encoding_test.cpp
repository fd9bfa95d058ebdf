// Artifacts of encoding in time: what each does to the lines of k-space.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "artifact_samples.h"
#include "base/error.h"

#include "base/json.h"
#include "check.h"

using namespace mr::artifact;
using namespace samples;
using mr::Json;

namespace {

constexpr double pi = 3.14159265358979323846;

/// One line a shot, 1 s apart: line y is measured at second y.
Volume line_by_line(const mr::Shape& shape) {
  auto v = with_phase(two_d(shape));
  v.acquisition.sequence = "gre";
  v.acquisition.line_order = "linear";
  v.acquisition.echo_train = 1;
  v.acquisition.tr_ms = 1000;
  v.acquisition.echo_spacing_ms = 5;
  return v;
}

/// k-space along phase encoding j of [1, Z, Y, X].
mr::Array<Complex> lines_of(const Volume& v) {
  auto lines = v.complex_voxels;
  to_kspace(lines, {1});
  return lines;
}

/// |after - before| over the samples that `of` selects by slice and line, relative to all before.
template <typename Of>
double change_of_lines(const Volume& before, const Volume& after, Of of) {
  const auto a = lines_of(before), b = lines_of(after);
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i)
    if (of(i / a.shape(3) / a.shape(2), i / a.shape(3) % a.shape(2)))
      sum += static_cast<double>(std::norm(b[i] - a[i]));
  return std::sqrt(sum) / norm(before);
}

/// Largest relative difference between the energies of a line before and after.
double energy_change(const Volume& before, const Volume& after) {
  const auto a = lines_of(before), b = lines_of(after);
  const auto columns = a.shape(3);
  double worst = 0;
  for (std::int64_t line = 0; line < a.size() / columns; ++line) {
    double old_energy = 0, new_energy = 0;
    for (auto i = line * columns; i < (line + 1) * columns; ++i) {
      old_energy += static_cast<double>(std::norm(a[i]));
      new_energy += static_cast<double>(std::norm(b[i]));
    }
    worst = std::max(worst, std::fabs(new_energy / old_energy - 1));
  }
  return worst;
}

Volume with_values(Volume v, double (*f)(double x, double y)) {
  for (std::int64_t i = 0; i < v.complex_voxels.size(); ++i)
    v.complex_voxels[i] = static_cast<float>(
        f(static_cast<double>(i % v.shape()[3] - v.shape()[3] / 2),
          static_cast<double>(i / v.shape()[3] % v.shape()[2] - v.shape()[2] / 2)));
  return v;
}

constexpr double rounding = 1e-5;  // of single-precision transforms of some thousand samples

}  // namespace

// ---- breathing ----

TEST_CASE("breathing keeps the energy of every line, and the central line of each slice") {
  const auto image = with_phase(two_d({1, 4, 35, 27}));
  const auto result = corrupted(image, "breathing:5").volume;
  CHECK(distance(result, image) > 0.1 * norm(image));
  CHECK(energy_change(image, result) < rounding);
  CHECK(change_of_lines(image, result, [](auto, auto y) { return y == 17; }) < 1e-6);
}

TEST_CASE("lines that are measured a whole number of breaths apart see no motion") {
  const auto image = line_by_line({1, 3, 24, 20});
  const auto still = corrupted(image, "breathing:5,rate_hz=1,rate_spread_hz=0").volume;
  const auto moved = corrupted(image, "breathing:5,rate_hz=0.9,rate_spread_hz=0").volume;
  CHECK(distance(still, image) < rounding * norm(image));
  CHECK(distance(moved, image) > 0.05 * norm(image));
}

TEST_CASE("ghosts of breathing lie N f TR voxels apart") {
  // A narrow smooth object: 40 lines at 1/4 Hz and 1 s give copies at multiples of 10 voxels.
  const auto image = with_values(line_by_line({1, 1, 40, 9}),
                                 [](double, double y) { return 1000 * std::exp(-y * y / 3); });
  const auto result = corrupted(image, "breathing:3,rate_hz=0.25,rate_spread_hz=0").volume;
  double at_ghosts = 0, between = 0;
  for (std::int64_t y = 0; y < 40; ++y) {
    const auto off = std::abs((y - 20) % 10);
    const auto value = static_cast<double>(std::abs(result.complex_voxels[y * 9 + 4]));
    if (y != 20 && off == 0) at_ghosts = std::max(at_ghosts, value);
    if (off == 5) between = std::max(between, value);
  }
  // A ghost is the object's derivative: it is seen beside the multiples of 10, not between them.
  double beside = 0;
  for (const std::int64_t y : {8, 9, 11, 12, 28, 29, 31, 32})
    beside = std::max(beside, static_cast<double>(std::abs(result.complex_voxels[y * 9 + 4])));
  CHECK(beside > 30);
  CHECK(between < 0.1 * beside);
  CHECK(at_ghosts < beside);
}

TEST_CASE("slices that are measured at another time meet another part of the breath") {
  auto image = with_phase(two_d({1, 2, 24, 20}));
  const auto plane = 24 * 20;
  std::copy_n(image.complex_voxels.begin(), plane, image.complex_voxels.begin() + plane);
  const auto result = corrupted(image, "breathing:5").volume;
  CHECK(!std::equal(result.complex_voxels.begin(), result.complex_voxels.begin() + plane,
                    result.complex_voxels.begin() + plane));
}

// ---- T2 decay ----

TEST_CASE("an image of one point becomes the transform of the decay") {
  auto image = with_phase(two_d({1, 1, 24, 9}));
  for (auto& x : image.complex_voxels) x = 0;
  image.complex_voxels[12 * 9 + 4] = 1000;  // at the centre
  const auto result = corrupted(image, "t2-blur:3");
  const auto& drawn = result.record[0]["drawn"];
  CHECK(drawn["line_order"] == "centre-out");
  for (std::int64_t y = 0; y < 24; ++y) {
    std::complex<double> want = 0;
    for (std::int64_t k = 0; k < 24; ++k) {
      const int echo = drawn["echo_of_line"][static_cast<std::size_t>(k)].get<int>() -
                       drawn["echo_of_line"][12].get<int>();
      want += std::polar(1000.0 / 24 * std::exp(-4.0 * echo / drawn["echo_train"].get<int>()),
                         2 * pi * static_cast<double>((k - 12) * (y - 12)) / 24);
    }
    const std::complex<double> got(result.volume.complex_voxels[y * 9 + 4]);
    CHECK(std::abs(got - want) < rounding * 1000);
  }
}

TEST_CASE("a long T2 is the identity; the line at the centre stays, so the mean does") {
  const auto image = with_phase(two_d({1, 2, 31, 20}));
  CHECK(distance(corrupted(image, "t2-blur,train_over_t2=1e-7").volume, image) <
        1e-6 * norm(image));
  const auto strong = corrupted(image, "t2-blur:5").volume;
  CHECK(change_of_lines(image, strong, [](auto, auto y) { return y == 15; }) < 1e-6);
  CHECK(change_of_lines(image, strong, [](auto, auto y) { return y != 15; }) > 0.05);
}

TEST_CASE("the decay follows the scan's own echoes; where a shot has one there is none") {
  auto image = with_phase(two_d({1, 1, 24, 9}));
  image.acquisition.sequence = "T2_TSE";
  image.acquisition.echo_train = 6;
  CHECK(corrupted(image, "t2-blur:3").record[0]["drawn"]["line_order"] == "centre-out");
  image.acquisition.line_order = "interleaved";
  const auto record = corrupted(image, "t2-blur:3").record;
  CHECK(record[0]["drawn"]["line_order"] == "interleaved");
  for (std::size_t y = 0; y < 24; ++y) CHECK(record[0]["drawn"]["echo_of_line"][y] == y / 4);
  image.acquisition.line_order.reset();
  image.acquisition.sequence = "fl2d";
  image.acquisition.echo_train = 1;
  CHECK_THROWS_WITH_AS(corrupted(image, "t2-blur:3"),
                       "t2-blur: want a scan of at least 2 echoes a shot, got one (gre): nothing "
                       "decays between its lines; acquisition.echo_train says otherwise",
                       mr::DataError);
}

// ---- tremor, drift, nods ----

TEST_CASE("a tremor keeps the energy of every line; a whole number of its periods is not seen") {
  const auto image = line_by_line({1, 3, 35, 27});
  const auto result = corrupted(image, "motion-tremor:5");
  CHECK(distance(result.volume, image) > 0.1 * norm(image));
  CHECK(energy_change(image, result.volume) < rounding);
  const auto& drawn = result.record[0]["drawn"];
  CHECK(std::fabs(drawn["rate_hz"].get<double>() - 5) <= 1);
  CHECK(drawn["direction"][2] == 0.0);
  const auto still = corrupted(image, "motion-tremor:5,rate_hz=5,rate_spread_hz=0").volume;
  CHECK(distance(still, image) < rounding * norm(image));
}

TEST_CASE("a tremor along the readout moves nothing along phase encoding") {
  // A plane wave along phase encoding has one line; moved along the readout it stays itself.
  auto image = with_values(line_by_line({1, 1, 24, 20}), [](double, double y) {
    return 500 + 400 * std::cos(2 * pi * 5 * y / 24);
  });
  const auto result = corrupted(image, "motion-tremor:5");
  const auto a = lines_of(image), b = lines_of(result.volume);
  for (std::int64_t i = 0; i < a.size(); ++i)
    CHECK(std::abs(std::abs(a[i]) - std::abs(b[i])) < 1e-5f * 1000 * std::sqrt(24.0f));
}

TEST_CASE("a drift has the range it is given, and levels scale one trace") {
  const auto image = three_d();
  const auto weak = corrupted(image, "motion-drift:2").record[0]["drawn"],
             strong = corrupted(image, "motion-drift:5").record[0]["drawn"];
  CHECK(weak["knots"] == strong["knots"]);
  REQUIRE(strong["knots"].size() == 6);
  for (const auto& trace : strong["knots"]) {
    REQUIRE(trace.size() == 4);
    for (std::size_t q = 0; q < 4; ++q) CHECK(trace[q].size() == (1u << q) + 1);
  }
  CHECK(strong["knots"][0] != strong["knots"][1]);
}

TEST_CASE("a drift of translations keeps the energy of lines; a single shot sees none") {
  auto image = with_phase(two_d({1, 2, 35, 27}));
  const auto result = corrupted(image, "motion-drift:5,rotation_deg=0").volume;
  CHECK(distance(result, image) > 0.05 * norm(image));
  CHECK(energy_change(image, result) < rounding);
  image.acquisition.echo_train = 35;
  for (const std::string step : {"motion-drift:5", "motion-nod:5"})
    CHECK(same_bits(corrupted(image, step).volume, image));
}

TEST_CASE("scans of many shots drift in 32 poses") {
  const auto image = line_by_line({1, 1, 80, 9});
  const auto drawn = corrupted(image, "motion-drift:3").record[0]["drawn"];
  CHECK(drawn["shots"] == 80);
  CHECK(drawn["poses"] == 32);
}

TEST_CASE("lines outside the nods stay, those within move") {
  for (const std::string unit : {"a", "b", "c", "d", "e", "f", "g", "h"}) {
    const auto image = line_by_line({1, 1, 40, 27});
    const auto result = corrupted(image, "motion-nod:4,nods=1", 1, unit);
    const auto nod = result.record[0]["drawn"]["nods"][0];
    const auto first = nod["shot"].get<std::int64_t>(), n = nod["shots"].get<std::int64_t>();
    CHECK(n >= 4);
    CHECK(n <= 12);
    const auto moved = [&](std::int64_t, std::int64_t y) { return y >= first && y < first + n; };
    const bool centre_moved = moved(0, 20);
    CHECK(nod["translation_mm"][0] == 0.0);
    CHECK(std::fabs(nod["translation_mm"][1].get<double>()) >= 1);  // half of 2 mm
    CHECK(std::fabs(nod["translation_mm"][1].get<double>()) <= 2);
    if (centre_moved) continue;  // then all other lines count from the nod
    const auto still = [&](std::int64_t z, std::int64_t y) { return !moved(z, y); };
    CHECK(change_of_lines(image, result.volume, still) < rounding);
    CHECK(change_of_lines(image, result.volume, moved) > 1e-3);
  }
}

TEST_CASE("nods of a lower severity are those of a higher one, scaled") {
  const auto weak = corrupted(three_d(), "motion-nod:2").record[0]["drawn"]["nods"],
             strong = corrupted(three_d(), "motion-nod:5").record[0]["drawn"]["nods"];
  REQUIRE(weak.size() == 1);
  REQUIRE(strong.size() == 3);
  CHECK(weak[0]["shot"] == strong[0]["shot"]);
  CHECK(weak[0]["rotation_deg"][0].get<double>() ==
        doctest::Approx(strong[0]["rotation_deg"][0].get<double>() / 8));
}

// ---- flow ----

TEST_CASE("only columns of the readout that meet a vessel change, and bit for bit no other") {
  const auto image = with_phase(two_d({1, 3, 24, 35}));
  const auto result = corrupted(image, "flow:5,radius_mm=3");
  const auto x0 = result.record[0]["drawn"]["centre"][1].get<std::int64_t>();
  bool changed = false;
  for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
    const bool within = 0.8 * static_cast<double>(std::abs(i % 35 - x0)) <= 3;
    const bool same = result.volume.complex_voxels[i] == image.complex_voxels[i];
    if (!within) CHECK(same);
    changed |= !same;
  }
  CHECK(changed);
}

TEST_CASE("flow keeps the central line of every slice, and so the sum") {
  const auto image = with_phase(two_d({1, 3, 25, 35}));
  const auto result = corrupted(image, "flow:5,phase_rad=1").volume;
  CHECK(distance(result, image) > 0.01 * norm(image));
  CHECK(change_of_lines(image, result, [](auto, auto y) { return y == 12; }) < 1e-6);
}

TEST_CASE("lines that are measured a whole number of beats apart see no pulsation") {
  const auto image = line_by_line({1, 2, 24, 20});
  const auto still = corrupted(image, "flow:5,rate_hz=1,rate_spread_hz=0").volume;
  const auto beats = corrupted(image, "flow:5,rate_hz=1.2,rate_spread_hz=0").volume;
  CHECK(distance(still, image) < rounding * norm(image));
  CHECK(distance(beats, image) > 0.01 * norm(image));
}

TEST_CASE("ghosts of a vessel lie N f TR voxels apart") {
  // 40 lines 1 s apart at 5/4 Hz: copies of the vessel at multiples of 10 voxels, none between.
  auto image = line_by_line({1, 1, 40, 21});
  for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i)
    image.complex_voxels[i] = i / 21 == 17 && i % 21 == 8 ? 1000.0f : 1.0f;
  const auto step = "flow:5,rate_hz=1.25,rate_spread_hz=0,radius_mm=0.5";
  const auto result = corrupted(image, step);
  REQUIRE(result.record[0]["drawn"]["centre"] == Json::array({17, 8}));
  double ghosts = 0;
  for (std::int64_t y = 0; y < 40; ++y) {
    if (y == 17) continue;
    const auto change = static_cast<double>(
        std::abs(result.volume.complex_voxels[y * 21 + 8] - image.complex_voxels[y * 21 + 8]));
    if ((y + 23) % 10 == 0)
      ghosts += change;
    else
      CHECK(change < rounding * 1000);
  }
  CHECK(ghosts > 100);
}

TEST_CASE("vessels of a tissue map are taken where it has any, and the record says so") {
  const auto image = with_phase(two_d({1, 2, 24, 35}));
  const auto facts = measure_facts(image);
  auto all = maps(image);
  const auto taken = [&](Volume& volume) {
    return corrupt(volume, recipe({"flow:5"}), facts, {1, "a", std::nullopt}, 1, all)[0]["drawn"];
  };
  auto without = image, with = image;
  CHECK(taken(without)["vessels"] == "drawn");  // tissues 0 and 2 to 6
  all[Map::tissue].voxels[24 * 35 + 12 * 35 + 20] = 11;
  CHECK(taken(with)["vessels"] == "tissue map");
  for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i)
    if (i % 35 != 20 || i / 35 < 24) CHECK(with.complex_voxels[i] == image.complex_voxels[i]);
  CHECK(distance(with, image) > 0);
  all = maps(two_d({1, 2, 24, 36}));
  CHECK_THROWS_WITH_AS(taken(with), "flow: the tissue map: want real voxels on the image's grid",
                       mr::DataError);
}

// ---- propeller ----

namespace {

/// In-plane k-space of each slice.
mr::Array<Complex> planes_of(const Volume& v) {
  auto k = v.complex_voxels;
  to_kspace(k, {1, 2});
  return k;
}

}  // namespace

TEST_CASE("blades that measure an object in many places average its samples: none grows") {
  const auto image = with_phase(two_d({1, 2, 45, 41}));
  const auto result = corrupted(image, "propeller:5,rotation_deg=0,blade_lines=8");
  CHECK(distance(result.volume, image) > 0.1 * norm(image));
  // Lines lie 1 / (45 x 1.1 mm) apart, so pi / 2 of 45 x 1.1 / 0.8 lines in 8 a blade.
  CHECK(result.record[0]["drawn"]["blades"] == 13);
  const auto before = planes_of(image), after = planes_of(result.volume);
  const float tolerance = 3e-6f * static_cast<float>(norm(image));
  int kept = 0, less = 0;
  for (std::int64_t i = 0; i < before.size(); ++i) {
    const float a = std::abs(before[i]), b = std::abs(after[i]);
    CHECK(b <= a + tolerance);
    const double y = static_cast<double>(i / 41 % 45 - 22) / 1.1 / 45,
                 x = static_cast<double>(i % 41 - 20) / 0.8 / 41;
    // Blades of half a width of 4 / 49.5 mm, pi / 13 apart, part at a radius of 0.67 / mm; one
    // alone measures what lies beyond, and its translation is a phase.
    if (std::hypot(x, y) > 0.68) {
      CHECK(b >= a - tolerance);
      ++kept;
    } else {
      less += b < 0.9f * a;
    }
  }
  CHECK(kept > 40);
  CHECK(less > 100);
}

TEST_CASE("the mean stays when the patient only translates, whatever blades do") {
  const auto image = with_phase(two_d({1, 2, 24, 35}));
  const auto before = planes_of(image),
             after = planes_of(corrupted(image, "propeller:5,rotation_deg=0").volume);
  const auto at = 12 * 35 + 17;
  CHECK(std::abs(after[at] - before[at]) < 1e-6f * static_cast<float>(norm(image)));
}

TEST_CASE("motion too small to be seen is the identity: shares of samples add up to 1") {
  for (const auto& image : {with_phase(two_d({1, 2, 35, 24})), with_phase(three_d())})
    CHECK(distance(corrupted(image, "propeller:5,rotation_deg=1e-6,translation_mm=1e-6").volume,
                   image) < 2e-6 * norm(image));
}

TEST_CASE("one blade as wide as k-space sees no motion") {
  const auto image = with_phase(two_d());
  const auto result = corrupted(image, "propeller:5,blade_lines=256");
  CHECK(result.record[0]["drawn"]["blades"] == 1);
  CHECK(same_bits(result.volume, image));
}

// ---- N/2 ghost ----

TEST_CASE("the N/2 ghost is a copy half a field of view away: cos I(y) + i sin I(y - N/2)") {
  const auto image = with_phase(two_d({1, 2, 24, 35}));
  const auto result = corrupted(image, "nyquist-ghost:5").volume;
  const float s = 0.3f, c = std::sqrt(1 - s * s);
  double error = 0;
  for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
    const auto other = i / 35 % 24 < 12 ? i + 12 * 35 : i - 12 * 35;
    const auto want = c * image.complex_voxels[i] + Complex(0, s) * image.complex_voxels[other];
    error = std::max(error, static_cast<double>(std::abs(result.complex_voxels[i] - want)));
  }
  CHECK(error < 1e-6 * 1000);
  CHECK(std::fabs(norm(result) / norm(image) - 1) < 1e-6);  // the phases are of modulus 1
}

TEST_CASE("the N/2 ghost is made of phases of lines: + on those an even number from the centre") {
  auto image = with_phase(two_d({1, 2, 22, 35}));
  const auto result = corrupted(image, "nyquist-ghost:5").volume;
  const auto before = lines_of(image), after = lines_of(result);
  const double half = std::asin(0.3);
  double error = 0;
  for (std::int64_t i = 0; i < before.size(); ++i) {
    const bool even = (i / 35 % 22 - 11) % 2 == 0;
    const auto want = before[i] * Complex(std::polar(1.0, even ? half : -half));
    error += static_cast<double>(std::norm(after[i] - want));
  }
  CHECK(std::sqrt(error) < 1e-6 * norm(image));
}

TEST_CASE("an echo shift makes no ghost in the middle of the readout and more of it outwards") {
  auto image = line_by_line({1, 1, 24, 32});
  for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i)
    image.complex_voxels[i] = i / 32 == 6 ? 1000.0f : 0.0f;  // one row
  const auto result = corrupted(image, "nyquist-ghost,ghost=0,echo_shift=0.5").volume;
  for (std::int64_t x = 0; x < 32; ++x) {
    const double want = 1000 * std::fabs(std::sin(pi * 0.5 * static_cast<double>(x - 16) / 32));
    CHECK(std::fabs(static_cast<double>(std::abs(result.complex_voxels[18 * 32 + x])) - want) <
          1e-3);
  }
}

TEST_CASE("an odd number of lines has no N/2 ghost, and the message says so") {
  CHECK_THROWS_WITH_AS(corrupted(two_d({1, 1, 23, 36}), "nyquist-ghost:2"),
                       "nyquist-ghost: want an even number of lines, got 23", mr::DataError);
}

// ---- the receiver's range ----

namespace {

/// All of k-space: of each slice, or of the volume.
mr::Array<Complex> kspace_of(const Volume& v) {
  auto k = v.complex_voxels;
  to_kspace(
      k, v.acquisition.mode == Mode::three_d ? std::vector<int>{0, 1, 2} : std::vector<int>{1, 2});
  return k;
}

double largest(const mr::Array<Complex>& k) {
  float most = 0;
  for (const auto& x : k) most = std::max({most, std::fabs(x.real()), std::fabs(x.imag())});
  return static_cast<double>(most);
}

}  // namespace

TEST_CASE("samples below the converter's range stay, those above saturate") {
  for (const auto& image : {with_phase(two_d({1, 4, 24, 35})), with_phase(three_d())}) {
    const auto result = corrupted(image, "adc-overflow:5").volume;
    const auto before = kspace_of(image), after = kspace_of(result);
    const double level = 0.45 * largest(before), tolerance = 2e-6 * norm(image);
    int clipped = 0;
    for (std::int64_t i = 0; i < before.size(); ++i)
      for (const bool real : {true, false}) {
        const auto a = static_cast<double>(real ? before[i].real() : before[i].imag()),
                   b = static_cast<double>(real ? after[i].real() : after[i].imag());
        clipped += std::fabs(a) > level;
        CHECK(std::fabs(b - std::clamp(a, -level, level)) < tolerance);
      }
    CHECK(clipped > 0);
  }
}

TEST_CASE("a slice of a weak part of the object does not overflow: one gain for the whole scan") {
  auto image = two_d({1, 5, 24, 35});  // an ellipsoid, whose first and last slice are small
  const auto plane = 24 * 35;
  for (std::int64_t i = plane; i < 2 * plane; ++i) image.voxels[i] *= 0.3f;
  const auto result = corrupted(image, "adc-overflow:5");
  CHECK(result.record[0]["drawn"]["overflowing_slices"] == Json::array({2, 3}));
  double change = 0;
  for (std::int64_t i = 0; i < 2 * plane; ++i)
    change =
        std::max(change, static_cast<double>(std::fabs(result.volume.voxels[i] - image.voxels[i])));
  CHECK(change < 1e-3);  // the transform there and back
}

TEST_CASE("the largest sample of a magnitude image is its sum; of any image, what is largest") {
  const auto real = two_d({1, 2, 24, 35});
  Volume as_complex = real;
  as_complex.complex_voxels = mr::Array<Complex>(real.shape());
  for (std::int64_t i = 0; i < real.voxels.size(); ++i)
    as_complex.complex_voxels[i] = real.voxels[i];
  as_complex.voxels = {};
  auto negative = real;  // a little, as interpolation leaves it
  negative.voxels[40] = -20;
  const auto level = [](const Volume& v) {
    return corrupted(v, "adc-overflow:3").record[0]["drawn"]["clip_level"].get<double>();
  };
  CHECK(level(real) == doctest::Approx(0.75 * largest(kspace_of(as_complex))).epsilon(1e-6));
  CHECK(level(as_complex) == doctest::Approx(level(real)).epsilon(1e-6));
  as_complex.complex_voxels[40] = -20;
  CHECK(level(negative) == doctest::Approx(level(as_complex)).epsilon(1e-6));
}

TEST_CASE("quantised samples are multiples of a step, off by half of it at most") {
  for (const auto& image : {with_phase(two_d({1, 3, 24, 35})), with_phase(three_d())})
    for (const double bits : {3.0, 5.0, 8.0}) {
      CAPTURE(bits);
      const auto result =
          corrupted(image, "kspace-quantisation,bits=" + std::to_string(bits)).volume;
      const auto before = kspace_of(image), after = kspace_of(result);
      const double step = 2 * largest(before) / std::exp2(bits), tolerance = 4e-6 * norm(image);
      int nonzero = 0;
      for (std::int64_t i = 0; i < before.size(); ++i)
        for (const bool real : {true, false}) {
          const auto a = static_cast<double>(real ? before[i].real() : before[i].imag()),
                     b = static_cast<double>(real ? after[i].real() : after[i].imag());
          REQUIRE(std::fabs(b - a) < step / 2 + tolerance);
          REQUIRE(std::fabs(b - step * std::round(b / step)) < tolerance);
          nonzero += std::fabs(b) > tolerance;
        }
      CHECK(nonzero > 0);
      CHECK(nonzero < 2 * before.size());
    }
}

TEST_CASE("many bits are the identity") {
  const auto image = with_phase(two_d());
  CHECK(distance(corrupted(image, "kspace-quantisation,bits=30").volume, image) <
        1e-6 * norm(image));
}

// ---- offset, quadrature, gain ----

TEST_CASE("a constant offset changes one voxel of each slice, in 3-D one of the volume") {
  for (const bool volumetric : {false, true}) {
    const auto image = with_phase(volumetric ? three_d() : two_d());
    const auto shape = image.shape();
    const auto result = corrupted(image, "dc-offset:3");
    const double peak = 4 * measure_facts(image).signal;
    std::int64_t changed = 0;
    for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
      if (result.volume.complex_voxels[i] == image.complex_voxels[i]) continue;
      ++changed;
      CHECK(i % shape[3] == shape[3] / 2);
      CHECK(i / shape[3] % shape[2] == shape[2] / 2);
      if (volumetric) CHECK(i / shape[3] / shape[2] == shape[1] / 2);
      const auto added = result.volume.complex_voxels[i] - image.complex_voxels[i];
      CHECK(static_cast<double>(std::abs(added)) == doctest::Approx(peak).epsilon(1e-5));
    }
    CHECK(changed == (volumetric ? 1 : shape[1]));
  }
}

TEST_CASE("an offset that drifts is a line along phase encoding, and the same at the centre of k") {
  const auto image = with_phase(two_d({1, 2, 24, 35}));
  const auto result = corrupted(image, "dc-offset:3,drift=1").volume;
  int off_line = 0, off_centre = 0;
  for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
    if (result.complex_voxels[i] == image.complex_voxels[i]) continue;
    off_line += i % 35 != 17;
    off_centre += i / 35 % 24 != 12;
  }
  CHECK(off_line == 0);
  CHECK(off_centre >= 20);
  const auto before = kspace_of(image), after = kspace_of(result);
  const double d = 4 * measure_facts(image).signal / std::sqrt(24.0 * 35);
  CHECK(static_cast<double>(std::abs(after[12 * 35 + 3] - before[12 * 35 + 3])) ==
        doctest::Approx(d).epsilon(1e-3));
}

TEST_CASE("unequal channels add a copy that is mirrored through the centre") {
  for (const bool volumetric : {false, true}) {
    auto image = with_phase(volumetric ? three_d({1, 7, 24, 15}) : two_d({1, 3, 24, 15}));
    for (auto& x : image.complex_voxels) x = 0;
    const auto z = std::int64_t{1};
    const auto at = [&](std::int64_t slice, std::int64_t y, std::int64_t x) {
      return (slice * 24 + y) * 15 + x;
    };
    image.complex_voxels[at(z, 5, 3)] = Complex(600, 800);
    const auto result = corrupted(image, "quadrature-ghost:5");
    const auto& drawn = result.record[0]["drawn"];
    const std::complex<double> epsilon(drawn["gain"].get<double>() / 2,
                                       drawn["angle_rad"].get<double>() / 2);
    CHECK(std::abs(epsilon) == doctest::Approx(0.15));
    const auto mirror = at(volumetric ? 5 : z, 19, 11);
    for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
      const auto want = i == mirror ? epsilon * std::complex<double>(600, -800)
                                    : std::complex<double>(image.complex_voxels[i]);
      CHECK(std::abs(std::complex<double>(result.volume.complex_voxels[i]) - want) < 1e-3);
    }
  }
}

TEST_CASE("a gain that drifts ends where it should, and keeps the central line") {
  const auto image = line_by_line({1, 2, 25, 20});
  const auto result = corrupted(image, "gain-drift:5");
  const double change = result.record[0]["drawn"]["change"].get<double>();
  CHECK(std::fabs(change) == 0.4);
  const auto before = lines_of(image), after = lines_of(result.volume);
  double error = 0;
  for (std::int64_t i = 0; i < before.size(); ++i) {
    const double want = 1 + change * static_cast<double>(i / 20 % 25 - 12) / 24;
    error += std::norm(std::complex<double>(after[i]) - want * std::complex<double>(before[i]));
  }
  CHECK(std::sqrt(error) < 2e-6 * norm(image));
}

TEST_CASE("gains drift up in some scans and down in others") {
  int up = 0;
  for (int unit = 0; unit < 64; ++unit)
    up += corrupted(line_by_line({1, 1, 8, 8}), "gain-drift:1", 1, std::to_string(unit))
              .record[0]["drawn"]["change"] > 0;
  CHECK(std::abs(up - 32) < 16);  // 4 standard deviations
}

// ---- together ----

TEST_CASE("coils see one patient, and each has a receiver of its own") {
  auto image = two_d({2, 3, 24, 20});
  const auto half = image.voxels.size() / 2;
  for (std::int64_t i = 0; i < half; ++i) image.voxels[half + i] = 0.5f * image.voxels[i];
  image.acquisition.dim4 = "coil";
  for (const std::string patient : {"breathing:3", "motion-tremor:3", "motion-drift:3",
                                    "motion-nod:3", "flow:3", "propeller:3"}) {
    CAPTURE(patient);
    const auto drawn = corrupted(image, patient).record[0]["drawn"];
    REQUIRE(drawn.size() == 2);
    CHECK(drawn[0] == drawn[1]);
  }
  for (const std::string receiver : {"dc-offset:3", "quadrature-ghost:3", "adc-overflow:3"}) {
    CAPTURE(receiver);
    const auto drawn = corrupted(image, receiver).record[0]["drawn"];
    CHECK(drawn[0] != drawn[1]);
  }
}

TEST_CASE("steps that weigh lines commute: they are one product") {
  const auto image = with_phase(two_d());
  for (const std::string other : {"breathing:4", "t2-blur:2", "ghosting:3"}) {
    CAPTURE(other);
    const auto one = corrupted(image, recipe({"gain-drift:5", other})).volume,
               two = corrupted(image, recipe({other, "gain-drift:5"})).volume;
    CHECK(distance(one, two) < 2e-6 * norm(one));
    CHECK(distance(one, corrupted(image, other).volume) > 0.01 * norm(one));
  }
}

TEST_CASE("a converter that saturates before a drift is not one that saturates after it") {
  const auto image = with_phase(two_d());
  const auto one = corrupted(image, recipe({"gain-drift:5", "adc-overflow:5"})).volume,
             two = corrupted(image, recipe({"adc-overflow:5", "gain-drift:5"})).volume;
  CHECK(distance(one, two) > 1e-4 * norm(one));
}
