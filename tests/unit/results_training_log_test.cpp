#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "check.h"
#include "results/training_log.h"

using namespace mr::results;
using mr::DataError;

namespace {

const std::string header =
    R"j({"schema":"mr-train-log/1","normalization":"group(8)","preprocessing":{"standardisation":"volume-percentile"},"training":)j"
    R"({"seed":7,"learning_rate":0.001,"weight_decay":0.01},"provenance":[]})"
    "\n";
const std::string epoch1 = R"({"epoch":1,"train_loss":0.7,"val_loss":0.6,"val_auroc_mean":0.75})"
                           "\n";
const std::string epoch2 = R"({"epoch":2,"train_loss":0.5,"val_loss":0.6,"val_auroc_mean":0.5})"
                           "\n";
const std::string end = R"({"end":true,"epochs":2,"best_epoch":1,"stopped":"epochs"})"
                        "\n";

/// A file that goes with the test.
struct File {
  std::string path;
  explicit File(const std::string& text)
      : path(std::filesystem::temp_directory_path() /
             ("training_log_test." + std::to_string(::getpid()))) {
    std::ofstream(path, std::ios::binary) << text;
  }
  ~File() { std::filesystem::remove(path); }
};

}  // namespace

TEST_CASE("a training log is read: settings, epochs, the best one, why it stopped") {
  const File file(header + epoch1 + epoch2 + end);
  CHECK(is_training_log(file.path));
  const auto log = read_training_log(file.path);
  CHECK(log.normalization == "group(8)");
  CHECK(log.seed == 7);
  CHECK(log.learning_rate == 0.001);
  CHECK(log.weight_decay == 0.01);
  REQUIRE(log.epochs.size() == 2);
  CHECK(log.epochs[1].train_loss == 0.5);
  CHECK(log.best().epoch == 1);
  CHECK(log.best().val_auroc_mean == 0.75);
  CHECK(log.stopped == "epochs");
}

TEST_CASE("a log that is cut off, of another kind, or inconsistent is refused by name") {
  const auto refused = [](const std::string& text, const std::string& part) {
    const File file(text);
    CAPTURE(text);
    std::string message;
    try {
      read_training_log(file.path);
    } catch (const DataError& e) {
      message = e.what();
    }
    CHECK(message.rfind(file.path + ": ", 0) == 0);
    CHECK(message.find(part) != std::string::npos);
  };
  refused(header + epoch1, "unfinished");
  refused(header, "unfinished");
  refused("", "not a training log");
  refused(R"({"schema":"mr-eval/1"})", "not a training log");
  refused(R"({"schema":"mr-train-log/2"})", "mr-train-log/2");
  refused(header + epoch2 + end, "line 2: want epoch 1, got 2");
  refused(header + epoch1 + end.substr(0, 20), "line 3");
  refused(header + epoch1 + R"({"end":true,"best_epoch":2,"stopped":"epochs"})", "2 of 1 epochs");
  refused(header + epoch1 + epoch2 + end + epoch1, "after the end");
  CHECK_THROWS_AS(read_training_log("/none"), mr::MissingInputError);
}

TEST_CASE("only a file that calls itself a training log is taken for one") {
  CHECK(is_training_log(File(R"({"schema": "mr-train-log/9"})").path));
  CHECK_FALSE(is_training_log(File(R"({"schema": "mr-eval/1"})").path));
  CHECK_FALSE(is_training_log(File("").path));
  CHECK_FALSE(is_training_log("/"));
  CHECK_FALSE(is_training_log("/none"));
  CHECK_FALSE(is_training_log("-"));
}
