#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/shell.h"
#include "check.h"
#include "train/sweep.h"

using namespace mr::train;
using doctest::Approx;
using mr::DataError;
using mr::Json;
using mr::UsageError;
using mr::results::TrainingLog;

namespace {

const Declaration declared = {
    {"output", {"-o", "--output"}, false, ""}, {"log", {"--log"}, false, ""},
    {"norm", {"--norm"}, false, "batch"},      {"groups", {"--groups"}, false, "32"},
    {"width", {"--width"}, false, "64"},       {"lr", {"--lr"}, false, "0.001"},
    {"wd", {"--wd"}, false, "0.01"},           {"augment", {"--augment"}, false, ""},
    {"seed", {"--seed"}, false, "1"},          {"threads", {"-t", "--threads"}, false, ""},
    {"resume", {"--resume"}, true, ""},        {"force", {"-f", "--force"}, true, ""}};

Strings lines(const std::vector<Strings>& commands) {
  Strings list;
  for (const auto& command : commands) list.push_back(mr::shell_line(command));
  return list;
}

Sweep grid() {
  Sweep sweep;
  sweep.options = {{"norm", {"batch", "group"}}, {"wd", {"0.1"}}, {"lr", {"1e-3", "1e-4"}}};
  sweep.seeds = {101, 102};
  sweep.output = "m/";
  sweep.manifest = "study.json";
  return sweep;
}

/// A finished run whose best epoch, the second of three, reached `auroc`.
TrainingLog log(const std::string& norm, double lr, double wd, std::uint64_t seed, double auroc) {
  TrainingLog l;
  const auto number = std::to_string(seed);
  l.path = "m/" + norm + "_lr" + std::to_string(lr) + "_s" + number + ".pt.log.jsonl";
  l.normalization = norm;
  l.seed = seed;
  l.learning_rate = lr;
  l.weight_decay = wd;
  l.header = {{"schema", "mr-train-log/1"},
              {"normalization", norm},
              {"training",
               {{"learning_rate", lr},
                {"weight_decay", wd},
                {"seed", seed},
                {"threads", seed % 3 + 1},
                {"device", seed % 2 != 0 ? "cpu" : "cuda"},
                {"libtorch", "2.0"}}},
              {"provenance",
               {{{"tool", "mr-train"},
                 {"command", "mr-train --norm " + norm + " --lr " + std::to_string(lr) +
                                 " --seed " + number + " study.json"},
                 {"inputs", {{{"name", "study.json"}, {"sha256", "ab"}}}}}}}};
  l.epochs = {{1, 0.7, 0.7, auroc - 0.1}, {2, 0.6, 0.6, auroc}, {3, 0.5, 0.7, auroc - 0.2}};
  l.best_epoch = 2;
  l.stopped = "patience";
  return l;
}

/// Of batch norm lr 0.1 wins by its mean, though 0.2 has the best single run; group has one point.
std::vector<TrainingLog> study() {
  return {log("batch", 0.1, 0, 101, 0.80),   log("batch", 0.1, 0, 102, 0.84),
          log("batch", 0.2, 0, 101, 0.90),   log("batch", 0.2, 0, 102, 0.70),
          log("group(8)", 0.1, 0, 101, 0.6), log("group(8)", 0.1, 0, 102, 0.7)};
}

}  // namespace

TEST_CASE("a grid is every combination once, seeds fastest, in an order that is always the same") {
  const auto commands = lines(sweep_commands(grid(), declared, "mr-train"));
  REQUIRE(commands.size() == 8);
  CHECK(commands[0] ==
        "mr-train --norm batch --lr 1e-3 --wd 0.1 --seed 101 --resume "
        "-o m/batch_lr1e-3_wd0.1_s101.pt study.json");
  CHECK(commands[1].find("batch_lr1e-3_wd0.1_s102.pt") != std::string::npos);
  CHECK(commands[2].find("batch_lr1e-4_wd0.1_s101.pt") != std::string::npos);
  CHECK(commands[7].find("group_lr1e-4_wd0.1_s102.pt") != std::string::npos);
}

TEST_CASE("what is not said has its declared default, which the model's name holds too") {
  Sweep sweep;
  sweep.seeds = {5};
  sweep.output = "m";
  sweep.manifest = "study.json";
  CHECK(lines(sweep_commands(sweep, declared, "x/mr-train")) ==
        Strings{"x/mr-train --norm batch --lr 0.001 --wd 0.01 --seed 5 --resume "
                "-o m/batch_lr0.001_wd0.01_s5.pt study.json"});
}

TEST_CASE("a further option with several values is in the name, one with a single value is not") {
  auto sweep = grid();
  sweep.options = {{"augment", {"r/a b.json", "none"}}, {"width", {"8"}}, {"force", {}}};
  const auto commands = lines(sweep_commands(sweep, declared, "mr-train"));
  REQUIRE(commands.size() == 4);
  CHECK(commands[0] ==
        "mr-train --norm batch --lr 0.001 --wd 0.01 --width 8 --augment 'r/a b.json' --force "
        "--seed 101 --resume -o m/batch_lr0.001_wd0.01_augmentr-a-b.json_s101.pt study.json");
  CHECK(commands[2].find("_augmentnone_s101.pt") != std::string::npos);
}

TEST_CASE("groups are swept for group norm alone: other norms would be trained twice") {
  auto sweep = grid();
  sweep.options["groups"] = {"8", "16"};
  sweep.options["lr"] = {"1e-3"};
  const auto commands = lines(sweep_commands(sweep, declared, "mr-train"));
  REQUIRE(commands.size() == 2 + 4);
  CHECK(commands[0].find("--groups") == std::string::npos);
  CHECK(commands[2].find("--groups 8") != std::string::npos);
  CHECK(commands[2].find("group_lr1e-3_wd0.1_groups8_s101.pt") != std::string::npos);
}

TEST_CASE("a grid that cannot be run is refused") {
  const auto message = [](const std::function<void(Sweep&)>& change) {
    auto sweep = grid();
    change(sweep);
    try {
      sweep_commands(sweep, declared, "mr-train");
    } catch (const UsageError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(message([](Sweep& s) { s.output.clear(); }).find("--output") == 0);
  CHECK(message([](Sweep& s) { s.manifest = "-"; }).find("manifest") == 0);
  CHECK(message([](Sweep& s) { s.seeds = {7, 7}; }) == "--tuning-seeds: 7 is named twice");
  CHECK(message([](Sweep& s) {
          s.options["augment"] = {"a/b", "a-b"};
        }) == "m/batch_lr1e-3_wd0.1_augmenta-b_s101.pt: two commands would write it");
  CHECK(message([](Sweep& s) { s.manifest = "a\nb"; }).find("line break") != std::string::npos);
}

TEST_CASE("the best mean over seeds wins, of each normalization by itself") {
  auto logs = study();
  std::reverse(logs.begin(), logs.end());  // the order plays no part
  const auto contests = choose(logs);
  REQUIRE(contests.size() == 2);
  CHECK(contests[0].normalization == "batch");
  const auto& chosen = contests[0].chosen();
  CHECK(chosen.runs.front().learning_rate == 0.1);
  CHECK(chosen.runs.front().seed == 101);
  CHECK(chosen.mean == Approx(0.82).epsilon(1e-12));
  CHECK(*chosen.sd == Approx(0.04 / std::sqrt(2)).epsilon(1e-9));
  CHECK(contests[0].candidates[1].mean == Approx(0.80).epsilon(1e-12));
  const auto words = describe_choice(contests);
  CHECK(words[0] == "chosen from 6 runs, by validation alone");
  CHECK(words[1] ==
        "batch, lr 0.1, wd 0: mean validation AUROC 0.8200 (SD 0.0283) over seeds 101, 102; best "
        "of 2 configurations, 4 runs");
  const auto json = mr::train::to_json(contests, Json::array());
  CHECK(json["runs"] == 6);
  CHECK(json["normalizations"][0]["seeds"] == Json({101, 102}));
  CHECK_FALSE(json["normalizations"][0]["configuration"]["training"].contains("threads"));
}

TEST_CASE("of equal means the smaller learning rate is chosen; one run has no SD") {
  const auto contests = choose({log("layer", 0.2, 0.1, 1, 0.75), log("layer", 0.1, 0.1, 1, 0.75)});
  CHECK(contests[0].chosen().runs.front().learning_rate == 0.1);
  CHECK_FALSE(contests[0].chosen().sd.has_value());
}

TEST_CASE("unequal budgets are told") {
  auto logs = study();
  CHECK(unequal_budgets(choose(logs)) ==
        Strings{"unequal budgets: configurations of batch 2, of group(8) 1"});
  logs.push_back(log("group(8)", 0.2, 0, 101, 0.6));
  CHECK(unequal_budgets(choose(logs)) ==
        Strings{"unequal budgets: group(8), lr 0.2, wd 0 lacks seed 102"});
  logs.push_back(log("group(8)", 0.2, 0, 102, 0.6));
  CHECK(unequal_budgets(choose(logs)).empty());
}

TEST_CASE("logs that do not belong together are refused by name") {
  auto logs = study();
  logs.push_back(log("batch", 0.1, 0, 102, 0.5));
  CHECK_THROWS_AS(choose(logs), DataError);
  logs = study();
  logs[3].header["provenance"][0]["inputs"][0]["sha256"] = "cd";
  CHECK_THROWS_WITH_AS(
      choose(logs), (logs[3].path + ": trained on another manifest than " + logs[0].path).c_str(),
      DataError);
}

TEST_CASE("the chosen command is given again with each new seed and an output of its own") {
  auto logs = study();
  // What is recorded of -o, --log and the like when it was spelled in one word must go too.
  logs[0].header["provenance"][0]["command"] =
      "mr-train -om/x.pt --lr=0.1 --seed=101 --augment 'my recipe.json' -fq -t4 study.json";
  const Declaration known = [] {
    auto all = declared;
    all.push_back({"quiet", {"-q", "--quiet"}, true, ""});
    return all;
  }();
  Retraining retraining;
  retraining.seeds = {1, 2};
  const auto commands = lines(retraining_commands(choose(logs), retraining, known, "mr-train"));
  REQUIRE(commands.size() == 4);
  CHECK(commands[1] ==
        "mr-train --lr=0.1 --augment 'my recipe.json' --threads 3 --seed 2 --resume "
        "-o m/batch_lr0.100000_s2.pt study.json");
  retraining.output = "new";
  retraining.manifest = "other.json";
  CHECK(lines(retraining_commands(choose(logs), retraining, known, "mr-train"))[3] ==
        "mr-train --norm 'group(8)' --lr 0.100000 --threads 3 --seed 2 --resume "
        "-o 'new/group(8)_lr0.100000_s2.pt' other.json");
}

TEST_CASE("a report seed must be fresh, and the manifest known") {
  const auto contests = choose(study());
  Retraining retraining;
  retraining.seeds = {1, 102};
  CHECK_THROWS_AS(retraining_commands(contests, retraining, declared, "x"), UsageError);
  retraining.seeds = {1, 1};
  CHECK_THROWS_AS(retraining_commands(contests, retraining, declared, "x"), UsageError);
  auto logs = study();
  logs[0].header["provenance"][0]["command"] = "mr-train --seed 101";
  CHECK_THROWS_AS(retraining_commands(choose(logs), {}, declared, "x"), DataError);
  logs[0].header["provenance"][0]["command"] = "mr-train --speed 101 study.json";
  CHECK_THROWS_AS(retraining_commands(choose(logs), {}, declared, "x"), DataError);
}
