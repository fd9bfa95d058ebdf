#include "train/sweep.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "base/error.h"
#include "base/file.h"
#include "base/shell.h"
#include "base/text.h"
#include "nn/architecture.h"

namespace mr::train {
namespace {

const OptionFacts* find(const Declaration& declared, const std::string& name) {
  const auto found = std::find_if(declared.begin(), declared.end(),
                                  [&](const OptionFacts& option) { return option.name == name; });
  return found == declared.end() ? nullptr : &*found;
}

void require_distinct(const std::vector<std::uint64_t>& seeds, const std::string& option) {
  if (seeds.empty()) throw UsageError(option + ": want one seed at least");
  std::set<std::uint64_t> seen;
  for (const auto seed : seeds)
    if (!seen.insert(seed).second)
      throw UsageError(option + ": " + std::to_string(seed) + " is named twice");
}

std::string join(const Strings& words, const std::string& between) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

std::string counted(std::size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string in_folder(const std::string& folder, const std::string& name) {
  return folder + (ends_with(folder, "/") ? "" : "/") + name;
}

/// Each command a line of its own, with an output of its own. outputs: in the order of commands
void require_printable(const std::vector<Strings>& commands, const Strings& outputs) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (!seen.insert(outputs[i]).second)
      throw UsageError(outputs[i] + ": two commands would write it");
    for (const auto& word : commands[i])
      if (word.find('\n') != std::string::npos)
        throw UsageError("'" + word.substr(0, word.find('\n')) + "...': has a line break");
  }
}

// --- the grid

Json list_of(const Json& value) {
  return value.is_array() ? value : Json::array({value});
}

std::string text_of(const Json& value, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return shortest(value.get<double>());
  if (value.is_number_integer()) return to_line(value);
  throw DataError(where + ": want a string, a number or a list of them, got " + excerpt(value));
}

Strings values_of(const Json& value, const std::string& where) {
  Strings values;
  for (const auto& item : list_of(value)) values.push_back(text_of(item, where));
  if (values.empty()) throw DataError(where + ": has no value");
  return values;
}

void read_options(const Json& members, const Declaration& declared, const std::string& path,
                  Sweep& sweep) {
  Strings known;
  for (const auto& option : declared)
    if (!set_by_sweep(option.name)) known.push_back(option.name);
  if (!members.is_object())
    throw DataError(path + ": options: want an object, got " + excerpt(members));
  for (const auto& [name, value] : members.items()) {
    const auto where = path + ": options: " + name;
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw DataError(path + ": options: " + unknown("option", name, known));
    if (!find(declared, name)->flag)
      sweep.options[name] = values_of(value, where);
    else if (!value.is_boolean())
      throw DataError(where + ": want true or false, got " + excerpt(value));
    else if (value.get<bool>())
      sweep.options[name] = {};
  }
}

std::vector<std::uint64_t> seeds_of(const Json& value, const std::string& where) {
  std::vector<std::uint64_t> seeds;
  for (const auto& item : list_of(value)) {
    if (!item.is_number_unsigned())
      throw DataError(where + ": want whole numbers from 0, got " + excerpt(item));
    seeds.push_back(item.get<std::uint64_t>());
  }
  return seeds;
}

/// A value as part of a file's name.
std::string safe(std::string text) {
  const std::string_view kept = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-";
  for (char& c : text)
    if (kept.find(c) == std::string_view::npos) c = '-';
  return text;
}

using Axis = std::pair<std::string, Strings>;  // an option and its values

/// Norm, learning rate and weight decay, which always are in a model's name; then what else is set.
std::vector<Axis> axes_of(const Sweep& sweep, const Declaration& declared) {
  std::vector<Axis> axes;
  for (const std::string name : {"norm", "lr", "wd"}) {
    const auto found = sweep.options.find(name);
    const auto* option = find(declared, name);
    axes.emplace_back(name, found != sweep.options.end()
                                ? found->second
                                : Strings{option != nullptr ? option->initial : ""});
  }
  for (const auto& option : declared) {
    const auto found = sweep.options.find(option.name);
    const bool named = option.name == "norm" || option.name == "lr" || option.name == "wd";
    if (!named && found != sweep.options.end()) axes.emplace_back(*found);
  }
  return axes;
}

struct Point {
  Strings options;  // of the command line
  std::string name;
};

void add_value(Point& point, const std::string& option, const std::string& value, bool several) {
  point.options.insert(point.options.end(), {"--" + option, value});
  const bool bare = option == "norm";  // "group", not "normgroup"
  if (bare || several || option == "lr" || option == "wd")
    point.name += (point.name.empty() ? "" : "_") + (bare ? "" : option) + safe(value);
}

/// All combinations, the last axis the fastest.
std::vector<Point> points_of(const std::vector<Axis>& axes) {
  std::vector<Point> points = {{}};
  for (const auto& [option, values] : axes) {
    std::vector<Point> longer;
    for (const auto& point : points) {
      const bool unread =
          option == "groups" && !nn::has_groups(nn::parse_normalization(point.options[1]));
      if (values.empty() || unread) {
        longer.push_back(point);
        if (values.empty()) longer.back().options.push_back("--" + option);  // a flag
        continue;
      }
      for (const auto& value : values) {
        longer.push_back(point);
        add_value(longer.back(), option, value, values.size() > 1);
      }
    }
    points = longer;
  }
  return points;
}

// --- the choice

/// The header without what may differ between runs of one configuration: what the seed changes, and
/// what must not matter.
Json configuration_of(const results::TrainingLog& log) {
  Json configuration = log.header;
  for (const char* key : {"schema", "provenance"}) configuration.erase(key);
  for (const char* key : {"seed", "threads", "device", "libtorch"})
    configuration["training"].erase(key);
  return configuration;
}

/// The entry of the run itself, which is the last one.
const Json& own_entry(const results::TrainingLog& log) {
  const auto& provenance = member(log.header, "provenance", log.path);
  if (!provenance.is_array() || provenance.empty() || !provenance.back().is_object() ||
      provenance.back().value("tool", "") != "mr-train")
    throw DataError(log.path + ": provenance: its last entry is not of mr-train");
  return provenance.back();
}

std::string manifest_hash(const results::TrainingLog& log) {
  const auto where = log.path + ": provenance";
  const auto& inputs = member(own_entry(log), "inputs", where);
  if (!inputs.is_array() || inputs.size() != 1)
    throw DataError(where + ": inputs: want the manifest alone, got " + excerpt(inputs));
  return string_member(inputs.front(), "sha256", where + ": inputs");
}

/// Ascending seeds; mean and standard deviation.
void judge(Candidate& candidate) {
  auto& runs = candidate.runs;
  std::sort(runs.begin(), runs.end(), [](const auto& a, const auto& b) { return a.seed < b.seed; });
  for (std::size_t r = 1; r < runs.size(); ++r)
    if (runs[r].seed == runs[r - 1].seed)
      throw DataError(runs[r].path + ": the same configuration and seed as " + runs[r - 1].path);
  const auto n = static_cast<double>(runs.size());
  double sum = 0, squares = 0;
  for (const auto& run : runs) sum += run.best().val_auroc_mean;
  candidate.mean = sum / n;
  for (const auto& run : runs) {
    const double d = run.best().val_auroc_mean - candidate.mean;
    squares += d * d;
  }
  if (runs.size() > 1) candidate.sd = std::sqrt(squares / (n - 1));
}

bool is_better(const Candidate& a, const Candidate& b) {
  const auto rank = [](const Candidate& c) {
    const auto& run = c.runs.front();
    return std::make_tuple(-c.mean, run.learning_rate, run.weight_decay, to_line(c.configuration));
  };
  return rank(a) < rank(b);
}

std::vector<std::uint64_t> seeds_of(const Candidate& candidate) {
  std::vector<std::uint64_t> seeds;
  for (const auto& run : candidate.runs) seeds.push_back(run.seed);
  return seeds;
}

template <typename Seeds>
std::string seed_list(const Seeds& seeds) {
  Strings texts;
  for (const auto seed : seeds) texts.push_back(std::to_string(seed));
  return (texts.size() == 1 ? "seed " : "seeds ") + join(texts, ", ");
}

std::string brief(const Contest& contest, const Candidate& candidate) {
  const auto& run = candidate.runs.front();
  return contest.normalization + ", lr " + shortest(run.learning_rate) + ", wd " +
         shortest(run.weight_decay);
}

std::size_t runs_of(const Contest& contest) {
  std::size_t n = 0;
  for (const auto& candidate : contest.candidates) n += candidate.runs.size();
  return n;
}

Json candidate_json(const Candidate& candidate) {
  Json runs = Json::array();
  for (const auto& run : candidate.runs)
    runs.push_back({{"log", run.path},
                    {"seed", run.seed},
                    {"best_epoch", run.best_epoch},
                    {"val_auroc_mean", run.best().val_auroc_mean}});
  return {{"configuration", candidate.configuration},
          {"mean", candidate.mean},
          {"sd", candidate.sd ? Json(*candidate.sd) : Json(nullptr)},
          {"seeds", seeds_of(candidate)},
          {"runs", runs}};
}

// --- the chosen ones once more

struct Recorded {
  Strings options;  // without what each new command sets by itself
  std::string manifest;
};

/// Takes a recorded command line apart, after the declaration of its options.
Recorded take_apart(const results::TrainingLog& log, const Declaration& declared) {
  const auto where = log.path + ": provenance";
  const auto words = shell_words(string_member(own_entry(log), "command", where), where);
  Recorded recorded;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto& word = words[i];
    if (word.size() < 2 || word[0] != '-') {
      recorded.manifest = word;
      continue;
    }
    // "--lr=0.1" and "-ofile" hold their value, "--lr 0.1" has it next.
    const bool is_long = word[1] == '-';
    const auto spelling = is_long ? word.substr(0, word.find('=')) : word.substr(0, 2);
    const bool holds_value = word.size() > spelling.size();
    const auto option = std::find_if(declared.begin(), declared.end(), [&](const auto& o) {
      return std::find(o.spellings.begin(), o.spellings.end(), spelling) != o.spellings.end();
    });
    if (option == declared.end())
      throw DataError(where + ": command: this version has no option " + spelling);
    const bool next = !option->flag && !holds_value;
    if (next && i + 1 == words.size())
      throw DataError(where + ": command: " + spelling + " lacks its value");
    const bool dropped = set_by_sweep(option->name) || option->flag || option->name == "threads";
    if (!dropped) recorded.options.push_back(word);
    if (next && !dropped) recorded.options.push_back(words[i + 1]);
    if (next) ++i;
  }
  return recorded;
}

/// "models/group_s101.pt.log.jsonl" of seed 101, for seed 1: "models/group_s1.pt".
std::string model_of(const results::TrainingLog& log, std::uint64_t seed,
                     const std::string& folder) {
  const auto slash = log.path.rfind('/');
  std::string name = slash == std::string::npos ? log.path : log.path.substr(slash + 1);
  for (const std::string ending : {".jsonl", ".log", ".pt"})
    if (ends_with(name, ending)) name.resize(name.size() - ending.size());
  const auto old = "_s" + std::to_string(log.seed);
  if (ends_with(name, old)) name.resize(name.size() - old.size());
  name += "_s" + std::to_string(seed) + ".pt";
  if (!folder.empty()) return in_folder(folder, name);
  return slash == std::string::npos ? name : log.path.substr(0, slash + 1) + name;
}

}  // namespace

bool set_by_sweep(const std::string& option) {
  return option == "output" || option == "log" || option == "seed" || option == "resume";
}

Sweep read_sweep(const std::string& path, const Declaration& declared) {
  const auto document = read_json(path);
  require_schema(document, "mr-sweep/1", path);
  const Strings known = {"schema", "options", "tuning_seeds", "output", "manifest", "provenance"};
  for (const auto& [key, value] : document.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw DataError(path + ": " + unknown("member", key, known));
  Sweep sweep;
  if (document.contains("options")) read_options(document["options"], declared, path, sweep);
  if (document.contains("tuning_seeds"))
    sweep.seeds = seeds_of(document["tuning_seeds"], path + ": tuning_seeds");
  if (document.contains("output")) sweep.output = string_member(document, "output", path);
  if (document.contains("manifest")) sweep.manifest = string_member(document, "manifest", path);
  return sweep;
}

std::vector<Strings> sweep_commands(const Sweep& sweep, const Declaration& declared,
                                    const std::string& program) {
  if (sweep.output.empty()) throw UsageError("--output is required: the folder of the models");
  if (sweep.manifest.empty() || sweep.manifest == "-")
    throw UsageError("manifest: want a file: every command reads it");
  require_distinct(sweep.seeds, "--tuning-seeds");
  std::vector<Strings> commands;
  Strings outputs;
  for (const auto& point : points_of(axes_of(sweep, declared)))
    for (const auto seed : sweep.seeds) {
      const auto number = std::to_string(seed);
      outputs.push_back(in_folder(sweep.output, point.name + "_s" + number + ".pt"));
      Strings command = {program};
      command.insert(command.end(), point.options.begin(), point.options.end());
      command.insert(command.end(),
                     {"--seed", number, "--resume", "-o", outputs.back(), sweep.manifest});
      commands.push_back(command);
    }
  require_printable(commands, outputs);
  return commands;
}

std::vector<Contest> choose(const std::vector<results::TrainingLog>& logs) {
  std::map<std::string, std::map<std::string, Candidate>> by_name;  // normalization, configuration
  for (const auto& log : logs) {
    if (manifest_hash(log) != manifest_hash(logs.front()))
      throw DataError(log.path + ": trained on another manifest than " + logs.front().path);
    auto configuration = configuration_of(log);
    auto& candidate = by_name[log.normalization][to_line(configuration)];
    candidate.configuration = std::move(configuration);
    candidate.runs.push_back(log);
  }
  std::vector<Contest> contests;
  for (auto& [normalization, candidates] : by_name) {
    contests.push_back({normalization, {}});
    auto& list = contests.back().candidates;
    for (auto& [key, candidate] : candidates) {
      judge(candidate);
      list.push_back(std::move(candidate));
    }
    std::sort(list.begin(), list.end(), is_better);
  }
  return contests;
}

Strings unequal_budgets(const std::vector<Contest>& contests) {
  Strings lines, counts;
  bool unequal = false;
  std::set<std::uint64_t> all;
  for (const auto& contest : contests) {
    counts.push_back(contest.normalization + " " + std::to_string(contest.candidates.size()));
    unequal |= contest.candidates.size() != contests.front().candidates.size();
    for (const auto& candidate : contest.candidates)
      for (const auto& run : candidate.runs) all.insert(run.seed);
  }
  if (unequal) lines.push_back("unequal budgets: configurations of " + join(counts, ", of "));
  for (const auto& contest : contests)
    for (const auto& candidate : contest.candidates) {
      auto lacking = all;
      for (const auto& run : candidate.runs) lacking.erase(run.seed);
      if (!lacking.empty())
        lines.push_back("unequal budgets: " + brief(contest, candidate) + " lacks " +
                        seed_list(lacking));
    }
  return lines;
}

Strings describe_choice(const std::vector<Contest>& contests) {
  Strings lines;
  std::size_t all = 0;
  for (const auto& contest : contests) {
    const auto& chosen = contest.chosen();
    all += runs_of(contest);
    lines.push_back(brief(contest, chosen) + ": mean validation AUROC " + fixed(chosen.mean, 4) +
                    (chosen.sd ? " (SD " + fixed(*chosen.sd, 4) + ")" : "") + " over " +
                    seed_list(seeds_of(chosen)) + "; best of " +
                    counted(contest.candidates.size(), "configuration") + ", " +
                    counted(runs_of(contest), "run"));
  }
  lines.insert(lines.begin(), "chosen from " + counted(all, "run") + ", by validation alone");
  return lines;
}

Json to_json(const std::vector<Contest>& contests, const Json& provenance) {
  Json list = Json::array();
  std::size_t runs = 0;
  for (const auto& contest : contests) {
    Json entry = {{"normalization", contest.normalization}};
    entry.update(candidate_json(contest.chosen()));
    entry["candidates"] = Json::array();
    for (const auto& candidate : contest.candidates)
      entry["candidates"].push_back(candidate_json(candidate));
    list.push_back(entry);
    runs += runs_of(contest);
  }
  return {{"schema", "mr-train-choice/1"},
          {"measure", "val_auroc_mean"},
          {"runs", runs},
          {"normalizations", list},
          {"provenance", provenance}};
}

std::vector<Strings> retraining_commands(const std::vector<Contest>& contests,
                                         const Retraining& retraining, const Declaration& declared,
                                         const std::string& program) {
  require_distinct(retraining.seeds, "--report-seeds");
  for (const auto& contest : contests)
    for (const auto& candidate : contest.candidates)
      for (const auto& run : candidate.runs)
        if (std::find(retraining.seeds.begin(), retraining.seeds.end(), run.seed) !=
            retraining.seeds.end())
          throw UsageError("--report-seeds: " + std::to_string(run.seed) +
                           " was used for tuning, in " + run.path + ": want fresh seeds");
  std::vector<Strings> commands;
  Strings outputs;
  for (const auto& contest : contests) {
    const auto& run = contest.chosen().runs.front();
    auto recorded = take_apart(run, declared);
    if (!retraining.manifest.empty()) recorded.manifest = retraining.manifest;
    if (recorded.manifest.empty() || recorded.manifest == "-")
      throw DataError(run.path + ": its manifest came by standard input; name it with --manifest");
    const auto threads = integer_member(run.header["training"], "threads", run.path);
    for (const auto seed : retraining.seeds) {
      outputs.push_back(model_of(run, seed, retraining.output));
      Strings command = {program};
      command.insert(command.end(), recorded.options.begin(), recorded.options.end());
      command.insert(command.end(),
                     {"--threads", std::to_string(threads), "--seed", std::to_string(seed),
                      "--resume", "-o", outputs.back(), recorded.manifest});
      commands.push_back(command);
    }
  }
  require_printable(commands, outputs);
  return commands;
}

}  // namespace mr::train
