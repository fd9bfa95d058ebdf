#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "base/text.h"
#include "check.h"
#include "results/contrasts.h"
#include "stats/distribution.h"
#include "stats/multiplicity.h"

using namespace mr::results;
using doctest::Approx;
using mr::DataError;
using mr::Json;
using Kind = mr::results::Kind;

namespace {

/// A folder of its own for one test.
class Scratch {
 public:
  Scratch() {
    static int number = 0;
    folder_ = std::filesystem::temp_directory_path() /
              ("results_test." + std::to_string(::getpid()) + "." + std::to_string(number++));
    std::filesystem::create_directories(folder_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) const {
    const auto path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

 private:
  std::filesystem::path folder_;
};

Model model(const std::string& normalization, std::int64_t run,
            const std::string& adaptation = "") {
  Model m;
  m.normalization = normalization;
  m.adaptation = adaptation;
  m.run = run;
  m.id = arm(m) + "-s" + std::to_string(run);
  m.sha256 = normalization + std::to_string(run);
  m.thresholds = {0.5, 0.25};
  return m;
}

/// 30 subjects of 3 samples and two labels; one truth in twenty is unknown.
Header header(std::vector<Model> models) {
  Header h;
  h.models = std::move(models);
  h.labels = {"tear", "acl"};
  h.truth.resize(2);
  const auto key = mr::random_key(1, {"truth"});
  for (int p = 0; p < 30; ++p) {
    h.subjects.push_back("subject " + std::to_string(p));
    for (int s = 0; s < 3; ++s) {
      const auto n = h.sample_ids.size();
      h.sample_ids.push_back(std::to_string(p) + "/" + std::to_string(s));
      h.sample_subject.push_back(p);
      for (std::size_t l = 0; l < 2; ++l) {
        const double u = mr::uniform(key, 2 * n + l);
        h.truth[l].push_back(static_cast<std::int8_t>(u < 0.05 ? -1 : u < 0.4 ? 1 : 0));
      }
    }
  }
  h.notes = {"simulated"};
  h.provenance = {{{"tool", "mr-eval"}, {"version", "0"}, {"command", "mr-eval"}}};
  return h;
}

const std::vector<Condition> grid{{Kind::clean, "", 0},
                                  {Kind::artifact, "motion", 1},
                                  {Kind::artifact, "motion", 2},
                                  {Kind::artifact, "bias", 0.5}};

Result result(const Header& h, std::size_t m, const Condition& condition) {
  Result r;
  r.model = m;
  r.condition = condition;
  const auto key = mr::random_key(2, {h.models[m].id, name(condition)});
  for (std::size_t i = 0; i < h.labels.size() * h.sample_ids.size(); ++i) {
    const auto truth = h.truth[i / h.sample_ids.size()][i % h.sample_ids.size()];
    const double strength = 2 - 0.5 * condition.severity;
    r.scores.push_back(static_cast<float>(mr::normal(key, i) + (truth > 0 ? strength : 0)));
  }
  r.fidelity = {{"nrmse", condition.severity / 10}};
  measure(h, r);
  return r;
}

std::string evaluation(const Header& h, const std::vector<Condition>& conditions = grid) {
  std::string text;
  EvaluationWriter writer([&](std::string_view line) { text += line; }, h);
  for (std::size_t m = 0; m < h.models.size(); ++m)
    for (const auto& condition : conditions) writer.write(result(h, m, condition));
  writer.write(Thumbnail{grid[1], "0/1", std::string("\x89PNG\0\xff", 6)});
  writer.finish();
  return text;
}

std::string line(const std::string& text, int number) {
  std::size_t begin = 0;
  for (int i = 1; i < number; ++i) begin = text.find('\n', begin) + 1;
  return text.substr(begin, text.find('\n', begin) - begin);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// The message of the error that reading this file gives, without the path.
std::string message(const Scratch& scratch, const std::string& text) {
  const auto path = scratch.write("x.eval", text);
  try {
    read_evaluation(path, {});
  } catch (const DataError& e) {
    const std::string what = e.what();
    CHECK(what.compare(0, path.size() + 2, path + ": ") == 0);
    return what.substr(path.size() + 2);
  }
  return "no error";
}

std::string study_error(const std::vector<std::string>& paths) {
  try {
    Study study(paths);
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

mr::stats::Linearized direct(const Header& h, std::size_t m, const Condition& c,
                             std::size_t label) {
  return linearize(h, result(h, m, c))[label][static_cast<std::size_t>(Metric::auroc)];
}

}  // namespace

TEST_CASE("what is written is read back, bit for bit") {
  Scratch scratch;
  auto h = header({model("batch", 1), model("group(8)", 2)});
  h.models[1].thresholds[1] = {};
  h.attributes = {{"site", {"a", "b"}}};
  h.grid = {{"seed", 3}};
  const auto path = scratch.write("a.eval", evaluation(h));
  std::size_t results = 0, thumbnails = 0;
  Visitor visitor;
  visitor.header = [&](const Header& r) {
    CHECK(r.labels == h.labels);
    CHECK(r.sample_ids == h.sample_ids);
    CHECK(r.sample_subject == h.sample_subject);
    CHECK(r.subjects == h.subjects);
    CHECK(r.truth == h.truth);
    CHECK(r.attributes == h.attributes);
    CHECK(r.grid == h.grid);
    CHECK(r.notes == h.notes);
    CHECK(r.provenance == h.provenance);
    REQUIRE(r.models.size() == 2);
    CHECK(r.models[1].id == "group(8)-s2");
    CHECK(r.models[1].run == 2);
    CHECK(r.models[1].sha256 == "group(8)2");
    CHECK(r.models[1].thresholds == h.models[1].thresholds);
  };
  visitor.result = [&](Result&& r) {
    const auto want = result(h, results / grid.size(), grid[results % grid.size()]);
    CHECK(r.model == want.model);
    CHECK(r.condition == want.condition);
    CHECK(r.scores == want.scores);
    CHECK(r.influence == want.influence);
    CHECK(r.metrics == want.metrics);
    CHECK(r.fidelity == want.fidelity);
    ++results;
  };
  visitor.thumbnail = [&](Thumbnail&& t) {
    CHECK(t.condition == grid[1]);
    CHECK(t.sample_id == "0/1");
    CHECK(t.png == std::string("\x89PNG\0\xff", 6));
    ++thumbnails;
  };
  read_evaluation(path, visitor);
  CHECK(results == 8);
  CHECK(thumbnails == 1);
}

TEST_CASE("scores are base64 of little-endian float32, and infinite ones survive") {
  Header h;
  h.models = {model("batch", 1)};
  h.models[0].thresholds = {{}};
  h.labels = {"tear"};
  h.sample_ids = {"x", "y"};
  h.subjects = {"p", "q"};
  h.sample_subject = {0, 1};
  h.truth = {{1, -1}};
  std::string text;
  EvaluationWriter writer([&](std::string_view l) { text = l; }, h);
  CHECK(Json::parse(text)["truth"].dump() == "[[1,null]]");
  Result r;
  r.scores = {1.0f, -std::numeric_limits<float>::infinity()};
  measure(h, r);
  writer.write(r);
  CHECK(Json::parse(text)["scores"] == "AACAPwAAgP8=");
  CHECK(Json::parse(text)["influence"] == mr::base64_encode(std::string(16, '\0')));
  CHECK(Json::parse(text)["condition"].dump() == R"({"kind":"clean"})");
}

TEST_CASE("a writer refuses results that do not fit the header") {
  const auto h = header({model("batch", 1)});
  EvaluationWriter writer([](std::string_view) {}, h);
  auto r = result(h, 0, grid[0]);
  r.scores.pop_back();
  CHECK_THROWS_WITH_AS(writer.write(r), "evaluation: scores: want 180, got 179", DataError);
  CHECK_THROWS_WITH_AS(measure(h, r), "clean: scores: want 180, got 179", DataError);
}

TEST_CASE("what was found of a model comes back as it was written") {
  Scratch scratch;
  const auto h = header({model("batch", 1)});
  Explanation written;
  written.condition = grid[1];
  written.findings.samples = 90;
  // Channels: moved by a running deviation; four times the variance; eps alone; constant in t.
  written.findings.layers.push_back(compare_statistics("stem.norm", {{3, 0, 1, 0}, {4, 16, 1, 0}},
                                                       LayerShift::Reference::clean,
                                                       {{1, 0, 0, 0}, {4, 4, 1e-6, 4}}, 1e-5));
  const mr::stats::Linearized as_it_is{0.75, {0.1, -0.1, 0.2}, 3, ""},
      swapped{0.5, {0, 0.1, 0.1}, 3, ""};
  written.findings.swaps.push_back({effect(swapped, as_it_is), Swap::Kind::only, "stem.norm"});
  written.findings.probes.push_back({effect(swapped, as_it_is), 0.5, 0, 0.25, std::nullopt});
  std::string text;
  EvaluationWriter writer([&](std::string_view l) { text += l; }, h);
  writer.write(written);
  writer.finish();
  Visitor visitor;
  int seen = 0;
  visitor.explanation = [&](Explanation&& read) {
    ++seen;
    CHECK(read.model == 0);
    CHECK(read.condition == grid[1]);
    CHECK(to_json(read.findings) == to_json(written.findings));
  };
  read_evaluation(scratch.write("x.eval", text), visitor);
  CHECK(seen == 1);

  const auto& layer = written.findings.layers[0];
  CHECK(layer.channels == 4);
  CHECK(layer.below_eps == 1);
  CHECK(layer.below_10_eps == 1);
  CHECK(*layer.w2.median == doctest::Approx(1));                          // 1, 1 and 1
  CHECK(*layer.kl.median == doctest::Approx(0.5 * (3 - std::log(4.0))));  // 1/2, this, infinite
  CHECK(!layer.kl.p95);
  const auto& change = written.findings.swaps[0].change;
  CHECK(*change.value == -0.25);
  CHECK(change.variance.subjects == doctest::Approx(0.01 + 0.04 + 0.01));

  CHECK(message(scratch, replaced(text, R"("swap":"only")", R"("swap":"lonely")")) ==
        "line 2: unknown swap 'lonely'");
  CHECK(message(scratch, replaced(text, R"("samples":90,)", "")) == "line 2: lacks \"samples\"");
}

TEST_CASE("a file that is not a whole evaluation is refused, and the message says why") {
  Scratch scratch;
  const auto good = evaluation(header({model("batch", 1)}));
  REQUIRE(message(scratch, good) == "no error");
  const auto header_line = line(good, 1) + "\n";
  const auto result_line = line(good, 2) + "\n";
  const auto end_line = line(good, 7) + "\n";

  CHECK(message(scratch, "") == "not an evaluation (mr-eval/1)");
  CHECK(message(scratch, "\x1f\x8b gzip") == "not an evaluation (mr-eval/1)");
  CHECK(message(scratch, "{\"schema\": \"mr-manifest/1\",\n") == "not an evaluation (mr-eval/1)");
  CHECK(message(scratch, replaced(good, "mr-eval/1", "mr-eval/2")) ==
        "schema version mr-eval/2 is not known; this version reads mr-eval/1");
  CHECK(message(scratch, header_line + result_line) == "line 2: cut off: no end line follows");
  CHECK(message(scratch, good.substr(0, good.size() / 2)).find("cut off: the line does not end") !=
        std::string::npos);
  CHECK(message(scratch, header_line + result_line + "{\"model\" 3}\n" + end_line)
            .compare(0, 19, "line 3, column 10: ") == 0);
  CHECK(message(scratch, good + end_line) == "line 8: text after the end line");
  CHECK(message(scratch, header_line + result_line + end_line) ==
        "line 3: the end line counts 0 validations, 4 results, 0 explanations and 1 thumbnails, "
        "the file has 0 validations, 1 results, 0 explanations and 0 thumbnails");
  CHECK(message(scratch, replaced(good, "{\"model\":\"batch-s1\"", "{\"model\":\"b\"")) ==
        "line 2: model 'b' is not in the header");
  CHECK(message(scratch, replaced(good, R"("kind":"clean")", R"("kind":"dirty")")) ==
        "line 2: unknown kind of condition 'dirty'");
  CHECK(message(scratch, replaced(good, "{\"model\":\"batch-s1\",", "{")) ==
        "line 2: lacks \"model\"");
  CHECK(message(scratch, replaced(good, R"("truth":[[)", R"("truth":[[2,)")) ==
        "truth: want rows of 90, one per sample");
  CHECK(message(scratch, replaced(good, R"("thresholds":[0.5,)", R"("thresholds":[)")) ==
        "model batch-s1: want 2 thresholds, one per label, got 1");
  CHECK(message(scratch, replaced(good, R"("id":["0/0")", R"("id":["0/1")")) ==
        "samples: '0/1' twice");
  CHECK(message(scratch, replaced(good, R"("subject":[0,0)", R"("subject":[0,30)")) ==
        "samples: subject 30 of 30");
  const auto scores = Json::parse(result_line)["scores"].get<std::string>();
  CHECK(message(scratch, replaced(good, scores, scores.substr(4))) ==
        "line 2: scores: want 2 x 90 numbers of 4 bytes, got 717 bytes");
}

TEST_CASE("an evaluation that is absent is a missing input") {
  CHECK_THROWS_AS(read_evaluation("/nowhere/x.eval", {}), mr::MissingInputError);
  CHECK_THROWS_WITH_AS(read_evaluation("/tmp", {}), "/tmp: is a folder", DataError);
}

TEST_CASE("measures: the influence is that of the AUROC; what is undefined is null with a reason") {
  auto h = header({model("batch", 1)});
  h.models[0].thresholds[0] = {};
  for (auto& t : h.truth[1]) t = 0;
  const auto r = result(h, 0, grid[1]);
  const auto want = direct(h, 0, grid[1], 0);
  CHECK(std::vector<double>(r.influence.begin(), r.influence.begin() + 30) == want.influence);
  CHECK(std::vector<double>(r.influence.begin() + 30, r.influence.end()) ==
        std::vector<double>(30, 0.0));
  const auto& tear = r.metrics["tear"];
  CHECK(tear["auroc"]["value"] == *want.value);
  CHECK(tear["auroc"]["low"] < *want.value);
  CHECK_FALSE(tear["auroc"].contains("reason"));
  CHECK(tear["threshold"].is_null());
  CHECK(tear["sensitivity"]["reason"] == "no operating point");
  const auto& acl = r.metrics["acl"];
  CHECK(acl["positives"] == 0);
  CHECK(acl["auroc"]["value"].is_null());
  CHECK(acl["auroc"]["reason"] == "no positive samples");
  CHECK(acl["specificity"]["value"].is_number());

  auto perfect = r;
  for (std::size_t n = 0; n < 90; ++n) perfect.scores[n] = static_cast<float>(h.truth[0][n]);
  measure(h, perfect);
  CHECK(perfect.metrics["tear"]["auroc"]["value"] == 1);
  CHECK(perfect.metrics["tear"]["auroc"]["low"].is_null());
  CHECK(perfect.metrics["tear"]["auroc"]["reason"] == "the estimate is at its limit: no interval");
}

TEST_CASE("a study lists what its files hold, each thing once") {
  Scratch scratch;
  const auto one = header({model("batch", 1), model("batch", 1, "batch-stats:volume")});
  const auto two = header({model("group(8)", 2), model("group(8)", 1)});
  std::size_t seen = 0;
  const Study study(
      {scratch.write("1.eval", evaluation(one)), scratch.write("2.eval", evaluation(two))},
      [&](const Header& h, const Result& r) {
        CHECK(r.scores.size() == h.labels.size() * h.sample_ids.size());
        ++seen;
      });
  CHECK(seen == 16);
  CHECK(study.arms() == std::vector<std::string>{"batch", "batch+batch-stats:volume", "group(8)"});
  CHECK(study.runs("group(8)") == std::vector<std::int64_t>{1, 2});
  CHECK(study.models().size() == 4);
  CHECK(study.conditions() == grid);
  CHECK(study.has_clean());
  CHECK(study.artifacts() == std::vector<std::string>{"motion", "bias"});
  CHECK(study.severities("motion") == std::vector<double>{1, 2});
  CHECK(study.thumbnails().size() == 1);
  CHECK(study.fidelity(grid[2]) == Json{{"nrmse", 0.2}});
  CHECK(study.fidelity({Kind::recipe, "x", 0}).empty());
  CHECK(study.notes().size() == 1);
  CHECK(study.provenance().size() == 1);
  CHECK_THROWS_WITH_AS(study.runs("group(9)"), "unknown arm 'group(9)'; did you mean 'group(8)'?",
                       DataError);
}

TEST_CASE("conditions of one model may come in several files") {
  Scratch scratch;
  const auto h = header({model("batch", 1)});
  const auto a = scratch.write("a.eval", evaluation(h, {grid[0]}));
  const auto b = scratch.write("b.eval", evaluation(h, {grid[1]}));
  const Study study({a, b});
  CHECK(study.conditions().size() == 2);
  CHECK(study.models().size() == 1);
  CHECK(study.estimate(study.at("batch", grid[1]) - study.clean("batch")).value);
}

TEST_CASE("files that do not belong together are refused by name") {
  Scratch scratch;
  const auto h = header({model("batch", 1)});
  const auto a = scratch.write("a.eval", evaluation(h));
  const auto against = [&](const Header& other) {
    return study_error({a, scratch.write("b.eval", evaluation(other))});
  };
  const auto b = scratch.write("b.eval", "");
  auto other = header({model("batch", 2)});
  CHECK(against(other) == "no error");
  other.labels[1] = "cartilage";
  CHECK(against(other) == b + ": labels differ from those of " + a);
  other = header({model("batch", 2)});
  other.sample_ids[0] = "y";
  CHECK(against(other) == b + ": samples differ from those of " + a);
  other = header({model("batch", 2)});
  other.sample_subject[0] = 1;
  CHECK(against(other) == b + ": subjects of the samples differ from those of " + a);
  other = header({model("batch", 2)});
  other.truth[1][5] = other.truth[1][5] == 1 ? 0 : 1;
  CHECK(against(other) == b + ": true labels differ from those of " + a);
  other = header({model("batch", 1)});
  other.models[0].sha256 = "another";
  CHECK(against(other) == b + ": model batch-s1: run 1 of batch is already model batch-s1 in " + a);
  CHECK(against(h) == b + ": model batch-s1 at clean is already in " + a);
}

TEST_CASE("one network at one condition: the AUROC of stats, its influences, its interval") {
  Scratch scratch;
  const auto h = header({model("batch", 1)});
  const Study study({scratch.write("a.eval", evaluation(h))});
  for (const std::size_t label : {0u, 1u}) {
    const auto want = direct(h, 0, grid[2], label);
    const auto interval = mr::stats::estimate({{{*want.value}, {want.influence}}}, want.subjects,
                                              mr::stats::Scale::logit);
    const auto e = study.estimate(study.at("batch", grid[2]), label);
    CHECK(*e.value == *want.value);
    CHECK(*e.low == Approx(*interval.low).epsilon(1e-6));  // influences are kept as float
    CHECK(e.subjects == want.subjects);
    CHECK(e.this_network_only);
    CHECK(e.runs == 1);
    CHECK(e.labels_used == 1);
    CHECK_FALSE(e.p);
  }
}

TEST_CASE("macro: the mean over labels with the mean of influences, df of the scarcest label") {
  Scratch scratch;
  auto h = header({model("batch", 1)});
  for (std::size_t n = 36; n < 90; ++n)
    if (h.truth[1][n] == 1) h.truth[1][n] = 0;  // label 2 keeps its positives in 12 subjects
  const Study study({scratch.write("a.eval", evaluation(h))});
  const auto first = direct(h, 0, grid[1], 0), second = direct(h, 0, grid[1], 1);
  REQUIRE(second.subjects < first.subjects);
  double variance = 0;
  for (std::size_t p = 0; p < 30; ++p)
    variance += std::pow((first.influence[p] + second.influence[p]) / 2, 2);
  const auto e = study.estimate(study.at("batch", grid[1]));
  CHECK(*e.value == Approx((*first.value + *second.value) / 2).epsilon(1e-14));
  CHECK(e.variance.total == Approx(variance).epsilon(1e-6));
  CHECK(e.variance.df == Approx(static_cast<double>(second.subjects - 1)));
  CHECK(e.labels_used == 2);
  CHECK(e.positive_subjects == second.subjects);
}

TEST_CASE("a label without positives is left out of macro, and counted out") {
  Scratch scratch;
  auto h = header({model("batch", 1)});
  for (auto& t : h.truth[1]) t = 0;
  const Study study({scratch.write("a.eval", evaluation(h))});
  const auto macro_estimate = study.estimate(study.clean("batch"));
  CHECK(*macro_estimate.value == *study.estimate(study.clean("batch"), 0).value);
  CHECK(macro_estimate.labels_used == 1);
  const auto none = study.estimate(study.clean("batch"), 1);
  CHECK_FALSE(none.value);
  CHECK(none.reason == "acl: no positive samples");
}

TEST_CASE("the endpoint weighs artifacts equally, whatever their number of severities") {
  Scratch scratch;
  const auto h = header({model("batch", 1)});
  const Study study({scratch.write("a.eval", evaluation(h))});
  const auto at = [&](int c) {
    return *study.estimate(study.at("batch", grid[static_cast<std::size_t>(c)])).value;
  };
  CHECK(*study.estimate(study.endpoint("batch")).value ==
        Approx(((at(1) + at(2)) / 2 + at(3)) / 2).epsilon(1e-14));
  CHECK(*study.estimate(study.over_severities("batch", "motion")).value ==
        Approx((at(1) + at(2)) / 2).epsilon(1e-14));
  const auto curve = study.curve("batch", "motion");
  REQUIRE(curve);
  CHECK(curve->clean == at(0));
  CHECK(curve->at_severity == std::vector<double>{at(1), at(2)});
  const auto change = study.estimate(study.endpoint("batch") - study.clean("batch"));
  CHECK(*change.value < -0.05);
  CHECK(*change.p < 0.05);
  CHECK(change.mde);
}

TEST_CASE("arms of different networks: runs and subjects both vary") {
  Scratch scratch;
  const auto h = header({model("batch", 1), model("batch", 2), model("layer", 1), model("layer", 2),
                         model("layer", 3)});
  const Study study({scratch.write("a.eval", evaluation(h))});
  std::vector<mr::stats::Arm> arms(2);
  for (std::size_t m = 0; m < 5; ++m) {
    const double sign = m < 2 ? -1 : 1;
    auto want = direct(h, m, grid[3], 0);
    for (double& u : want.influence) u *= sign;
    arms[m < 2 ? 0 : 1].values.push_back(sign * *want.value);
    arms[m < 2 ? 0 : 1].influences.push_back(want.influence);
  }
  const auto e =
      study.estimate(study.at("layer", grid[3]) - study.at("batch", grid[3]), std::size_t{0});
  const auto want = mr::stats::estimate(arms, e.subjects, mr::stats::Scale::plain);
  CHECK(*e.value == Approx(*want.value).epsilon(1e-12));
  CHECK(e.variance.runs == Approx(want.variance.runs).epsilon(1e-9));
  CHECK(e.variance.interaction == Approx(want.variance.interaction).epsilon(1e-5));
  CHECK(*e.p == Approx(*want.p).epsilon(1e-5));
  CHECK(e.runs == 2);
  CHECK_FALSE(e.this_network_only);
  const auto runs = study.each_run(study.at("layer", grid[3]), 0);
  REQUIRE(runs.size() == 3);
  CHECK(*runs[2].value == *direct(h, 4, grid[3], 0).value);
  CHECK_THROWS_AS(study.each_run(study.clean("layer") - study.clean("batch")), DataError);
}

TEST_CASE("an arm and its adaptation share their networks: the difference is formed per run") {
  Scratch scratch;
  const auto h =
      header({model("batch", 1), model("batch", 2), model("batch", 1, "batch-stats:slice"),
              model("batch", 2, "batch-stats:slice")});
  const Study study({scratch.write("a.eval", evaluation(h))});
  const auto e = study.estimate(study.clean("batch+batch-stats:slice") - study.clean("batch"), 0);
  const double d1 = *direct(h, 2, grid[0], 0).value - *direct(h, 0, grid[0], 0).value;
  const double d2 = *direct(h, 3, grid[0], 0).value - *direct(h, 1, grid[0], 0).value;
  CHECK(*e.value == Approx((d1 + d2) / 2).epsilon(1e-12));
  CHECK(e.variance.runs == Approx((d1 - d2) * (d1 - d2) / 4).epsilon(1e-9));
}

TEST_CASE("what a study lacks is said, not filled in") {
  Scratch scratch;
  const auto both = header({model("batch", 1), model("layer", 1)});
  const auto more = header({model("batch", 2)});
  const Study study({scratch.write("a.eval", evaluation(both)),
                     scratch.write("b.eval", evaluation(more, {grid[0]}))});
  CHECK(study.estimate(study.clean("batch")).value);
  CHECK(study.estimate(study.at("batch", grid[1])).reason ==
        "run 2 of batch was not evaluated at motion:1");
  CHECK_FALSE(study.curve("batch", "motion"));
  const auto adapted = header({model("batch", 1), model("batch", 2), model("batch", 1, "x")});
  const Study unpaired({scratch.write("c.eval", evaluation(adapted))});
  CHECK(unpaired.estimate(unpaired.clean("batch+x") - unpaired.clean("batch")).reason ==
        "batch has runs 1, 2, and batch+x 1");
  const Study clean_only({scratch.write("d.eval", evaluation(more, {grid[0]}))});
  CHECK(clean_only.estimate(clean_only.endpoint("batch")).reason == "no artifact was evaluated");
}

TEST_CASE("comparisons adjust their p values within the family") {
  Scratch scratch;
  const auto h = header({model("batch", 1), model("group(8)", 1), model("layer", 1)});
  const Study study({scratch.write("a.eval", evaluation(h))});
  const auto arms = study.compare("batch");
  REQUIRE(arms.size() == 2);
  CHECK(arms[0].arm == "group(8)");
  CHECK_FALSE(arms[0].condition);
  const auto holm = mr::stats::holm({*arms[0].difference.p, *arms[1].difference.p});
  CHECK(*arms[0].p_adjusted == holm[0]);
  CHECK(*arms[1].p_adjusted == holm[1]);
  const auto cells = study.heat_map("layer", "batch");
  REQUIRE(cells.size() == 3);
  CHECK(*cells[2].condition == grid[3]);
  std::vector<double> p;
  for (const auto& cell : cells) p.push_back(*cell.difference.p);
  const auto q = mr::stats::benjamini_hochberg(p);
  for (std::size_t i = 0; i < 3; ++i) CHECK(*cells[i].p_adjusted == q[i]);
  const auto alone = study.heat_map("batch", "batch");  // no variation: no p, no family
  CHECK(*alone[0].difference.value == 0);
  CHECK_FALSE(alone[0].p_adjusted);
}

TEST_CASE("operating points are the model's own, frozen") {
  Scratch scratch;
  auto h = header({model("batch", 1), model("batch", 2)});
  h.models[1].thresholds = {1.5, {}};
  const Study study({scratch.write("a.eval", evaluation(h))});
  const auto runs = study.each_run(study.clean("batch"), 0, Metric::sensitivity);
  CHECK(*runs[0].value > *runs[1].value);
  const auto e =
      study.estimate(study.at("batch", grid[2]) - study.clean("batch"), 0, Metric::alarm_rate);
  CHECK(e.value);
  CHECK(e.p);
  CHECK(study.estimate(study.clean("batch"), 1, Metric::sensitivity).reason ==
        "acl: no operating point");
  CHECK(study.estimate(study.clean("batch"), macro, Metric::sensitivity).labels_used == 1);
}

TEST_CASE("scores stay of the highest severity of each artifact, and of what has no severity") {
  Scratch scratch;
  const auto h = header({model("batch", 1), model("group(8)", 1)});
  const Condition given{Kind::as_given, "x", 0};
  for (const bool ascending : {true, false}) {
    auto conditions = grid;  // clean, motion 1 and 2, bias 0.5
    conditions.push_back(given);
    conditions.push_back({Kind::artifact, "motion", 3, Part::structure});
    if (!ascending) std::reverse(conditions.begin(), conditions.end());
    const Study study({scratch.write(ascending ? "a" : "b", evaluation(h, conditions))});
    for (const auto& kept : {grid[0], grid[2], grid[3], given}) {
      CAPTURE(name(kept));
      const auto cases = study.cases("group(8)", 1, kept, 1);
      REQUIRE(cases);
      const auto all = result(h, 1, kept).scores;
      CHECK(cases->scores ==
            std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(h.sample_ids.size()),
                               all.end()));
      CHECK(cases->truth == h.truth[1]);
      CHECK(cases->subjects == 30);
    }
    CHECK_FALSE(study.cases("group(8)", 1, grid[1], 1));
    CHECK_FALSE(study.cases("group(8)", 1, {Kind::artifact, "motion", 3, Part::structure}, 1));
  }
}

TEST_CASE("what sets trained networks apart has one name, and is read back from it") {
  for (const char* name : {"batch", "group(8):none", "ws+group(8):scale:500/gain",
                           "layer_chw/other-artifacts", "batch:slice-zscore/a/b:c"}) {
    const auto trained = mr::results::parse_training(name);
    CHECK(trained.name() == name);
  }
  const auto trained = mr::results::parse_training("group(8):scale:500/gain");
  CHECK(trained.norm == "group(8)");
  CHECK(trained.standardisation == "scale:500");
  CHECK(trained.augmentation == "gain");
  CHECK(mr::results::parse_training("batch").standardisation == "volume-percentile");
}
