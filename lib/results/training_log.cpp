#include "results/training_log.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "results/evaluation.h"

namespace mr::results {
namespace {

constexpr const char* schema = "mr-train-log/1";

Epoch to_epoch(const Json& line, std::int64_t expected, const std::string& where) {
  Epoch e;
  e.epoch = integer_member(line, "epoch", where);
  if (e.epoch != expected)
    throw DataError(where + ": want epoch " + std::to_string(expected) + ", got " +
                    std::to_string(e.epoch));
  e.train_loss = number_member(line, "train_loss", where);
  e.val_loss = number_member(line, "val_loss", where);
  e.val_auroc_mean = number_member(line, "val_auroc_mean", where);
  return e;
}

void read_header(const Json& header, TrainingLog& log) {
  require_schema(header, schema, log.path);
  log.header = header;
  log.normalization = trained_as(header, log.path).name();
  const auto& training = member(header, "training", log.path);
  const auto where = log.path + ": training";
  const auto& seed = member(training, "seed", where);
  if (!seed.is_number_unsigned())
    throw DataError(where + ": seed: want a whole number from 0, got " + excerpt(seed));
  log.seed = seed.get<std::uint64_t>();
  log.learning_rate = number_member(training, "learning_rate", where);
  log.weight_decay = number_member(training, "weight_decay", where);
}

void read_end(const Json& end, TrainingLog& log, const std::string& where) {
  log.best_epoch = integer_member(end, "best_epoch", where);
  log.stopped = string_member(end, "stopped", where);
  if (log.best_epoch < 1 || log.best_epoch > static_cast<std::int64_t>(log.epochs.size()))
    throw DataError(where + ": best_epoch: " + std::to_string(log.best_epoch) + " of " +
                    std::to_string(log.epochs.size()) + " epochs");
}

}  // namespace

bool is_training_log(const std::string& path) {
  if (path == "-" || is_folder(path) || !exists(path)) return false;
  return read_prefix(path, 64).find("\"mr-train-log/") != std::string::npos;
}

TrainingLog read_training_log(const std::string& path) {
  const auto text = read_all(path);
  TrainingLog log;
  log.path = path;
  auto lines = split(text, '\n');
  if (lines.back().empty()) lines.pop_back();  // after the last newline
  if (lines.empty() || lines.front().find("mr-train-log/") == std::string::npos)
    throw DataError(path + ": not a training log (" + schema + ")");
  read_header(parse_json(lines.front(), path), log);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto where = path + ": line " + std::to_string(i + 1);
    const auto line = parse_json(lines[i], path, i + 1);
    if (!line.is_object() || !line.contains("end")) {
      const auto expected = static_cast<std::int64_t>(log.epochs.size()) + 1;
      log.epochs.push_back(to_epoch(line, expected, where));
      continue;
    }
    read_end(line, log, where);
    if (i + 1 < lines.size()) throw DataError(where + ": text after the end line");
    return log;
  }
  throw DataError(path + ": unfinished: it has no end line");
}

}  // namespace mr::results
