// The laws of the artifacts of fields and of incomplete k-space.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "artifact/field/displacement.h"
#include "artifact/field/metal_body.h"
#include "artifact/field/solid_harmonics.h"
#include "artifact_samples.h"
#include "base/error.h"

#include "check.h"

using namespace mr::artifact;
using namespace samples;
using mr::Shape;

namespace {

constexpr double pi = 3.14159265358979323846;
constexpr double single_precision = 2e-6;  // of the norm, of transforms there and back

Volume constant(const Shape& shape, float value) {
  auto image = two_d(shape);
  std::fill(image.voxels.begin(), image.voxels.end(), value);
  return image;
}

/// Complex, so that no magnitude hides what was done.
Volume as_complex(const Volume& real) {
  auto image = real;
  image.complex_voxels = mr::Array<Complex>(real.shape());
  std::copy(real.voxels.begin(), real.voxels.end(), image.complex_voxels.begin());
  image.voxels = {};
  return image;
}

std::complex<double> sum(const mr::Array<Complex>& values) {
  std::complex<double> total = 0;
  for (const auto& x : values) total += std::complex<double>(x);
  return total;
}

/// Share of the energy of k-space along one axis (0 z, 1 y, 2 x) at indices where keep is false.
template <typename Keep>
double lost_energy(const Volume& image, int axis, Keep keep) {
  auto k = image.complex_voxels;
  to_kspace(k, {axis});
  const auto& shape = k.shape();
  std::int64_t step = 1;
  for (std::size_t a = static_cast<std::size_t>(axis) + 2; a < 4; ++a) step *= shape[a];
  const auto n = shape[static_cast<std::size_t>(axis) + 1];
  double all = 0, lost = 0;
  for (std::int64_t i = 0; i < k.size(); ++i) {
    all += static_cast<double>(std::norm(k[i]));
    if (!keep(i / step % n)) lost += static_cast<double>(std::norm(k[i]));
  }
  return lost / all;
}

Volume only(const std::function<double(std::int64_t y, std::int64_t x)>& f, std::int64_t lines,
            std::int64_t columns) {
  auto image = two_d({1, 1, lines, columns});
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    image.voxels[i] = static_cast<float>(f(i / columns, i % columns));
  return image;
}

}  // namespace

// ---- truncation ----

TEST_CASE("truncation of an edge overshoots by the 8.95 % of Wilbraham and Gibbs") {
  const auto image =
      only([](std::int64_t, std::int64_t x) { return x >= 256 && x < 768; }, 8, 1024);
  const auto cut = corrupted(as_complex(image), "truncation,fraction=0.1").volume;
  float most = 0;
  for (const auto& x : cut.complex_voxels) most = std::max(most, x.real());
  // Si(pi) / pi + 1/2 = 1.0895 for many samples per lobe; 10 here, so within 3e-3.
  CHECK(static_cast<double>(most) == doctest::Approx(1.0895).epsilon(3e-3));
}

TEST_CASE("truncation keeps what lies inside, the mean, and drops all that lies outside") {
  for (const auto& image : {as_complex(two_d()), as_complex(three_d())}) {
    const auto cut = corrupted(image, "truncation:2");
    const bool volumetric = cut.record[0]["mode"] == "3d";
    for (int axis = volumetric ? 0 : 1; axis < 3; ++axis) {
      const auto n = image.shape()[static_cast<std::size_t>(axis) + 1];
      const auto inside = [n](std::int64_t i) {
        return 4 * std::abs(i - n / 2) <= n;  // |k| <= 0.5 n / 2
      };
      CHECK(lost_energy(image, axis, inside) > 1e-5);
      CHECK(lost_energy(cut.volume, axis, inside) < 1e-12);
    }
    CHECK(std::abs(sum(cut.volume.complex_voxels) - sum(image.complex_voxels)) <
          1e-5 * std::abs(sum(image.complex_voxels)));
    // What is band-limited already is a fixed point.
    CHECK(distance(corrupted(cut.volume, "truncation:2").volume, cut.volume) <
          single_precision * norm(image));
    // A real image stays real: no unpaired frequency is left.
    for (const auto& x : cut.volume.complex_voxels) REQUIRE(std::fabs(x.imag()) < 1e-3f);
  }
}

TEST_CASE("2-D truncation leaves slices apart, 3-D truncation does not") {
  auto flat = two_d({1, 8, 24, 20}), deep = flat;
  deep.acquisition.mode = Mode::three_d;
  for (std::int64_t i = 0; i < flat.voxels.size(); ++i)
    flat.voxels[i] = deep.voxels[i] = i / 480 == 3 ? 100.0f + static_cast<float>(i % 7) : 0.0f;
  const auto flat_cut = corrupted(flat, "truncation:3").volume;
  const auto deep_cut = corrupted(deep, "truncation:3").volume;
  CHECK(std::all_of(flat_cut.voxels.begin(), flat_cut.voxels.begin() + 3 * 480,
                    [](float x) { return x == 0; }));
  CHECK(deep_cut.voxels[2 * 480 + 240] > 1);
}

// ---- undersampling ----

TEST_CASE("every R-th line gives R copies N / R apart, each with 1 / R of the image") {
  const auto image = with_phase(two_d({1, 2, 24, 35}));
  for (const int r : {2, 3, 4}) {
    CAPTURE(r);
    const auto got =
        corrupted(image, "undersampling,regular=1,centre=0,acceleration=" + std::to_string(r));
    CHECK(got.record[0]["drawn"]["true_acceleration"] == doctest::Approx(r));
    double error = 0;
    for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
      const auto z = i / 840, y = i / 35 % 24, x = i % 35;
      std::complex<double> copies = 0;
      for (int m = 0; m < r; ++m)
        copies +=
            std::complex<double>(image.complex_voxels[(z * 24 + (y + m * 24 / r) % 24) * 35 + x]);
      error += std::norm(std::complex<double>(got.volume.complex_voxels[i]) -
                         copies / static_cast<double>(r));
    }
    CHECK(std::sqrt(error) < single_precision * norm(image));
  }
}

TEST_CASE(
    "undersampling keeps the centre, n / R lines in all, and fewer of the same at a higher R") {
  const auto image = two_d({1, 1, 200, 20});
  std::vector<int> before(200);
  std::iota(before.begin(), before.end(), 0);
  const double accelerations[] = {1.1, 1.25, 1.5, 2, 4};
  for (int level = 1; level <= 5; ++level) {
    const auto drawn =
        corrupted(image, "undersampling:" + std::to_string(level)).record[0]["drawn"];
    const auto lines = drawn["measured_lines"].get<std::vector<int>>();
    CHECK(lines.size() == static_cast<std::size_t>(std::lround(200 / accelerations[level - 1])));
    for (int line = 96; line < 104; ++line)  // 4 % of 200
      CHECK(std::binary_search(lines.begin(), lines.end(), line));
    CHECK(std::includes(before.begin(), before.end(), lines.begin(), lines.end()));
    before = lines;
  }
}

TEST_CASE("lines that were not measured hold nothing, the others what they held") {
  const auto image = with_phase(three_d());
  const auto got = corrupted(image, "undersampling:4");
  const auto lines = got.record[0]["drawn"]["measured_lines"].get<std::vector<int>>();
  auto before = image.complex_voxels, after = got.volume.complex_voxels;
  to_kspace(before, {1});
  to_kspace(after, {1});
  double error = 0;
  for (std::int64_t i = 0; i < before.size(); ++i) {
    const bool measured = std::binary_search(lines.begin(), lines.end(), i / 15 % 24);
    error += std::norm(std::complex<double>(after[i]) -
                       (measured ? std::complex<double>(before[i]) : 0.0));
  }
  CHECK(std::sqrt(error) < single_precision * norm(image));
}

TEST_CASE("regular undersampling by a fraction is refused") {
  CHECK_THROWS_WITH_AS(corrupted(two_d(), "undersampling,regular=1,acceleration=1.5"),
                       "undersampling: regular lines want a whole acceleration, got 1.5",
                       mr::DataError);
}

// ---- wrap-around ----

TEST_CASE("wrap-around keeps the complex sum of every column") {
  const auto image = with_phase(two_d());
  for (int level = 1; level <= 5; ++level) {
    const auto folded = corrupted(image, "wrap-around:" + std::to_string(level)).volume;
    CHECK(std::abs(sum(folded.complex_voxels) - sum(image.complex_voxels)) <
          1e-6 * norm(image) * 70);
    CHECK(distance(folded, image) > 0.02 * norm(image));
  }
}

TEST_CASE("half the field of view is every second line of k-space, times sqrt 2") {
  // The object fills all lines, so that 50 % of it is half of the field of view.
  const auto image = with_phase(only(
      [](std::int64_t y, std::int64_t x) { return x < 2 ? 0 : 100 + (7 * y * y + 3 * x) % 20; }, 32,
      19));
  const auto result = corrupted(image, "wrap-around,fold=0.5");
  REQUIRE(result.record[0]["drawn"]["fov_lines"] == 16);
  REQUIRE(result.record[0]["drawn"]["first_line"] == 8);
  auto k = image.complex_voxels;
  to_kspace(k, {1});
  mr::Array<Complex> half({1, 1, 16, 19});
  for (std::int64_t i = 0; i < half.size(); ++i)
    half[i] = std::sqrt(2.0f) * k[(i / 19 * 2) * 19 + i % 19];
  mr::Array<float> re({1, 16, 19}), im({1, 16, 19});
  for (std::int64_t i = 0; i < half.size(); ++i) {
    re[i] = half[i].real();
    im[i] = half[i].imag();
  }
  mr::kspace::transform_axis(re, im, 1, mr::kspace::Direction::to_image, 1);
  double error = 0;
  for (std::int64_t i = 0; i < half.size(); ++i)
    error += static_cast<double>(
        std::norm(result.volume.complex_voxels[8 * 19 + i] - Complex(re[i], im[i])));
  CHECK(std::sqrt(error) < single_precision * norm(image));
}

TEST_CASE("lines outside the new field of view are zero, and air alone never folds") {
  const auto image = two_d({1, 2, 40, 30});  // the object is narrower than the image
  const auto result = corrupted(image, "wrap-around:1");
  const auto first = result.record[0]["drawn"]["first_line"].get<std::int64_t>();
  const auto count = result.record[0]["drawn"]["fov_lines"].get<std::int64_t>();
  const auto facts = measure_facts(image);
  std::int64_t low = 40, high = -1;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    if (facts.foreground[i]) {
      low = std::min(low, i / 30 % 40);
      high = std::max(high, i / 30 % 40);
    }
  CHECK(count == high - low + 1 - std::lround(0.05 * static_cast<double>(high - low + 1)));
  CHECK(first >= low);
  CHECK(first + count <= high + 1);
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    if (i / 30 % 40 < first || i / 30 % 40 >= first + count) REQUIRE(result.volume.voxels[i] == 0);
}

// ---- partial Fourier ----

TEST_CASE("partial Fourier by zeros keeps the lower half and a little of the upper one") {
  for (const std::int64_t lines : {24, 25}) {
    const auto image = with_phase(two_d({1, 2, lines, 21}));
    const auto result = corrupted(image, "partial-fourier:3");
    const auto measured = result.record[0]["drawn"]["measured_lines"].get<std::int64_t>();
    CHECK(measured == (lines == 24 ? 15 : 16));  // the ceiling of 5/8
    CHECK(lost_energy(result.volume, 1, [&](std::int64_t y) { return y < measured; }) < 1e-12);
    CHECK(lost_energy(image, 1, [&](std::int64_t y) { return y < measured; }) > 1e-6);
  }
}

TEST_CASE("homodyne is exact for a real image, white noise, of even and of odd size") {
  for (const std::int64_t lines : {24, 25}) {
    auto image = as_complex(two_d({1, 2, lines, 18}));
    for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i)
      image.complex_voxels[i] =
          100 + 100 * static_cast<float>(mr::uniform({3}, static_cast<std::uint64_t>(i)));
    for (std::int64_t i = 0; i < 100; ++i) image.complex_voxels[i] = 0;
    const auto got = corrupted(image, "partial-fourier:3,mode=1").volume;
    CHECK(distance(got, image) < single_precision * norm(image));
    CHECK(distance(corrupted(image, "partial-fourier:3").volume, image) > 0.05 * norm(image));
  }
}

TEST_CASE("each projection of POCS halves what is missing of a real image") {
  auto image = as_complex(two_d({1, 1, 25, 18}));
  const auto error = [&](int iterations) {
    return distance(
        corrupted(image, "partial-fourier:4,mode=2,iterations=" + std::to_string(iterations))
            .volume,
        image);
  };
  const double zero_filled = distance(corrupted(image, "partial-fourier:4").volume, image);
  for (const int n : {1, 2, 5})
    CHECK(error(n) == doctest::Approx(zero_filled * std::pow(0.5, n)).epsilon(1e-3));
}

TEST_CASE("homodyne and POCS keep a phase that the centre of k-space holds whole") {
  auto image = as_complex(two_d({1, 1, 48, 20}));
  for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
    const float x = static_cast<float>(i % 20);  // along the readout: no line loses it
    image.complex_voxels[i] = std::polar(image.complex_voxels[i].real(), 0.3f * x);
  }
  for (const std::string mode : {"1", "2,iterations=25"})
    CHECK(distance(corrupted(image, "partial-fourier:2,mode=" + mode).volume, image) <
          1e-5 * norm(image));
}

TEST_CASE("a magnitude image gets a drawn phase, without which homodyne would do no harm") {
  const auto image = two_d({1, 3, 48, 40});
  CHECK(distance(corrupted(image, "partial-fourier:5,mode=1,phase_rms=0").volume, image) <
        single_precision * norm(image));
  CHECK(distance(corrupted(image, "partial-fourier:5,mode=1").volume, image) > 0.01 * norm(image));
}

// ---- filters ----

TEST_CASE("filters keep a constant image, whatever its value") {
  auto image = constant({1, 2, 24, 35}, 7);
  image.voxels[0] = 0;   // a background
  image.voxels[1] = 14;  // keeps the mean
  for (const std::string filter : {"kspace-filter:5", "resolution:5", "blur:5"}) {
    const auto got = corrupted(as_complex(image), filter).volume;
    CHECK(std::abs(sum(got.complex_voxels) - sum(as_complex(image).complex_voxels)) < 0.02);
    CHECK(static_cast<double>(got.complex_voxels[24 * 35 + 400].real()) ==
          doctest::Approx(7).epsilon(1e-5));
  }
}

TEST_CASE("a blurred point is a Gaussian of the asked width") {
  const auto image =
      only([](std::int64_t y, std::int64_t x) { return y == 30 && x == 33 ? 1000 : 0; }, 60, 67);
  const auto got = corrupted(as_complex(image), "blur,sigma_px=2.5").volume;
  for (std::int64_t y = 22; y < 39; ++y)
    for (std::int64_t x = 25; x < 42; ++x) {
      const double d = std::pow(y - 30, 2) + std::pow(x - 33, 2);
      // Poisson's sum: the sampled Gaussian, to exp(-2 pi^2 2.5^2 / 4) of its peak.
      CHECK(static_cast<double>(got.complex_voxels[y * 67 + x].real()) ==
            doctest::Approx(1000 / (2 * pi * 6.25) * std::exp(-d / 12.5)).epsilon(1e-4).scale(25));
    }
}

TEST_CASE("a taper of 1 is the Hann window: its neighbours get half, in k-space's image") {
  const auto image =
      only([](std::int64_t y, std::int64_t x) { return y == 8 && x == 12 ? 160 : 0; }, 16, 24);
  const auto got = corrupted(as_complex(image), "kspace-filter:5").volume.complex_voxels;
  const auto at = [&](std::int64_t y, std::int64_t x) {
    return static_cast<double>(got[y * 24 + x].real());
  };
  // Transform of 1/2 + 1/2 cos(2 pi k / n): 1/2 here and 1/4 at each neighbour.
  CHECK(at(8, 12) == doctest::Approx(40));
  CHECK(at(8, 13) == doctest::Approx(20));
  CHECK(at(7, 12) == doctest::Approx(20));
  CHECK(at(9, 11) == doctest::Approx(10));
  CHECK(std::fabs(at(8, 14)) < 1e-3);
}

TEST_CASE("lower resolution empties k-space outside n / factor samples") {
  const auto image = as_complex(three_d());
  const auto got = corrupted(image, "resolution:3").volume;
  for (int axis = 0; axis < 3; ++axis) {
    const auto n = static_cast<double>(image.shape()[static_cast<std::size_t>(axis) + 1]);
    CHECK(lost_energy(got, axis, [n](std::int64_t i) {
            return std::fabs(static_cast<double>(i) - std::floor(n / 2)) < n / 2 / 2.2;
          }) < 1e-12);
  }
}

// ---- chemical shift ----

TEST_CASE("fat moves by whole voxels as a circular roll, water stays") {
  const auto image = two_d();
  const auto fat = maps(image)[Map::fat].voxels;
  const auto got = corrupted(as_complex(image), "chemical-shift,shift_px=4").volume;
  double error = 0;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
    const auto from = i / 35 * 35 + (i % 35 + 31) % 35;  // 4 voxels back along the row
    const float want = (1 - fat[i]) * image.voxels[i] + fat[from] * image.voxels[from];
    error += static_cast<double>(std::norm(got.complex_voxels[i] - want));
  }
  CHECK(std::sqrt(error) < single_precision * norm(image));
}

TEST_CASE("without fat nothing moves; opposed, water and fat are subtracted") {
  const auto image = two_d();
  auto all = maps(image);
  const auto facts = measure_facts(image);
  const auto fat = all[Map::fat].voxels;
  auto opposed = image;
  corrupt(opposed, recipe({"chemical-shift,shift_px=0,phase_deg=180"}), facts, {}, 1, all);
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    REQUIRE(static_cast<double>(opposed.voxels[i]) ==
            doctest::Approx(std::fabs(1 - 2 * static_cast<double>(fat[i])) *
                            static_cast<double>(image.voxels[i]))
                .epsilon(1e-4));
  for (auto& share : all[Map::fat].voxels) share = 0;
  auto water = image;
  corrupt(water, recipe({"chemical-shift:5"}), facts, {}, 1, all);
  CHECK(distance(water, image) < 1e-7 * norm(image));
}

TEST_CASE("a map of fat in percent is refused; the proxy does without a map and is recorded") {
  const auto image = two_d();
  auto all = maps(image);
  for (auto& share : all[Map::fat].voxels) share *= 100;
  auto copy = image;
  CHECK_THROWS_WITH_AS(
      corrupt(copy, recipe({"chemical-shift:3"}), measure_facts(image), {}, 1, all),
      "chemical-shift: the fat map: want shares of 0..1, found 5..80", mr::DataError);
  const auto record = corrupt(copy, recipe({"chemical-shift:3,proxy=1"}), measure_facts(image), {});
  CHECK(record[0]["drawn"]["fat"] == "bright tissue");
  CHECK(record[0]["parameters"]["proxy"] == 1);
  CHECK(distance(copy, image) > 0.01 * norm(image));
}

// ---- off-resonance and EPI ----

TEST_CASE("displacement conserves the sum of every line, also where it folds over") {
  for (const std::string step : {"off-resonance:3", "off-resonance:5", "epi-distortion:4",
                                 "off-resonance:5,proxy=1", "epi-distortion:5,proxy=1"})
    for (const bool along_lines : {step.rfind("epi", 0) == 0}) {
      CAPTURE(step);
      const auto image = as_complex(two_d());
      const auto got = corrupted(image, step).volume;
      CHECK(distance(got, image) > 0.05 * norm(image));
      for (std::int64_t z = 0; z < 6; ++z)
        for (std::int64_t line = 0; line < (along_lines ? 35 : 24); ++line) {
          double before = 0, after = 0;
          for (std::int64_t i = 0; i < (along_lines ? 24 : 35); ++i) {
            const auto at = z * 840 + (along_lines ? i * 35 + line : line * 35 + i);
            before += static_cast<double>(image.complex_voxels[at].real());
            after += static_cast<double>(got.complex_voxels[at].real());
          }
          CHECK(after == doctest::Approx(before).epsilon(1e-5));
        }
    }
}

TEST_CASE("a constant field moves the image as a whole, along the right axis") {
  const auto image = two_d();
  auto all = maps(image);
  for (auto& hz : all[Map::field].voxels) hz = -50;
  const auto facts = measure_facts(image);
  for (const bool epi : {false, true}) {
    auto got = image;
    const auto record =
        corrupt(got, recipe({epi ? "epi-distortion,peak_px=4" : "off-resonance,peak_px=4"}), facts,
                {}, 1, all);
    CHECK(record[0]["drawn"]["hz_per_voxel"] == 12.5);
    for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
      const auto y = i / 35 % 24, x = i % 35;
      const auto from = epi ? (i / 840 * 24 + (y + 4) % 24) * 35 + x : i - x + (x + 4) % 35;
      REQUIRE(got.voxels[i] == image.voxels[from]);
    }
  }
}

namespace {

void displace_line(const std::vector<float>& moves, Ends ends, std::vector<float>& line) {
  mr::Array<float> distance({1, static_cast<std::int64_t>(moves.size())});
  std::copy(moves.begin(), moves.end(), distance.begin());
  displace(distance, mr::artifact::Role::readout, ends, line.data(), nullptr);
}

}  // namespace

TEST_CASE("blips up and down move voxels by opposite distances") {
  const std::vector<float> moves(20, 2.25f), back(20, -2.25f);
  std::vector<float> up(20, 0.0f), down;
  up[10] = 100;
  down = up;
  displace_line(moves, Ends::wrap, up);
  displace_line(back, Ends::wrap, down);
  const auto centre = [](const std::vector<float>& line) {
    double moment = 0;
    for (std::size_t i = 0; i < line.size(); ++i)
      moment += static_cast<double>(i) * static_cast<double>(line[i]);
    return moment / 100;
  };
  CHECK(centre(up) == doctest::Approx(12.25));
  CHECK(centre(down) == doctest::Approx(7.75));
  const auto field = corrupted(two_d(), "epi-distortion:4,proxy=1").record[0]["drawn"];
  const auto other = corrupted(two_d(), "epi-distortion,peak_px=-14,proxy=1").record[0]["drawn"];
  for (std::size_t t = 0; t < 15; ++t)
    CHECK(field["displacement"]["coefficients"][t].get<double>() ==
          doctest::Approx(-other["displacement"]["coefficients"][t].get<double>()));
}

TEST_CASE("a line that is stretched thins out by the Jacobian; one that is shrunk piles up") {
  std::vector<float> moves(40);
  for (std::size_t i = 0; i < 40; ++i) moves[i] = 0.25f * (static_cast<float>(i) - 20);
  std::vector<float> line(40, 0.0f);
  std::fill(line.begin() + 12, line.begin() + 28, 1.0f);
  auto stretched = line;
  displace_line(moves, Ends::wrap, stretched);
  CHECK(stretched[20] == doctest::Approx(1 / 1.25));
  for (auto& m : moves) m *= -2;
  displace_line(moves, Ends::wrap, line);
  CHECK(line[20] == doctest::Approx(1 / 0.5));
}

TEST_CASE("signal beyond the end of a line comes in at the other end, or is lost") {
  const std::vector<float> moves(10, 4.0f);
  std::vector<float> line(10, 1.0f), kept = line;
  displace_line(moves, Ends::wrap, kept);
  CHECK(kept == line);
  displace_line(moves, Ends::lose, line);
  for (std::size_t i = 0; i < 10; ++i) CHECK(line[i] == (i < 4 ? 0.0f : 1.0f));
}

TEST_CASE("the drawn field obeys Laplace's equation") {
  const double h = 1e-2, x = 0.3, y = -0.5, z = 0.7;
  const auto at = [](double a, double b, double c) { return solid_harmonics(a, b, c); };
  for (std::size_t t = 0; t < HarmonicField::terms; ++t) {
    // Polynomials of third order: second differences are exact, to rounding over h^2.
    const double laplacian =
        (at(x + h, y, z)[t] + at(x - h, y, z)[t] + at(x, y + h, z)[t] + at(x, y - h, z)[t] +
         at(x, y, z + h)[t] + at(x, y, z - h)[t] - 6 * at(x, y, z)[t]) /
        (h * h);
    CHECK(std::fabs(laplacian) < 1e-10);
    CHECK(at(x, y, z)[t] != 0);
  }
}

TEST_CASE("a field of 0 Hz everywhere is refused") {
  const auto image = two_d();
  auto all = maps(image);
  for (auto& hz : all[Map::field].voxels) hz = 0;
  auto copy = image;
  CHECK_THROWS_AS(corrupt(copy, recipe({"off-resonance:3"}), measure_facts(image), {}, 1, all),
                  mr::DataError);
}

// ---- transmit field ----

TEST_CASE("flip angles of kappa give sin^3: known at the centre and where kappa is 1") {
  const auto image = constant({1, 1, 41, 37}, 100);
  auto framed = image;
  for (std::int64_t i = 0; i < 37; ++i) framed.voxels[i] = 0;  // a background
  const auto got = corrupted(framed, "b1-transmit,deviation=0.4");
  const auto& drawn = got.record[0]["drawn"];
  const auto centre = drawn["centre_voxel"].get<std::vector<double>>();
  const auto radius = drawn["radius_voxel"].get<std::vector<double>>();
  double least = 1, most = 0;
  for (std::int64_t i = 37; i < image.voxels.size(); ++i) {
    const double d = std::pow((static_cast<double>(i % 37) - centre[0]) / radius[0], 2) +
                     std::pow((static_cast<double>(i / 37) - centre[1]) / radius[1], 2) +
                     std::pow(centre[2] / radius[2], 2);
    const double ratio = static_cast<double>(got.volume.voxels[i]) / 100;
    if (std::fabs(d - 1) < 0.01) CHECK(ratio > 0.999);  // the nominal angle, stationary there
    if (d < 0.02)
      CHECK(ratio == doctest::Approx(std::pow(std::sin(1.4 * pi / 2), 3)).epsilon(0.05));
    least = std::min(least, ratio);
    most = std::max(most, ratio);
  }
  CHECK(most <= 1 + 1e-6);
  CHECK(least >= std::pow(std::sin(0.6 * pi / 2), 3) - 1e-6);
}

// ---- susceptibility ----

TEST_CASE("a slice dephased by one turn is black at the source, and S sinc elsewhere") {
  auto image = constant({1, 9, 40, 44}, 100);
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    if (i % 44 < 4 || i % 44 > 39) image.voxels[i] = 0;
  const auto result = corrupted(as_complex(image), "susceptibility,peak_turns=1");
  const auto& drawn = result.record[0]["drawn"];
  const auto worst = drawn["worst_mm"].get<std::vector<double>>();
  const auto x = std::llround(worst[0] / 0.8), y = std::llround(worst[1] / 1.1),
             z = std::llround(worst[2] / 4);
  const auto at = (z * 40 + y) * 44 + x;
  CHECK(image.voxels[at] == 100);
  CHECK((x == 4 || x == 39 || y == 0 || y == 39));  // on the rim of the object
  CHECK(std::abs(result.volume.complex_voxels[at]) < 1e-4f);
  CHECK(drawn["sigma_mm"].get<double>() == doctest::Approx(0.1 * 44));  // of 40 x 1.1 mm
  const auto weak = corrupted(as_complex(image), "susceptibility,peak_turns=0.25").volume;
  CHECK(static_cast<double>(weak.complex_voxels[at].real()) ==
        doctest::Approx(100 * std::sin(pi / 4) / (pi / 4)).epsilon(1e-5));
  const auto far = (z * 40 + y) * 44 + (x < 22 ? 35 : 8);  // more than 5 sigma
  CHECK(static_cast<double>(result.volume.complex_voxels[far].real()) ==
        doctest::Approx(100).epsilon(1e-3));
}

TEST_CASE("beyond the first null the signal comes back with the other sign") {
  auto image = constant({1, 9, 40, 44}, 100);
  for (std::int64_t i = 0; i < image.voxels.size(); i += 44) image.voxels[i] = 0;
  const auto got = corrupted(as_complex(image), "susceptibility,peak_turns=1.5").volume;
  float least = 0;
  for (const auto& v : got.complex_voxels) least = std::min(least, v.real());
  CHECK(static_cast<double>(least) ==
        doctest::Approx(100 * std::sin(1.43 * pi) / (1.43 * pi)).epsilon(0.03));  // -21.7
}

// ---- metal ----

/// Field at one point [Hz].
double field_at(const MetalBody& body, const Point_mm& at) {
  double hz = 0;
  body.row(at, 0, 1, 1, &hz, nullptr);
  return hz;
}

/// Of the field at (5, 4, 6), by differences.
double laplacian(const MetalBody& body) {
  const double h = 1e-3;
  const auto f = [&](double x, double y, double z) { return field_at(body, {x, y, z}); };
  return (f(5 + h, 4, 6) + f(5 - h, 4, 6) + f(5, 4 + h, 6) + f(5, 4 - h, 6) + f(5, 4, 6 + h) +
          f(5, 4, 6 - h) - 6 * f(5, 4, 6)) /
         (h * h);
}

TEST_CASE("the field of a sphere falls with the cube, is zero at 54.7 degrees, and obeys Laplace") {
  const MetalBody sphere(MetalBody::Form::sphere, {1, 2, 3}, {0, 0.6, 0.8}, {1, 0, 0}, 2, 1500);
  const auto at = [&](double r, double theta) {  // from the main field, within the y z plane
    const double c = std::cos(theta), s = std::sin(theta);
    return field_at(sphere, {1, 2 + r * (0.6 * c + 0.8 * s), 3 + r * (0.8 * c - 0.6 * s)});
  };
  CHECK(at(2, 0) == doctest::Approx(1000));       // 2/3 gamma B0 chi at the pole
  CHECK(at(2, pi / 2) == doctest::Approx(-500));  // -1/3 at the equator
  CHECK(at(6, 0.3) == doctest::Approx(at(3, 0.3) / 8));
  CHECK(std::fabs(at(3, std::acos(std::sqrt(1 / 3.0)))) < 1e-10);  // the magic angle
  CHECK(std::fabs(laplacian(sphere)) < 1e-3);  // second derivatives are of the order of 10
}

TEST_CASE("the field of a rod falls with the square, is zero at 45 degrees, and obeys Laplace") {
  const MetalBody rod(MetalBody::Form::cylinder, {1, 2, 3}, {0, 0.6, 0.8}, {1, 0, 0}, 2, 1500);
  const auto at = [&](double r, double phi, double along) {
    const double c = std::cos(phi), s = std::sin(phi);
    return field_at(rod, {1 + along, 2 + r * (0.6 * c + 0.8 * s), 3 + r * (0.8 * c - 0.6 * s)});
  };
  CHECK(at(2, 0, 7) == doctest::Approx(750));  // 1/2 gamma B0 chi
  CHECK(at(2, pi / 2, -4) == doctest::Approx(-750));
  CHECK(at(6, 0.3, 0) == doctest::Approx(at(3, 0.3, 5) / 4));
  CHECK(std::fabs(at(3, pi / 4, 0)) < 1e-10);
  CHECK(std::fabs(laplacian(rod)) < 1e-3);
  // At 60 degrees to the main field three quarters of that: sin^2.
  const double s = std::sqrt(0.75);
  const MetalBody tilted(MetalBody::Form::cylinder, {0, 0, 0}, {0, 0, 1}, {0, s, 0.5}, 2, 1500);
  CHECK(field_at(tilted, {0, -0.5 * 4, s * 4}) == doctest::Approx(0.75 * 750 / 4));
  CHECK(std::fabs(laplacian(tilted)) < 1e-3);
  const MetalBody parallel(MetalBody::Form::cylinder, {0, 0, 0}, {0, 0, 1}, {0, 0, 1}, 2, 1500);
  CHECK(std::fabs(field_at(parallel, {3, 4, 5})) < 1e-9);
}

TEST_CASE("a row of metal's field is void where it is within the body") {
  const MetalBody rod(MetalBody::Form::cylinder, {4, 0, 0}, {0, 0, 1}, {0, 1, 0}, 2, 1500);
  std::vector<double> hz(9);
  std::vector<float> outside(9);
  rod.row({0, 30, 0.5}, 0, 1, 9, hz.data(), outside.data());
  CHECK(outside == std::vector<float>{1, 1, 1, 0, 0, 0, 1, 1, 1});
  for (int x = 0; x < 9; ++x)
    CHECK(hz[static_cast<std::size_t>(x)] ==
          doctest::Approx(field_at(rod, {static_cast<double>(x), 30, 0.5})));
}

TEST_CASE("metal: void where the sphere is; elsewhere the signal moves but is not lost") {
  // Wide enough along the readout: at 500 Hz a voxel these spheres move signal by 16 at the most.
  const auto image = as_complex(three_d({1, 17, 24, 160}));
  for (const std::string step : {"metal:3", "metal:4"}) {
    const auto result = corrupted(image, step);
    const auto centre = result.record[0]["drawn"]["centre_mm"].get<std::vector<double>>();
    const double radius = result.record[0]["parameters"]["radius_mm"].get<double>();
    std::complex<double> want = 0;
    double lost = 0;
    for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
      const double r = std::hypot(static_cast<double>(i % 160) - centre[0],
                                  1.2 * static_cast<double>(i / 160 % 24) - centre[1],
                                  0.9 * static_cast<double>(i / 160 / 24) - centre[2]);
      if (r >= radius * (1 - 1e-9))
        want += std::complex<double>(image.complex_voxels[i]);
      else
        lost += static_cast<double>(image.complex_voxels[i].real());
    }
    CHECK(lost > 1000);
    CHECK(std::abs(sum(result.volume.complex_voxels) - want) < 1e-5 * std::abs(want));
  }
}

TEST_CASE("in 2-D metal also moves signal into the neighbouring slices, in 3-D it does not") {
  auto flat = two_d({1, 12, 24, 36});
  flat.spacing_mm = {1, 1, 2};
  auto deep = flat;
  deep.acquisition.mode = Mode::three_d;
  const std::string step = "metal,radius_mm=3,susceptibility_ppm=180,readout_hz=1000000";
  // Along the readout next to nothing moves; through slices up to 7664 / 2000 of them.
  const auto in_3d = corrupted(deep, step), in_2d = corrupted(flat, step);
  const auto centre = in_2d.record[0]["drawn"]["centre_mm"].get<std::vector<double>>();
  double moved_2d = 0, moved_3d = 0;
  for (std::int64_t i = 0; i < flat.voxels.size(); ++i) {
    const double r = std::hypot(static_cast<double>(i % 36) - centre[0],
                                static_cast<double>(i / 36 % 24) - centre[1],
                                2 * static_cast<double>(i / 36 / 24) - centre[2]);
    if (r < 3.5) continue;
    moved_2d += static_cast<double>(std::fabs(in_2d.volume.voxels[i] - flat.voxels[i]));
    moved_3d += static_cast<double>(std::fabs(in_3d.volume.voxels[i] - flat.voxels[i]));
  }
  CHECK(moved_3d < 0.05 * moved_2d);
  CHECK(moved_2d > 1000);
}

TEST_CASE("the main field's strength scales the displacement; 1.5 T is an assumption on record") {
  auto image = two_d();
  const auto drawn = corrupted(image, "metal:2").record[0]["drawn"];
  CHECK(drawn["assumed"][0] == "field_t");
  CHECK(drawn["field_t"] == 1.5);
  image.acquisition.field_t = 3.0;
  const auto strong = corrupted(image, "metal,susceptibility_ppm=60");
  CHECK(strong.record[0]["drawn"]["field_t"] == 3.0);
  CHECK(!strong.record[0]["drawn"].contains("assumed"));
  image.acquisition.field_t = 1.5;
  CHECK(same_bits(corrupted(image, "metal,susceptibility_ppm=120").volume, strong.volume));
}

// ---- gradients ----

TEST_CASE(
    "gradient nonlinearity keeps the isocentre, the amount of tissue, and the corner's size") {
  for (const bool volumetric : {false, true}) {
    CAPTURE(volumetric);
    auto image = volumetric ? three_d({1, 20, 60, 64}) : two_d({1, 3, 60, 64});
    image.voxels = sampled(image.shape(), [&](double x, double y, double z) {
      return 1000 * std::exp(-8 * (x * x + y * y + (volumetric ? z * z : 0.0)));
    });
    const auto result = corrupted(as_complex(image), "gradient-nonlinearity,corner_mm=8").volume;
    // The Gaussian ends within the image: what is moved stays in it.
    CHECK(std::abs(sum(result.complex_voxels)) ==
          doctest::Approx(std::abs(sum(as_complex(image).complex_voxels))).epsilon(5e-3));
    const auto centre = ((volumetric ? 10 : 1) * 60 + 30) * 64 + 32;
    CHECK(static_cast<double>(result.complex_voxels[centre].real()) ==
          doctest::Approx(static_cast<double>(image.voxels[centre])).epsilon(1e-4));
    CHECK(distance(result, as_complex(image)) > 0.003 * norm(image));
  }
}

TEST_CASE("eddy currents move a point by the recorded gradients; columns keep their sum") {
  auto image = constant({1, 5, 40, 30}, 0);
  const auto at = (std::int64_t{3} * 40 + 25) * 30 + 8;
  image.voxels[at] = 1000;
  const auto result = corrupted(as_complex(image), "eddy-currents:5");
  const auto& drawn = result.record[0]["drawn"];
  const double moved = drawn["constant"].get<double>() + drawn["readout"].get<double>() * -7 / 15 +
                       drawn["lines"].get<double>() * 5 / 20 + drawn["slice"].get<double>() * 1 / 2;
  double total = 0, moment = 0, largest = 0;
  for (std::int64_t y = 0; y < 40; ++y) {
    const auto value = static_cast<double>(result.volume.complex_voxels[(120 + y) * 30 + 8].real());
    total += value;
    moment += value * static_cast<double>(y);
  }
  for (const char* name : {"constant", "readout", "lines", "slice"})
    largest += std::fabs(drawn[name].get<double>());
  CHECK(total == doctest::Approx(1000).epsilon(1e-6));
  // A box that is not one voxel wide any more is spread over whole voxels: half of its excess.
  CHECK(std::fabs(moment / total - 25 - moved) <=
        std::fabs(drawn["lines"].get<double>()) / 20 / 2 + 1e-5);
  CHECK(std::fabs(moved) > 0.5);
  CHECK(largest == doctest::Approx(7));
}

TEST_CASE("the drift grows with the volumes of a series, from none at the first") {
  auto image = two_d({5, 2, 24, 20});
  image.acquisition.dim4 = "time";
  const auto got = corrupted(image, "b0-drift,drift_px=8");
  const auto voxels = std::int64_t{2} * 24 * 20;
  CHECK(std::equal(image.voxels.begin(), image.voxels.begin() + voxels, got.volume.voxels.begin()));
  for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
    const auto shift = 2 * (i / voxels), y = i / 20 % 24;
    const auto from = i + ((y - shift + 24) % 24 - y) * 20;
    REQUIRE(static_cast<double>(got.volume.voxels[i]) ==
            doctest::Approx(static_cast<double>(image.voxels[from])).epsilon(1e-4));
  }
}

// ---- moire ----

TEST_CASE("without phase what folds in just adds; with it, the sum of squares is kept on average") {
  const auto image = as_complex(two_d({1, 2, 60, 64}));
  const auto flat = corrupted(image, "moire,alias=0.5,turns=0").volume;
  const auto banded = corrupted(image, "moire:5").volume;
  double error = 0, energy = 0, wanted = 0;
  for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
    const auto y = i / 64 % 60;
    const auto& other = image.complex_voxels[i + ((y + 30) % 60 - y) * 64];
    error += static_cast<double>(
        std::norm(flat.complex_voxels[i] - image.complex_voxels[i] - 0.5f * other));
    energy += static_cast<double>(std::norm(banded.complex_voxels[i]));
    wanted += static_cast<double>(std::norm(image.complex_voxels[i]) + 0.25f * std::norm(other));
  }
  CHECK(std::sqrt(error) < 1e-6 * norm(image));
  // Products of both average out over many bands, as far as these are many: 20 % here.
  CHECK(energy == doctest::Approx(wanted).epsilon(0.2));
  CHECK(distance(flat, banded) > 0.1 * norm(image));
}

// ---- frames ----

TEST_CASE("coils see one object in one field: what is drawn is the same for all") {
  auto image = two_d({3, 4, 24, 36});
  const auto voxels = image.voxels.size() / 3;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    image.voxels[i] *= 1 + 0.3f * static_cast<float>(i / voxels);
  for (const std::string step :
       {"undersampling:3", "wrap-around:3", "partial-fourier:3,mode=1", "off-resonance:3,proxy=1",
        "epi-distortion:3,proxy=1", "b1-transmit:3", "susceptibility:3", "metal:3",
        "gradient-nonlinearity:3", "eddy-currents:3", "b0-drift:3", "moire:3"}) {
    CAPTURE(step);
    image.acquisition.dim4 = "coil";
    const auto coils = corrupted(image, step).record[0]["drawn"];
    REQUIRE(coils.size() == 3);
    CHECK(coils[0] == coils[1]);
    CHECK(coils[0] == coils[2]);
  }
  image.acquisition.dim4 = "time";  // each repetition of a series has eddy currents of its own
  const auto series = corrupted(image, "eddy-currents:3").record[0]["drawn"];
  CHECK(series[0] != series[1]);
  image.acquisition.dim4 = "coil";
  CHECK_THROWS_WITH_AS(corrupted(image, "chemical-shift:3,proxy=1"),
                       "chemical-shift: proxy=1 wants a combined image, found one frame per coil",
                       mr::DataError);
}

TEST_CASE("with its map, a step that has a proxy uses the map; without both it is refused") {
  const auto image = two_d();
  CHECK(corrupted(image, "off-resonance:3").record[0]["drawn"]["field"] == "map");
  CHECK(corrupted(image, "off-resonance:3,proxy=1").record[0]["drawn"]["field"] == "drawn");
  auto copy = image;
  const auto facts = measure_facts(image);
  CHECK_NOTHROW(corrupt(copy, recipe({"epi-distortion:3,proxy=1"}), facts, {}));
  CHECK_THROWS_AS(corrupt(copy, recipe({"epi-distortion:3"}), facts, {}), mr::DataError);
}

// ---- what the whole catalogue promises, for parameters off the ladder ----

TEST_CASE("other modes and proxies: any threads, any slice alone, any gain, any shape") {
  for (const std::string step :
       {"partial-fourier:4,mode=1", "partial-fourier:4,mode=2", "off-resonance:4,proxy=1",
        "epi-distortion:2,proxy=1", "chemical-shift:3,proxy=1", "chemical-shift:3,phase_deg=90",
        "undersampling,regular=1,acceleration=2", "metal:3,te_ms=5"}) {
    CAPTURE(step);
    const auto r = recipe({step});
    for (const auto& image : {two_d(), three_d()}) {
      const auto whole = corrupted(image, r).volume;
      CHECK(same_bits(corrupted(image, r, 1, "a", 12).volume, whole));
      auto bright = image;
      for (auto& x : bright.voxels) x *= 1000;
      CHECK(distance(whole, corrupted(bright, r).volume, 1000) < 1e-5 * norm(bright));
      if (!in_plane(r, image)) continue;
      auto alone = image;
      samples::corrupt_slice(alone, 3, r, measure_facts(image), {1, "a", std::nullopt},
                             maps(image));
      const auto plane = image.shape()[2] * image.shape()[3];
      CHECK(std::equal(alone.voxels.begin() + 3 * plane, alone.voxels.begin() + 4 * plane,
                       whole.voxels.begin() + 3 * plane));
    }
    for (const Shape& shape : {Shape{1, 1, 24, 36}, Shape{1, 4, 1, 16}, Shape{1, 4, 16, 1},
                               Shape{1, 2, 2, 2}, Shape{1, 1, 1, 2}}) {
      auto image = two_d(shape);
      image.voxels[0] = 2000;
      try {
        for (const float x : corrupted(image, r).volume.voxels)
          REQUIRE((std::isfinite(x) && x >= 0));
      } catch (const mr::DataError& e) {
        CHECK(std::string(e.what()).rfind(step.substr(0, step.find_first_of(":,")), 0) == 0);
      }
    }
  }
}
