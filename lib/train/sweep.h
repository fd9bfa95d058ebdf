// Tuning without a look at test data: a grid as commands of mr-train, the choice among what they
// trained by validation alone, and the commands that train the chosen ones anew. Nothing here
// needs LibTorch.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "results/training_log.h"

namespace mr::train {

using Strings = std::vector<std::string>;

/// An option of mr-train as its command line declares it.
struct OptionFacts {
  std::string name;     // long, without dashes: "lr"
  Strings spellings;    // "-t", "--threads"
  bool flag = false;    // takes no value
  std::string initial;  // its default as --help prints it; "" where it has none
};
using Declaration = std::vector<OptionFacts>;

/// What a sweep sets for each command by itself: "output", "log", "seed", "resume".
bool set_by_sweep(const std::string& option);

struct Sweep {
  std::map<std::string, Strings> options;  // values as typed, by name; those of a flag: none
  std::vector<std::uint64_t> seeds = {101, 102, 103};
  std::string output;    // folder of the models
  std::string manifest;  // a file: every command reads it
};

/// Reads a document mr-sweep/1.
/// throws MissingInputError; DataError that begins with the file's name, and for a member or option
///        that is not known names the nearest one
Sweep read_sweep(const std::string& path, const Declaration& declared);

/// One command for each point of the grid and seed: norm, lr, wd, further options in the order of
/// their declaration, the last the fastest, then seeds. Each resumes, and writes
/// OUTPUT/NORM_lrLR_wdWD[_OPTIONVALUE...]_sSEED.pt with the options that have several values.
/// --groups goes with the norms that have groups: others are not trained twice.
/// program  the first word of each
/// throws   UsageError: no output or manifest, a seed twice, two commands with one output
std::vector<Strings> sweep_commands(const Sweep& sweep, const Declaration& declared,
                                    const std::string& program);

/// One configuration with all its runs.
struct Candidate {
  Json configuration;  // the logs' header without what differs between runs of one configuration
  std::vector<results::TrainingLog> runs;  // by seed, ascending
  double mean = 0;                         // over runs, of the best epoch's val_auroc_mean
  std::optional<double> sd;                // over runs; none for a single one
};

/// The candidates of one normalization, the best mean first; of equals the smaller learning rate,
/// then the smaller weight decay.
struct Contest {
  std::string normalization;  // "batch", "group(8)", "layer"
  std::vector<Candidate> candidates;
  const Candidate& chosen() const { return candidates.front(); }
};

/// Runs are of one configuration when their headers agree in all but seed, threads, device, version
/// of LibTorch and provenance. Sorted by normalization, whatever the order of the logs.
/// throws DataError that names the logs: a configuration has a seed twice, manifests differ
std::vector<Contest> choose(const std::vector<results::TrainingLog>& logs);

/// What was unequal between the normalizations: numbers of configurations, seeds; a line each.
Strings unequal_budgets(const std::vector<Contest>& contests);

/// What was chosen and from how many runs, in words; a line each.
Strings describe_choice(const std::vector<Contest>& contests);

/// mr-train-choice/1
Json to_json(const std::vector<Contest>& contests, const Json& provenance);

struct Retraining {
  std::vector<std::uint64_t> seeds = {1, 2, 3, 4, 5};
  std::string output;    // folder of the models; "": that of the chosen runs' logs
  std::string manifest;  // "": the one that the chosen runs read
};

/// For each chosen configuration, its recorded command with each new seed and an output of its own:
/// the log's name with its _sSEED replaced, or one added. Threads are those of the runs.
/// throws UsageError: a seed twice, a seed that was used for tuning, two commands with one output;
///        DataError that names the log: its command cannot be read, its manifest was piped
std::vector<Strings> retraining_commands(const std::vector<Contest>& contests,
                                         const Retraining& retraining, const Declaration& declared,
                                         const std::string& program);

}  // namespace mr::train
