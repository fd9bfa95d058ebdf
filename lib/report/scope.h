// report/: what one report asks of a study, and the questions that more than one page asks.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "results/contrasts.h"
#include "results/scored.h"
#include "results/verdict.h"

namespace mr::report {

using results::Condition;
using results::Contrast;
using results::Estimate;
using results::Label;
using results::Metric;
using results::Study;

/// A protocol as it was read.
struct PlannedStudy {
  std::string file, sha256;
  results::Protocol content;
};

PlannedStudy read_plan(const std::string& path);  // throws what read_protocol throws

struct Scope {
  const Study& study;
  std::string baseline;
  std::vector<std::string> candidates;  // all other arms
  std::vector<std::string> artifacts;
  std::vector<double> severities;  // of any artifact, ascending
  std::vector<Condition> others;   // neither clean, nor an artifact at a severity, nor these:
  std::vector<Condition> gain_controls;
  std::optional<PlannedStudy> protocol;
  std::vector<results::Verdict>
      verdicts;  // on the candidates; none without clean and graded images
  std::vector<results::BinnedCalibration> calibrations;
  std::vector<results::DecisionCurve> decision_curves;
  std::vector<results::Detection> detections;
  std::vector<results::Exchange> exchanges;  // of single runs

  results::Rule rule() const { return protocol ? protocol->content.rule : results::Rule(); }
  bool graded() const { return !artifacts.empty(); }  // artifacts at severities were evaluated
  std::vector<std::string> arms() const;              // the baseline first
  std::vector<std::string> arms_where(const std::function<bool(const std::string&)>& wanted) const;
  std::size_t style(const std::string& arm) const;  // its colour, dash and marker (curves.h)
};

/// baseline  an arm, or "" for that of the protocol, else batch, else the first arm of batch norm
/// as
///           trained without augmentation, else the first arm
/// throws    UsageError when the study lacks the baseline
Scope make_scope(const Study& study, const std::string& baseline,
                 const std::optional<PlannedStudy>& protocol = {});

/// Corrupted (the endpoint) minus clean.
Contrast change(const Scope& scope, const std::string& arm);

/// "severities 1 to 5", as evaluated
std::string severity_range(const Scope& scope);

/// "125 volumes of 60 subjects", or at the level of subjects "60 subjects"
std::string size_of_test_set(const Study& study);

/// Whether intervals of decisions hold the spread of their operating points: a clause.
std::string of_thresholds(const Study& study);

/// Labels, and after more than one of them macro: (name, label).
std::vector<std::pair<std::string, Label>> all_labels(const Study& study);
std::string label_name(const Study& study, Label label);

const results::Model& any_model(const Study& study, const std::string& arm);

/// How the networks of an arm were trained; none of an adapted or converted one.
std::optional<results::Training> plain_training(const Study& study, const std::string& arm);

/// An arm with a single run, whose results speak of that network only; and whether all are such.
bool single_run(const Study& study);
bool single_runs_only(const Study& study);

/// "subjects and runs", or "subjects" where every arm has one run: what intervals take as random.
std::string random_factors(const Study& study);

}  // namespace mr::report
