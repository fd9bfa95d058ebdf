// results/: the protocol of a study, mr-protocol/1: what is to be shown, fixed before any test
// image is scored.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "results/pooling.h"

namespace mr::results {

/// When one arm may be preferred to the baseline. Differences are of the macro AUROC, arm minus
/// baseline; levels of tests are one-sided.
struct Rule {
  double margin = 0.03;             // of non-inferiority on clean images, and of equivalence
  double guard = 0.05;              // the loss under a single artifact that is not accepted
  double alpha = 0.025;             // over all candidates (Holm 1979)
  double sensitivity_floor = 0.80;  // at the frozen threshold, of every label
  double alarm_rate_cap = 0.10;     // rise of the share of samples called positive, likewise
  double up_to_severity = 3;        // both of these hold up to here
};
Json to_json(const Rule& rule);

struct Protocol {
  std::string baseline;         // arm
  Level level = Level::volume;  // that the endpoint and the operating points are of
  Pool pool = Pool::top3;
  std::vector<std::string> artifacts;  // of the endpoint: mean over severities, then artifacts,
  std::vector<double> severities;      // then labels, then runs
  Rule rule;
  double standard_error = 0;  // expected, of the difference on clean images and of the endpoint
  double difference = 0;      // of the endpoint, that the study is to find
};

/// throws DataError on a margin, level, ... out of range; `name` is for the message
void check(const Protocol& protocol, const std::string& name);

/// Chance to show non-inferiority on clean images of an arm that is as good as the baseline.
double non_inferiority_power(const Protocol& protocol);
/// Chance to show that the endpoint is better, of an arm that is so by `difference`.
double superiority_power(const Protocol& protocol);

Json to_json(const Protocol& protocol);
/// throws MissingInputError, DataError
Protocol read_protocol(const std::string& path);

}  // namespace mr::results
