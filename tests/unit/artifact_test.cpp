#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "artifact/elementary.h"
#include "artifact/recipe.h"
#include "artifact_samples.h"
#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "check.h"

using namespace mr::artifact;
using namespace samples;
using mr::Array;
using mr::Json;
using mr::Shape;

namespace {

constexpr double pi = 3.14159265358979323846;
const std::vector<std::string> study = {"rician", "motion", "ghosting", "spike", "bias"};

}  // namespace

// ---- elementary functions ----

TEST_CASE("functions for vector code are those of the standard library to single precision") {
  for (int i = -4000; i <= 4000; ++i) {
    const float x = 0.01f * static_cast<float>(i);
    const auto exact = static_cast<double>(x);
    CAPTURE(x);
    CHECK(std::fabs(static_cast<double>(fast_exp(x)) / std::exp(exact) - 1) < 3e-7);
    const float y = std::exp2(x);
    const double log_y = std::log(static_cast<double>(y));
    CHECK(std::fabs(static_cast<double>(fast_log(y)) - log_y) <
          2e-7 * std::max(1.0, std::fabs(log_y)));
    const auto [sine, cosine] = fast_sine_cosine(25 * x);
    CHECK(std::fabs(static_cast<double>(sine) - std::sin(static_cast<double>(25 * x))) < 2e-7);
    CHECK(std::fabs(static_cast<double>(cosine) - std::cos(static_cast<double>(25 * x))) < 2e-7);
  }
}

// ---- catalogue ----

TEST_CASE("the study's grid is the five artifacts of the paper, in this order") {
  std::vector<std::string> in_study;
  for (const auto& row : catalogue())
    if (row.in_study) in_study.push_back(row.name);
  CHECK(in_study == study);
}

TEST_CASE("every row is complete, and its levels lie in its range and grow away from off") {
  for (const auto& row : catalogue()) {
    CAPTURE(row.name);
    CHECK(!row.summary.empty());
    CHECK(!row.source.empty());
    CHECK(!row.parameters.empty());
    for (const auto& p : row.parameters) {
      CAPTURE(p.name);
      double before = 0;
      for (const double level : p.levels) {
        CHECK(level >= p.low);
        CHECK(level <= p.high);
        const double away = std::isinf(p.off) ? 1 / level : std::fabs(level - p.off);
        CHECK(away >= before);
        before = away;
      }
    }
  }
}

TEST_CASE("fractions of severity interpolate; below level 1 from off") {
  CHECK(at_severity(find("ghosting"), 2).at("modulation") == 0.1);
  CHECK(at_severity(find("ghosting"), 2.5).at("modulation") == doctest::Approx(0.15));
  CHECK(at_severity(find("ghosting"), 0.5).at("modulation") == doctest::Approx(0.025));
  CHECK(at_severity(find("ghosting"), 0.5).at("period_lines") == 5);
  CHECK(at_severity(find("rician"), 5).at("snr") == 5);
  CHECK(at_severity(find("rician"), 1.5).at("snr") == 30);
  CHECK(at_severity(find("rician"), 0.5).at("snr") == 80);  // noise grows from none
  CHECK(std::isinf(at_severity(find("rician"), 0).at("snr")));
}

TEST_CASE("steps are read from the command line") {
  const auto step = parse_step("motion:3.5,translation_mm=2,events=1");
  CHECK(step.artifact == "motion");
  CHECK(step.severity == 3.5);
  CHECK(step.parameters == Values{{"translation_mm", 2}, {"events", 1}});
  CHECK(parse_step("rician").severity == 2.0);
  CHECK(!parse_step("bias,log_std=0.2").severity);
}

TEST_CASE("a wrong step is a usage error that says what was wanted") {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"rican:3", "unknown artifact 'rican'; did you mean 'rician'?"},
      {"motion:6", "motion: bad severity 6: want 0..5"},
      {"motion:-1", "motion: bad severity -1: want 0..5"},
      {"motion:x", "motion: severity: want a number, got 'x'"},
      {"motion:nan", "motion: severity: want a number, got 'nan'"},
      {"bias,log_sd=1", "bias: unknown parameter 'log_sd'; did you mean 'log_std'?"},
      {"bias,log_std=9", "bias: log_std 9: want 0..2"},
      {"motion:1,rotation_deg=90", "motion: rotation_deg 90: want 0..20 deg"},
      {"bias,log_std", "bias: want PARAMETER=VALUE, got 'log_std'"},
  };
  for (const auto& [text, message] : wrong) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(parse_step(text), message.c_str(), mr::UsageError);
  }
}

// ---- recipes ----

TEST_CASE("a recipe survives JSON") {
  const auto document = mr::parse_json(R"({"schema": "mr-recipe/1", "per": "image", "steps": [
      {"artifact": "bias", "severity": {"uniform": [0, 5]}},
      {"artifact": "motion", "parameters": {"events": {"choice": [1, 3]}, "rotation_deg": 2.5}},
      {"artifact": "rician", "severity": 3, "probability": 0.25}]})",
                                       "r.json");
  const auto r = recipe_from_json(document, "r.json");
  REQUIRE(r.steps.size() == 3);
  CHECK(r.steps[0].distributions.at("severity").numbers == std::vector<double>{0, 5});
  CHECK(r.steps[1].parameters.at("rotation_deg") == 2.5);
  CHECK(r.steps[2].probability->median == 0.25);
  CHECK(to_json(recipe_from_json(to_json(r), "again")) == to_json(r));
}

TEST_CASE("a wrong recipe is bad data, with the place named") {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {R"({"schema": "mr-recipe/2", "steps": []})",
       "r: schema version mr-recipe/2 is not known; this version reads mr-recipe/1"},
      {R"({"schema": "mr-recipe/1"})", "r: lacks \"steps\""},
      {R"({"schema": "mr-recipe/1", "per": 3, "steps": []})", "r: per: want a string, got 3"},
      {R"({"schema": "mr-recipe/1", "gain": "mach", "steps": []})",
       "r: gain: unknown policy 'mach'; did you mean 'match'?"},
      {R"({"schema": "mr-recipe/1", "seed": -1, "steps": []})", "r: seed: want 0 or more, got -1"},
      {R"({"schema": "mr-recipe/1", "steps": [{"artifact": "bias", "severity": 7}]})",
       "r: steps[0]: bias: bad severity 7: want 0..5"},
      {R"({"schema": "mr-recipe/1", "steps": [{"artifact": "bias", "severity": {"uniform": [4, 1]}}]})",
       "r: steps[0]: severity: uniform: want [low, high], got [4,1]"},
      {R"({"schema": "mr-recipe/1", "steps": [{"artifact": "bias", "severity": {"choice": []}}]})",
       "r: steps[0]: severity: choice: want at least one number"},
      {R"({"schema": "mr-recipe/1", "steps": [{"artifact": "bias", "strength": 1}]})",
       "r: steps[0]: unknown member 'strength'; want one of artifact, severity, parameters, "
       "probability"},
      {R"({"schema": "mr-recipe/1", "steps": [{"artifact": "bias", "probability": 2}]})",
       "r: steps[0]: probability: want 0..1, got 2"},
      {R"({"schema": "mr-recipe/1", "steps": [{"artifact": "bias", "severity": "high"}]})",
       "r: steps[0]: severity: want a number, {\"uniform\": [low, high]}, {\"choice\": [...]}, "
       "{\"lognormal\": {\"median\", \"log_sd\"}} or {\"gamma\": {\"mean\", \"shape\"}}, got "
       "\"high\""},
      {R"({"schema": "mr-recipe/1", "steps": [{"artifact": "rician", "parameters": {"snr": {"lognormal": {"median": 20, "log_sd": -1}}}}]})",
       "r: steps[0]: snr: lognormal: log_sd: want a standard deviation >= 0, or one for each "
       "level, got -1"},
      {R"({"schema": "mr-recipe/1", "steps": [{"artifact": "rician", "parameters": {"snr": {"lognormal": {"median": 0, "log_sd": 1}}}}]})",
       "r: steps[0]: snr: lognormal: median: want a number > 0, got 0.0"},
      {R"({"schema": "mr-recipe/1", "steps": [{"artifact": "rician", "parameters": {"snr": {"gamma": {"mean": 20, "scale": 1}}}}]})",
       "r: steps[0]: snr: gamma: lacks \"shape\""},
      {R"({"schema": "mr-recipe/1", "steps": [{"artifact": "bias", "probability": {"median": 0.5}}]})",
       "r: steps[0]: probability: lacks \"logit_sd\""},
  };
  for (const auto& [text, message] : wrong) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(recipe_from_json(mr::parse_json(text, "r"), "r"), message.c_str(),
                         mr::DataError);
  }
}

TEST_CASE("what a recipe draws spreads over its range, per image, and is recorded") {
  Recipe r;
  r.steps.push_back(
      {"ghosting", std::nullopt, {}, {{"severity", {Distribution::Kind::uniform, {1, 4}}}}});
  r.steps.push_back(
      {"bias", 2.0, {}, {{"log_std", {Distribution::Kind::choice, {0.1, 0.3}}}}, Probability{0.5}});
  double least = 5, most = 0;
  int applied = 0, strong = 0;
  const int units = 200;
  const auto image = two_d({1, 1, 8, 8});
  const auto facts = measure_facts(image);
  for (int unit = 0; unit < units; ++unit) {
    auto volume = image;
    const auto record = corrupt(volume, r, facts, {3, std::to_string(unit), std::nullopt});
    least = std::min(least, record[0]["severity"].get<double>());
    most = std::max(most, record[0]["severity"].get<double>());
    applied += record[1]["slices"] == "all";
    strong += record[1]["parameters"]["log_std"] == 0.3;
  }
  CHECK(least >= 1);
  CHECK(least < 1.1);
  CHECK(most <= 4);
  CHECK(most > 3.9);
  const double four_sd = 4 * std::sqrt(0.25 * units);
  CHECK(std::fabs(applied - 0.5 * units) < four_sd);
  CHECK(std::fabs(strong - 0.5 * units) < four_sd);
}

// ---- roles of axes ----

TEST_CASE("roles come from the acquisition") {
  auto v = phantom({1, 4, 5, 6});
  v.acquisition.mode = Mode::two_d;
  v.acquisition.slice_axis = 0;
  v.acquisition.phase_encode_axis = 2;
  const auto roles = roles_of(v);
  CHECK(roles.slice == 0);
  CHECK(roles.phase_encode == 2);
  CHECK(roles.readout == 1);
  CHECK(roles.assumed.empty());
  v.acquisition.phase_encode_axis = 0;
  CHECK_THROWS_WITH_AS(roles_of(v), "acquisition: slices and phase encoding share the axis i",
                       mr::DataError);
}

TEST_CASE("what the acquisition leaves open is assumed, and said so") {
  auto v = phantom({1, 4, 5, 6});
  v.spacing_mm = {1, 1.05, 1};
  CHECK(roles_of(v).mode == Mode::three_d);
  v.spacing_mm = {0.5, 3, 0.5};
  auto roles = roles_of(v);
  CHECK(roles.mode == Mode::two_d);
  CHECK(roles.slice == 1);
  CHECK(roles.phase_encode == 2);  // the slower of the others
  CHECK(roles.readout == 0);
  CHECK(roles.assumed == std::vector<std::string>{"mode", "slice_axis", "phase_encode_axis"});
  auto lone = phantom({1, 1, 5, 6});
  CHECK(roles_of(lone).mode == Mode::two_d);
  CHECK(roles_of(lone).slice == 2);
  v.acquisition.phase_encode_axis = 1;  // the likely slice axis is taken
  roles = roles_of(v);
  CHECK(roles.slice == 2);
  CHECK(roles.readout == 0);
}

// ---- facts ----

TEST_CASE("the foreground is what Otsu's threshold leaves, and S its mean") {
  Volume v = two_d({1, 2, 10, 10});
  for (std::int64_t i = 0; i < v.voxels.size(); ++i) v.voxels[i] = i % 4 == 0 ? 80.0f : i % 3;
  const auto facts = measure_facts(v);
  CHECK(facts.signal == 80);
  CHECK(facts.maximum == 80);
  for (std::int64_t i = 0; i < v.voxels.size(); ++i) CHECK(facts.foreground[i] == (i % 4 == 0));
  CHECK(facts.otsu_threshold > 2);
  CHECK(facts.otsu_threshold < 80);
}

TEST_CASE("the peak is the 99.9th percentile (type 7)") {
  Volume v = two_d({1, 1, 40, 50});
  for (std::int64_t i = 0; i < 2000; ++i) v.voxels[i] = static_cast<float>((i * 7) % 2000);
  CHECK(measure_facts(v).peak == doctest::Approx(0.999 * 1999));
}

TEST_CASE("facts of a complex image are those of its magnitude") {
  const auto real = two_d();
  const auto facts = measure_facts(real), of_complex = measure_facts(with_phase(real));
  CHECK(of_complex.signal == doctest::Approx(facts.signal).epsilon(1e-6));
  CHECK(of_complex.foreground == facts.foreground);
}

TEST_CASE("an image without a foreground cannot be corrupted, but left alone") {
  for (const float value : {0.0f, 5.0f}) {
    Volume v = two_d({1, 2, 8, 8});
    std::fill(v.voxels.begin(), v.voxels.end(), value);
    const auto facts = measure_facts(v);
    for (const auto& artifact : study) {
      CHECK_THROWS_WITH_AS(
          corrupt(v, recipe({artifact + ":1"}), facts, {}),
          (std::string("no foreground: every voxel is ") + (value > 0 ? "5" : "0")).c_str(),
          mr::DataError);
      CHECK_NOTHROW(corrupt(v, recipe({artifact + ":0"}), facts, {}));
    }
  }
}

TEST_CASE("the faintest and the strongest voxels are counted or refused, never lost") {
  auto v = two_d();
  for (auto& x : v.voxels) x *= 1e-42f;
  CHECK_NOTHROW(measure_facts(v));
  CHECK_THROWS_WITH_AS(corrupt(v, recipe({"motion:1"}), measure_facts(v), {}),
                       doctest::Contains("intensities out of range"), mr::DataError);
  auto complex_image = two_d();
  complex_image.complex_voxels = mr::Array<mr::image::Complex>(complex_image.voxels.shape());
  complex_image.voxels = {};
  complex_image.complex_voxels[3] = {3e38f, 3e38f};  // finite, but its magnitude is not
  CHECK_THROWS_WITH_AS(measure_facts(complex_image), doctest::Contains("too large"), mr::DataError);
}

TEST_CASE("a signed image is the real part of a complex one, until the export") {
  auto v = two_d();
  for (auto& x : v.voxels) x -= 300;
  const auto facts = measure_facts(v);
  for (const std::string step : {"motion:3", "rician:3", "bias:3", "undersampling:3", "spike:2"}) {
    CAPTURE(step);
    auto real = v;
    corrupt(real, recipe({step}), facts, {});
    auto complex_image = v;
    complex_image.complex_voxels = mr::Array<mr::image::Complex>(v.shape());
    for (std::int64_t i = 0; i < v.voxels.size(); ++i)
      complex_image.complex_voxels[i] = v.voxels[i];
    complex_image.voxels = {};
    corrupt(complex_image, recipe({step}), measure_facts(complex_image), {});
    for (std::int64_t i = 0; i < v.voxels.size(); ++i)
      REQUIRE(real.voxels[i] ==
              doctest::Approx(complex_image.complex_voxels[i].real()).epsilon(1e-4).scale(1000));
  }
  for (const std::string step : {"gamma:2", "jpeg:2", "window:2"})
    CHECK_THROWS_WITH_AS(corrupt(v, recipe({step}), facts, {}), doctest::Contains("signed voxels"),
                         mr::DataError);
}

// ---- all artifacts ----

TEST_CASE("severity 0 and strength 0 return the input bit for bit") {
  for (const auto& image : {two_d(), three_d(), with_phase(two_d())})
    for (const std::string step :
         {"rician:0", "motion:0", "ghosting:0", "spike:0", "bias:0", "rician,snr=inf",
          "motion:3,events=0", "motion:3,translation_mm=0,rotation_deg=0", "ghosting,modulation=0",
          "spike,amplitude=0", "bias,log_std=0", "ref-rician:0"}) {
      CAPTURE(step);
      const auto result = corrupted(image, step);
      CHECK(same_bits(result.volume, image));
      CHECK(result.record[0]["slices"] == "none");
    }
}

TEST_CASE("every artifact acts on every slice, and gives finite magnitudes") {
  for (const auto& image : {two_d(), three_d()})
    for (const auto& artifact : study) {
      CAPTURE(artifact);
      const auto result = corrupted(image, artifact + ":3");
      CHECK(result.record[0]["slices"] == "all");
      const auto plane = image.voxels.shape(2) * image.voxels.shape(3);
      for (std::int64_t slice = 0; slice < image.voxels.shape(1); ++slice) {
        bool changed = false;
        for (auto i = slice * plane; i < (slice + 1) * plane; ++i) {
          REQUIRE(std::isfinite(result.volume.voxels[i]));
          REQUIRE(result.volume.voxels[i] >= 0);
          changed |= result.volume.voxels[i] != image.voxels[i];
        }
        CHECK(changed);
      }
    }
}

TEST_CASE("a complex image stays complex") {
  for (const auto& artifact : study) {
    const auto result = corrupted(with_phase(two_d()), artifact + ":2");
    CHECK(result.volume.is_complex());
    CHECK(result.volume.voxels.empty());
  }
}

TEST_CASE("seed, unit and epoch decide the draw; nothing else does") {
  const auto image = two_d();
  const auto facts = measure_facts(image);
  for (const auto& artifact : study) {
    CAPTURE(artifact);
    const auto r = recipe({artifact + ":3"});
    const auto run = [&](const Draw& draw) {
      auto v = image;
      corrupt(v, r, facts, draw);
      return v;
    };
    const auto first = run({1, "a", std::nullopt});
    CHECK(same_bits(run({1, "a", std::nullopt}), first));
    CHECK(!same_bits(run({2, "a", std::nullopt}), first));
    CHECK(!same_bits(run({1, "b", std::nullopt}), first));
    CHECK(!same_bits(run({1, "a", 0}), first));
    CHECK(!same_bits(run({1, "a", 0}), run({1, "a", 1})));
  }
}

TEST_CASE("the number of threads does not change a bit") {
  const auto all = recipe({"bias:3", "motion:5", "ghosting:3", "rician:3", "spike:3"});
  for (const auto& image : {two_d(), three_d()}) {
    const auto one = corrupted(image, all, 1, "a", 1);
    CHECK(same_bits(corrupted(image, all, 1, "a", 2).volume, one.volume));
    CHECK(same_bits(corrupted(image, all, 1, "a", 12).volume, one.volume));
  }
}

TEST_CASE("a slice alone has the bits it has within its volume, along any axis") {
  const auto all = recipe({"bias:3", "motion:4", "ghosting:3", "rician:3", "spike:3"});
  for (const int slice_axis : {0, 1, 2})
    for (const int phase_axis : {0, 1, 2}) {
      if (phase_axis == slice_axis) continue;
      CAPTURE(slice_axis);
      CAPTURE(phase_axis);
      auto image = phantom({1, 12, 13, 14});
      image.acquisition.mode = Mode::two_d;
      image.acquisition.slice_axis = slice_axis;
      image.acquisition.phase_encode_axis = phase_axis;
      const auto facts = measure_facts(image);
      REQUIRE(in_plane(all, image));
      auto whole = image;
      corrupt(whole, all, facts, {1, "a", std::nullopt});
      for (const std::int64_t slice : {0, 5, 11}) {
        auto alone = image;
        samples::corrupt_slice(alone, slice, all, facts, {1, "a", std::nullopt});
        for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
          const std::array<std::int64_t, 3> at{i % 14, i / 14 % 13, i / 14 / 13};
          const bool in_slice = at[static_cast<std::size_t>(slice_axis)] == slice;
          REQUIRE(alone.voxels[i] == (in_slice ? whole.voxels[i] : image.voxels[i]));
        }
      }
    }
}

TEST_CASE("in 3-D only motion needs the volume") {
  const auto image = three_d();
  const auto facts = measure_facts(image);
  CHECK(!in_plane(recipe({"bias", "motion"}), image));
  const auto local = recipe({"bias:3", "ghosting:3", "rician:3", "spike:3"});
  REQUIRE(in_plane(local, image));
  auto whole = image, alone = image;
  corrupt(whole, local, facts, {});
  samples::corrupt_slice(alone, 4, local, facts, {});
  const auto plane = 24 * 15;
  CHECK(std::equal(alone.voxels.begin() + 4 * plane, alone.voxels.begin() + 5 * plane,
                   whole.voxels.begin() + 4 * plane));
  const auto in_order = corrupt_slices(image, {9, 4}, local, facts, {});
  CHECK(in_order.shape() == mr::Shape{1, 2, 24, 15});
  for (const int i : {0, 1})
    CHECK(std::equal(in_order.voxels.begin() + i * plane, in_order.voxels.begin() + (i + 1) * plane,
                     whole.voxels.begin() + (i == 0 ? 9 : 4) * plane));
  CHECK_THROWS_AS(corrupt_slices(image, {4}, recipe({"motion"}), facts, {}), mr::DataError);
  CHECK_THROWS_WITH_AS(corrupt_slices(image, {4, 17}, local, facts, {}), "slice 17: want 0..16",
                       mr::DataError);
}

TEST_CASE("a brighter image is corrupted alike: gain equivariance") {
  const auto all = recipe({"bias:3", "motion:4", "ghosting:3", "rician:3", "spike:3"});
  for (const double gain : {1e3, 1e-9}) {
    CAPTURE(gain);
    auto bright = two_d();
    for (auto& x : bright.voxels) x = static_cast<float>(gain * static_cast<double>(x));
    const auto plain = corrupted(two_d(), all), scaled = corrupted(bright, all);
    CHECK(distance(plain.volume, scaled.volume, gain) < 3e-6 * norm(scaled.volume));
  }
}

TEST_CASE("damage grows with severity: levels scale one draw") {
  for (const auto& artifact : study)
    for (const bool volumetric : {false, true}) {
      CAPTURE(artifact);
      CAPTURE(volumetric);
      const auto image = volumetric ? three_d() : two_d();
      const auto facts = measure_facts(image);
      double before = 0;
      for (int level = 1; level <= 5; ++level) {
        double sum = 0;
        for (const std::string unit : {"a", "b", "c", "d", "e", "f"})
          sum += compare(image,
                         corrupted(image, artifact + ":" + std::to_string(level), 1, unit).volume,
                         facts)
                     .nrmse;
        CHECK(sum > before);
        before = sum;
      }
    }
}

TEST_CASE("frames are corrupted each on its own; a second step of a name draws anew") {
  auto image = two_d({2, 3, 16, 18});
  const auto half = image.voxels.size() / 2;
  std::copy_n(image.voxels.begin(), half, image.voxels.begin() + half);
  for (const auto& artifact : study) {
    CAPTURE(artifact);
    const auto result = corrupted(image, artifact + ":3");
    CHECK(result.record[0]["drawn"].size() == 2);
    CHECK(!std::equal(result.volume.voxels.begin(), result.volume.voxels.begin() + half,
                      result.volume.voxels.begin() + half));
  }
  const auto twice = corrupted(two_d(), recipe({"spike:2", "spike:2"})).record;
  CHECK(twice[0]["drawn"]["phase_rad"] != twice[1]["drawn"]["phase_rad"]);
}

TEST_CASE("an order that is not that of the physics is allowed and flagged") {
  const auto physical = corrupted(two_d(), recipe({"bias:1", "motion:1", "rician:1"})).record;
  for (const auto& step : physical) CHECK(!step.contains("order"));
  const auto other = corrupted(two_d(), recipe({"rician:1", "motion:1", "rician:1"})).record;
  CHECK(!other[0].contains("order"));
  CHECK(other[1]["order"] == "as given, not physical");
  CHECK(!other[2].contains("order"));
}

TEST_CASE("the record says what was done, with the values and the roles of the axes") {
  auto image = two_d();
  image.acquisition.phase_encode_axis.reset();
  const auto step = corrupted(image, "motion:4").record[0];
  CHECK(step["artifact"] == "motion");
  CHECK(step["severity"] == 4.0);
  CHECK(step["parameters"] ==
        Json({{"translation_mm", 2.0}, {"rotation_deg", 2.0}, {"events", 3.0}}));
  CHECK(step["mode"] == "2d");
  CHECK(step["phase_encode_axis"] == "j");
  CHECK(step["assumed"] == Json::array({"phase_encode_axis"}));
  CHECK(step["drawn"]["events"].size() == 3);
}

// ---- Rician noise ----

namespace {

/// Rice distribution function by numerical integration of its density (Gudbjartsson and Patz 1995,
/// eq. 2), sigma = 1, tabulated on [0, a + 8].
std::vector<double> rice_cdf(double a, double step) {
  std::vector<double> cdf = {0};
  const auto density = [&](double m) {
    return m * std::exp(-0.5 * (m - a) * (m - a)) * std::exp(-a * m) * std::cyl_bessel_i(0, a * m);
  };
  for (double m = 0; m < a + 8; m += step)
    cdf.push_back(cdf.back() +
                  step / 6 * (density(m) + 4 * density(m + step / 2) + density(m + step)));
  return cdf;
}

}  // namespace

TEST_CASE("noise on a magnitude image follows the Rice distribution") {
  auto image = two_d({1, 4, 100, 100});
  const auto facts = [&] {
    for (std::int64_t i = 0; i < image.voxels.size(); ++i)
      image.voxels[i] = i % 100 < 50 ? 0.0f : 100.0f;
    return measure_facts(image);
  }();
  REQUIRE(facts.signal == 100);
  const auto noisy = corrupted(image, "rician,snr=4");
  const double sigma = 25, n = 20000;
  CHECK(noisy.record[0]["drawn"]["sigma"] == sigma);
  for (const double amplitude : {0.0, 100.0}) {
    CAPTURE(amplitude);
    std::vector<double> m;
    for (std::int64_t i = 0; i < image.voxels.size(); ++i)
      if (static_cast<double>(image.voxels[i]) == amplitude)
        m.push_back(static_cast<double>(noisy.volume.voxels[i]));
    REQUIRE(m.size() == 20000);
    double mean = 0, square = 0;
    for (const double x : m) {
      mean += x / n;
      square += x * x / n;
    }
    // Var[M^2] = 4 A^2 s^2 + 4 s^4.
    const double a2 = amplitude * amplitude, s2 = sigma * sigma;
    CHECK(std::fabs(square - (a2 + 2 * s2)) < 4 * std::sqrt((4 * a2 * s2 + 4 * s2 * s2) / n));
    if (amplitude == 0) {
      CHECK(std::fabs(mean - sigma * std::sqrt(pi / 2)) < 4 * 0.655 * sigma / std::sqrt(n));
      CHECK(std::sqrt(square - mean * mean) == doctest::Approx(0.655 * sigma).epsilon(0.03));
    }
    // Kolmogorov and Smirnov at the 0.1 % level: 1.95 / sqrt(n).
    const double step = 0.01;
    const auto cdf = rice_cdf(amplitude / sigma, step);
    std::sort(m.begin(), m.end());
    double largest = 0;
    for (std::size_t i = 0; i < m.size(); ++i) {
      const double at = m[i] / sigma / step;
      const auto below = std::min(static_cast<std::size_t>(at), cdf.size() - 2);
      const double p =
          cdf[below] + (at - static_cast<double>(below)) * (cdf[below + 1] - cdf[below]);
      largest = std::max(largest, std::fabs(p - (static_cast<double>(i) + 0.5) / n));
    }
    CHECK(largest < 1.95 / std::sqrt(n));
  }
}

TEST_CASE("noise on a complex image is Gaussian, white, alike in both parts") {
  const auto image = with_phase(two_d({1, 2, 64, 64}));
  const auto noisy = corrupted(image, "rician:4").volume;
  const double sigma = measure_facts(image).signal / 8, n = 2 * 64 * 64;
  double re = 0, im = 0, cross = 0, neighbour = 0;
  for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
    const auto d = noisy.complex_voxels[i] - image.complex_voxels[i];
    re += static_cast<double>(d.real() * d.real()) / n;
    im += static_cast<double>(d.imag() * d.imag()) / n;
    cross += static_cast<double>(d.real() * d.imag()) / n;
    if (i > 0)
      neighbour +=
          static_cast<double>(d.real() *
                              (noisy.complex_voxels[i - 1] - image.complex_voxels[i - 1]).real()) /
          n;
  }
  const double variance = sigma * sigma, four_sd = 4 * variance * std::sqrt(2 / n);
  CHECK(std::fabs(re - variance) < four_sd);
  CHECK(std::fabs(im - variance) < four_sd);
  CHECK(std::fabs(cross) < four_sd);
  CHECK(std::fabs(neighbour) < four_sd);
}

// ---- spikes ----

TEST_CASE("a spike adds a plane wave of modulus a S: one sample of each slice's k-space") {
  const auto image = with_phase(two_d());
  const auto result = corrupted(image, "spike:3");
  const double wave = 0.15 * measure_facts(image).signal;
  const auto& drawn = result.record[0]["drawn"];
  CHECK(drawn["amplitude"].get<double>() == doctest::Approx(wave));
  auto difference = result.volume.complex_voxels;
  for (std::int64_t i = 0; i < difference.size(); ++i) {
    difference[i] -= image.complex_voxels[i];
    CHECK(static_cast<double>(std::abs(difference[i])) == doctest::Approx(wave).epsilon(1e-5));
  }
  to_kspace(difference, {1, 2});
  REQUIRE(drawn["k_readout"].size() == 6);
  for (std::int64_t slice = 0; slice < 6; ++slice) {
    const auto s = static_cast<std::size_t>(slice);
    const auto y = drawn["k_phase_encode"][s].get<std::int64_t>(),
               x = drawn["k_readout"][s].get<std::int64_t>();
    CHECK(std::hypot(y, x) >= 8);  // a quarter of 35
    const double phase = drawn["phase_rad"][s].get<double>();
    const auto want = std::polar(wave * std::sqrt(24.0 * 35), phase);
    const auto got = difference[(slice * 24 + y + 12) * 35 + x + 17];
    CHECK(std::abs(std::complex<double>(got) - want) < 1e-5 * std::abs(want));
  }
  CHECK(drawn["phase_rad"][0] != drawn["phase_rad"][1]);
}

TEST_CASE("in 3-D one spike crosses all slices with a phase of its own") {
  const auto image = with_phase(three_d());
  const auto result = corrupted(image, "spike:3");
  auto difference = result.volume.complex_voxels;
  for (std::int64_t i = 0; i < difference.size(); ++i) difference[i] -= image.complex_voxels[i];
  to_kspace(difference, {0, 1, 2});
  std::int64_t large = 0;
  const double wave = 0.15 * measure_facts(image).signal * std::sqrt(17.0 * 24 * 15);
  for (const auto& k : difference) large += static_cast<double>(std::abs(k)) > 1e-4 * wave;
  CHECK(large == 1);
  CHECK(result.record[0]["drawn"]["k_slice"].size() == 1);
}

TEST_CASE("spikes keep away from the centre of k-space, and reach the rest") {
  std::int64_t nearest = 1000, farthest = 0;
  const auto image = two_d({1, 40, 48, 64});
  for (const std::string unit : {"a", "b", "c", "d", "e"}) {
    const auto record = corrupted(image, "spike:1", 1, unit).record;
    const auto& drawn = record[0]["drawn"];
    for (std::size_t s = 0; s < 40; ++s) {
      const auto y = drawn["k_phase_encode"][s].get<std::int64_t>(),
                 x = drawn["k_readout"][s].get<std::int64_t>();
      nearest = std::min(nearest, y * y + x * x);
      farthest = std::max(farthest, std::abs(x));
    }
  }
  CHECK(nearest >= 100);
  CHECK(nearest < 144);
  CHECK(farthest >= 30);
}

// ---- ghosts ----

TEST_CASE("ghosting adds copies of m / 2 at plus and minus N / n, and keeps the image") {
  auto image = with_phase(two_d({1, 2, 40, 21}));
  const auto result = corrupted(image, "ghosting:4");  // n = 5: copies 8 voxels off
  const double phase = result.record[0]["drawn"]["phase_rad"].get<double>();
  const auto half = std::complex<float>(std::polar(0.2, phase));
  double error = 0;
  for (std::int64_t i = 0; i < image.complex_voxels.size(); ++i) {
    const auto y = i / 21 % 40, rest = i - y * 21;
    const auto below = image.complex_voxels[rest + (y + 8) % 40 * 21],
               above = image.complex_voxels[rest + (y + 32) % 40 * 21];
    // exp(2 pi i k / n) is a shift to the lower index by N / n.
    const auto want = image.complex_voxels[i] + half * below + std::conj(half) * above;
    error = std::max(error, static_cast<double>(std::abs(result.volume.complex_voxels[i] - want)));
  }
  CHECK(error < 1e-5 * 1000);
}

TEST_CASE("ghosting multiplies lines by 1 + m cos(2 pi y / n + phase), for any length and axis") {
  for (const int phase_axis : {0, 1}) {
    auto image = with_phase(two_d({1, 1, 33, 26}));
    image.acquisition.phase_encode_axis = phase_axis;
    const auto result = corrupted(image, "ghosting:5,period_lines=3.7");
    const double phase = result.record[0]["drawn"]["phase_rad"].get<double>();
    auto before = image.complex_voxels, after = result.volume.complex_voxels;
    to_kspace(before, {1, 2});
    to_kspace(after, {1, 2});
    double error = 0;
    for (std::int64_t i = 0; i < before.size(); ++i) {
      const auto line = phase_axis == 1 ? i / 26 - 16 : i % 26 - 13;
      const double weight = 1 + 0.6 * std::cos(2 * pi * static_cast<double>(line) / 3.7 + phase);
      error += std::norm(std::complex<double>(after[i]) - weight * std::complex<double>(before[i]));
    }
    CHECK(std::sqrt(error) < 2e-6 * norm(image));
  }
}

// ---- motion ----

TEST_CASE("translations keep the energy of every line of k-space") {
  const auto image = with_phase(two_d({1, 2, 35, 27}));  // odd: no unpaired frequency
  const auto moved = corrupted(image, "motion:5,rotation_deg=0").volume;
  auto before = image.complex_voxels, after = moved.complex_voxels;
  CHECK(distance(moved, image) > 0.05 * norm(image));
  to_kspace(before, {1});
  to_kspace(after, {1});
  for (std::int64_t line = 0; line < 70; ++line) {
    double a = 0, b = 0;
    for (std::int64_t x = 0; x < 27; ++x) {
      a += static_cast<double>(std::norm(before[line * 27 + x]));
      b += static_cast<double>(std::norm(after[line * 27 + x]));
    }
    CHECK(b == doctest::Approx(a).epsilon(1e-5));
  }
}

TEST_CASE("lines of the shot that holds the centre of k-space stay as they are") {
  const auto image = with_phase(two_d({1, 1, 35, 27}));
  const auto result = corrupted(image, "motion:5");
  const auto& drawn = result.record[0]["drawn"];
  const auto shots = drawn["shots"].get<std::int64_t>();
  CHECK(shots == 5);
  auto before = image.complex_voxels, after = result.volume.complex_voxels;
  to_kspace(before, {1});
  to_kspace(after, {1});
  double still = 0, moved = 0;
  for (std::int64_t i = 0; i < before.size(); ++i)
    (i / 27 % shots == 17 % shots ? still : moved) +=
        static_cast<double>(std::norm(after[i] - before[i]));
  CHECK(std::sqrt(still) < 1e-5 * norm(image));
  CHECK(std::sqrt(moved) > 0.02 * norm(image));
}

TEST_CASE("events of a lower severity are those of a higher one, scaled") {
  const auto image = three_d();
  const auto weak = corrupted(image, "motion:2").record[0]["drawn"]["events"],
             strong = corrupted(image, "motion:5").record[0]["drawn"]["events"],
             between = corrupted(image, "motion,events=1.5,translation_mm=4,rotation_deg=4")
                           .record[0]["drawn"]["events"];
  REQUIRE(weak.size() == 2);
  REQUIRE(strong.size() == 4);
  REQUIRE(between.size() == 2);
  for (std::size_t e = 0; e < 2; ++e) {
    CHECK(weak[e]["shot"] == strong[e]["shot"]);
    for (const char* kind : {"translation_mm", "rotation_deg"})
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const double full = strong[e][kind][axis].get<double>();
        CHECK(weak[e][kind][axis].get<double>() == doctest::Approx(full / 8));
        CHECK(between[e][kind][axis].get<double>() == doctest::Approx(e == 0 ? full : full / 2));
        CHECK(std::fabs(full) <= 4);
        CHECK(full != 0);
      }
  }
}

TEST_CASE("in 2-D the patient moves within the slice") {
  const auto record = corrupted(two_d(), "motion:5").record;
  for (const auto& event : record[0]["drawn"]["events"]) {
    CHECK(event["translation_mm"][2] == 0.0);
    CHECK(event["translation_mm"][0] != 0.0);
    CHECK(event["rotation_deg"][0] == 0.0);
    CHECK(event["rotation_deg"][1] == 0.0);
    CHECK(event["rotation_deg"][2] != 0.0);
  }
}

TEST_CASE("the echo train of the acquisition makes the shots; a single shot does not move") {
  auto image = two_d();
  image.acquisition.echo_train = 6;
  auto result = corrupted(image, "motion:3");
  CHECK(result.record[0]["drawn"]["shots"] == 4);
  CHECK(!result.record[0]["drawn"].contains("echo_train_assumed"));
  image.acquisition.echo_train = 24;
  result = corrupted(image, "motion:3");
  CHECK(result.record[0]["drawn"]["events"].empty());
  CHECK(same_bits(result.volume, image));
}

// ---- bias ----

TEST_CASE("the bias keeps the foreground's sum and has the asked log standard deviation") {
  for (const auto& image : {two_d(), three_d()})
    for (int level = 1; level <= 5; ++level) {
      CAPTURE(level);
      const auto facts = measure_facts(image);
      const auto result = corrupted(image, "bias:" + std::to_string(level)).volume;
      double before = 0, after = 0, n = 0, sum = 0, squares = 0;
      for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
        if (!facts.foreground[i]) continue;
        before += static_cast<double>(image.voxels[i]);
        after += static_cast<double>(result.voxels[i]);
        const double log_bias =
            std::log(static_cast<double>(result.voxels[i]) / static_cast<double>(image.voxels[i]));
        n += 1;
        sum += log_bias;
        squares += log_bias * log_bias;
      }
      CHECK(after == doctest::Approx(before).epsilon(1e-6));
      CHECK(std::sqrt(squares / n - sum / n * sum / n) ==
            doctest::Approx(find("bias").parameters[0].levels[static_cast<std::size_t>(level - 1)])
                .epsilon(1e-5));
    }
}

TEST_CASE("the log field is the recorded Legendre polynomial, without a constant but the offset") {
  const auto image = two_d();
  const auto result = corrupted(image, "bias:5");
  const auto& drawn = result.record[0]["drawn"];
  REQUIRE(drawn["legendre"].size() == 19);
  const auto p = [](std::int64_t order, std::int64_t index, std::int64_t n) {
    const double u = 2.0 * static_cast<double>(index) / static_cast<double>(n - 1) - 1;
    return std::legendre(static_cast<unsigned>(order), u);
  };
  double error = 0;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
    double log_bias = drawn["log_offset"].get<double>();
    for (const auto& term : drawn["legendre"]) {
      CHECK(term[0].get<int>() + term[1].get<int>() + term[2].get<int>() >= 1);
      log_bias += term[3].get<double>() * p(term[0].get<int>(), i % 35, 35) *
                  p(term[1].get<int>(), i / 35 % 24, 24) * p(term[2].get<int>(), i / 35 / 24, 6);
    }
    const double bias =
        static_cast<double>(result.volume.voxels[i]) / static_cast<double>(image.voxels[i]);
    error = std::max(error, std::fabs(bias / std::exp(log_bias) - 1));
  }
  CHECK(error < 5e-6);
}

TEST_CASE("the field of the volume does not depend on which axis is called what") {
  auto image = two_d();
  const auto one = corrupted(image, "bias:3").volume;
  image.acquisition.slice_axis = 0;
  image.acquisition.phase_encode_axis = 2;
  CHECK(distance(corrupted(image, "bias:3").volume, one) < 1e-6 * norm(one));
}

// ---- the published parametrisation ----

TEST_CASE("the preset names rows of the catalogue that are not in the study's grid") {
  const auto r = parse_preset("mri-robustness:5", {"bias", "rician"});
  REQUIRE(r.steps.size() == 2);
  CHECK(r.steps[0].artifact == "ref-bias");
  CHECK(r.steps[0].parameters == Values{{"percent", 5}});
  CHECK(!find("ref-rician").in_study);
}

TEST_CASE("a wrong preset is a usage error") {
  CHECK_THROWS_AS(parse_preset("nothing:5", {"rician"}), mr::UsageError);
  CHECK_THROWS_AS(parse_preset("mri-robustness:2.5", {"rician"}), mr::UsageError);
  CHECK_THROWS_AS(parse_preset("mri-robustness:-1", {"rician"}), mr::UsageError);
  CHECK_THROWS_AS(parse_preset("mri-robustness", {"rician"}), mr::UsageError);
  CHECK_THROWS_WITH_AS(parse_preset("mri-robustness:5", {"rician:3"}),
                       "--preset mri-robustness: unknown artifact 'rician:3'; did you mean "
                       "'rician'?",
                       mr::UsageError);
}

TEST_CASE("zero percent is the identity; each slice gets a draw of its own") {
  const auto image = two_d();
  for (const auto& artifact : study) {
    CAPTURE(artifact);
    CHECK(same_bits(corrupted(image, parse_preset("mri-robustness:0", {artifact})).volume, image));
    const auto r = parse_preset("mri-robustness:1", {artifact});
    const auto whole = corrupted(image, r).volume;
    CHECK(!same_bits(whole, image));
    auto alone = image;
    samples::corrupt_slice(alone, 2, r, measure_facts(image), {1, "a", std::nullopt});
    CHECK(std::equal(alone.voxels.begin() + 2 * 840, alone.voxels.begin() + 3 * 840,
                     whole.voxels.begin() + 2 * 840));
  }
}

TEST_CASE("published noise is N percent of the slice's maximum") {
  auto image = two_d({1, 1, 100, 100});
  std::fill(image.voxels.begin(), image.voxels.end(), 0.0f);
  image.voxels[0] = 200;
  const auto noisy = corrupted(image, parse_preset("mri-robustness:10", {"rician"})).volume;
  double square = 0;
  for (std::int64_t i = 1; i < 10000; ++i)
    square += static_cast<double>(noisy.voxels[i] * noisy.voxels[i]) / 9999;
  CHECK(square == doctest::Approx(2 * 20 * 20).epsilon(0.04));  // E[M^2] = 2 sigma^2, 4 sd
}

TEST_CASE("a published spike is a cosine of up to N times the mean; its sign is kept") {
  const auto image = two_d({1, 60, 20, 22});
  const auto spiked = corrupted(image, parse_preset("mri-robustness:3", {"spike"})).volume;
  int untouched = 0;
  bool negative = false;
  for (std::int64_t slice = 0; slice < 60; ++slice) {
    double mean = 0, largest = 0;
    for (auto i = slice * 440; i < (slice + 1) * 440; ++i) {
      mean += static_cast<double>(image.voxels[i]) / 440;
      largest =
          std::max(largest, static_cast<double>(std::fabs(spiked.voxels[i] - image.voxels[i])));
      negative |= spiked.voxels[i] < 0;
    }
    CHECK(largest <= 3.0001 * mean);
    untouched += largest == 0;
  }
  CHECK(negative);
  CHECK(untouched > 15);  // none or one spike, alike
  CHECK(untouched < 45);
}

TEST_CASE("published ghosts keep the mean, since the central line is spared") {
  const auto image = two_d({1, 30, 20, 23});
  const auto ghosted = corrupted(image, parse_preset("mri-robustness:2", {"ghosting"})).volume;
  for (std::int64_t slice = 0; slice < 30; ++slice) {
    const auto* a = image.voxels.data() + slice * 460;
    const auto* b = ghosted.voxels.data() + slice * 460;
    CHECK(std::accumulate(b, b + 460, 0.0) ==
          doctest::Approx(std::accumulate(a, a + 460, 0.0)).epsilon(1e-5));
  }
}

TEST_CASE("published motion moves the slice as a whole: what stays in view keeps its values") {
  auto image = two_d({1, 1, 40, 40});
  std::fill(image.voxels.begin(), image.voxels.end(), 3.0f);
  for (std::int64_t y = 10; y < 14; ++y)
    for (std::int64_t x = 10; x < 14; ++x) image.voxels[y * 40 + x] = 100;
  const auto moved = corrupted(image, parse_preset("mri-robustness:1", {"motion"})).volume;
  double sum = 0;
  for (const float x : moved.voxels) {
    CHECK(x >= 3);
    CHECK(x <= 100);
    sum += static_cast<double>(x - 3);
  }
  CHECK(!same_bits(moved, image));
  CHECK(sum == doctest::Approx(16 * 97).epsilon(0.02));
}

TEST_CASE("a published bias beyond the largest float is bad data, not an infinity") {
  CHECK_THROWS_AS(corrupted(two_d(), parse_preset("mri-robustness:100", {"bias"})), mr::DataError);
}

// ---- fidelity ----

namespace {

/// Uniform windows cut at the edges, one by one, in double precision.
double slow_ssim(const Volume& x, const Volume& y, const Facts& facts) {
  const auto depth = x.voxels.shape(1), rows = x.voxels.shape(2), columns = x.voxels.shape(3);
  const double c1 = std::pow(0.01 * facts.peak, 2), c2 = std::pow(0.03 * facts.peak, 2);
  double total = 0, count = 0;
  for (std::int64_t z = 0; z < depth; ++z)
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c) {
        double n = 0, mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
        bool near = false;
        for (auto v = std::max<std::int64_t>(0, r - 3); v <= std::min(rows - 1, r + 3); ++v)
          for (auto u = std::max<std::int64_t>(0, c - 3); u <= std::min(columns - 1, c + 3); ++u) {
            const auto at = (z * rows + v) * columns + u;
            const auto a = static_cast<double>(x.voxels[at]), b = static_cast<double>(y.voxels[at]);
            near |= facts.foreground[at] != 0;
            n += 1;
            mx += a;
            my += b;
            xx += a * a;
            yy += b * b;
            xy += a * b;
          }
        if (!near) continue;
        mx /= n;
        my /= n;
        const double vx = xx / n - mx * mx, vy = yy / n - my * my, cov = xy / n - mx * my;
        total += (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2));
        count += 1;
      }
  return total / count;
}

}  // namespace

TEST_CASE("an image is perfectly faithful to itself") {
  const auto image = two_d();
  const auto f = compare(image, image, measure_facts(image));
  CHECK(f.gain == 1);
  CHECK(f.nrmse == 0);
  CHECK(f.nrmse_matched == 0);
  CHECK(f.affine_residual < 1e-8);
  CHECK(std::isinf(f.psnr_db));
  CHECK(f.ssim == doctest::Approx(1).epsilon(1e-5));
  CHECK(to_json(f)["psnr_db"].is_null());
}

TEST_CASE("a gain and an offset are told from structure") {
  const auto image = two_d();
  const auto facts = measure_facts(image);
  auto y = image;
  for (auto& x : y.voxels) x *= 1.25f;
  auto f = compare(image, y, facts);
  CHECK(f.gain == doctest::Approx(1.25).epsilon(1e-6));
  CHECK(f.nrmse == doctest::Approx(0.25).epsilon(1e-6));
  CHECK(f.nrmse_matched < 1e-6);
  for (auto& x : y.voxels) x += 200;
  f = compare(image, y, facts);
  CHECK(f.nrmse_matched > 0.01);
  CHECK(f.affine_residual < 1e-6);
  for (auto& x : y.voxels) x = -x;
  CHECK(std::isnan(compare(image, y, facts).nrmse_matched));
}

TEST_CASE("fidelity is that of the foreground, by its definitions") {
  const auto image = two_d();
  const auto facts = measure_facts(image);
  const auto y = corrupted(image, recipe({"bias:2", "rician:3"})).volume;
  const auto f = compare(image, y, facts);
  double n = 0, xx = 0, xy = 0, dd = 0;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
    if (!facts.foreground[i]) continue;
    const auto a = static_cast<double>(image.voxels[i]), b = static_cast<double>(y.voxels[i]);
    n += 1;
    xx += a * a;
    xy += a * b;
    dd += (a - b) * (a - b);
  }
  const double g = xy / xx;
  double matched = 0;
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    if (facts.foreground[i])
      matched +=
          std::pow(static_cast<double>(y.voxels[i]) / g - static_cast<double>(image.voxels[i]), 2);
  CHECK(f.gain == doctest::Approx(g).epsilon(1e-9));
  CHECK(f.nrmse == doctest::Approx(std::sqrt(dd / xx)).epsilon(1e-9));
  CHECK(f.nrmse_matched == doctest::Approx(std::sqrt(matched / xx)).epsilon(1e-9));
  CHECK(f.psnr_db == doctest::Approx(20 * std::log10(facts.peak / std::sqrt(dd / n))));
  CHECK(f.affine_residual <= f.nrmse_matched * f.gain);
  CHECK(f.ssim == doctest::Approx(slow_ssim(image, y, facts)).epsilon(1e-5));
  CHECK(f.ssim < 0.99);
}

TEST_CASE("SSIM of a small slice cuts its windows at the edges") {
  const auto image = two_d({1, 3, 5, 4});
  const auto facts = measure_facts(image);
  const auto y = corrupted(image, "rician:4").volume;
  CHECK(compare(image, y, facts).ssim == doctest::Approx(slow_ssim(image, y, facts)).epsilon(1e-5));
}

TEST_CASE("images of different sizes are not compared") {
  const auto image = two_d();
  CHECK_THROWS_AS(compare(image, two_d({1, 6, 24, 36}), measure_facts(image)), mr::DataError);
}
