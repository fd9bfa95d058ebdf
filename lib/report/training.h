// report/: how models were trained, from their logs (mr-train-log/1): learning curves and the epoch
// that was kept.
#pragma once
#include <string>
#include <vector>

#include "report/document.h"
#include "results/training_log.h"

namespace mr::report {

/// Training logs, those of one normalization together, and the styles they are drawn in.
class Trainings {
 public:
  /// arms  the arms of an evaluation in the same report, in the order of their styles, which
  ///       normalizations of the same name share; or none. Other normalizations follow: batch
  ///       first, then as they appear.
  Trainings(std::vector<results::TrainingLog> logs, const std::vector<std::string>& arms);

  const std::vector<results::TrainingLog>& logs() const { return logs_; }
  std::vector<std::string> normalizations() const;  // in the order of the logs, each once
  std::size_t style(const std::string& normalization) const;

 private:
  std::size_t place(const std::string& normalization) const;  // in names_

  std::vector<std::string> names_;  // in the order of their styles
  std::vector<results::TrainingLog> logs_;
};

/// Curves and a table of the best epochs; no blocks where there are no logs.
Section training(const Trainings& trainings);

/// A report of trainings alone. provenance: that of the logs with this run's entry last
Document training_document(const Trainings& trainings, const Json& provenance);

/// Member "training" of mr-report/1: each run with its epochs.
Json training_json(const Trainings& trainings);

/// One row per run.
std::string training_csv(const Trainings& trainings);

}  // namespace mr::report
