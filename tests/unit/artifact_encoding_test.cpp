// Artifacts of encoding in time: what each does to the lines of k-space.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "artifact_samples.h"
#include "base/error.h"

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
  const auto image = with_values(line_by_line({1, 1, 40, 9}), [](double, double y) {
    return 1000 * std::exp(-y * y / 3);
  });
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
  const auto record = corrupted(image, "t2-blur:3").record;
  CHECK(record[0]["drawn"]["line_order"] == "interleaved");
  for (std::size_t y = 0; y < 24; ++y)
    CHECK(record[0]["drawn"]["echo_of_line"][y] == y / 4);
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
