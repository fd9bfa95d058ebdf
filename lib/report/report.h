// report/: evaluations and training logs in, pages and tables out.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/run.h"
#include "results/contrasts.h"

namespace mr::report {

struct Options {
  std::vector<std::string> inputs = {"-"};  // evaluations and training logs; "-": standard input
  std::string baseline;                     // arm; "": batch, else the first
  std::vector<std::string> compare;         // two arms, the baseline first; none: all arms
  std::string protocol;                     // file; "": the default rule
  std::optional<results::Level> level;      // none: that of the protocol, else as it can be tested
  std::optional<results::Pool> pool;        // none: that of the protocol, else top3
  results::Recalibrate recalibrate = results::Recalibrate::no;
  std::vector<std::string> by;       // attributes to make subgroups of
  std::optional<double> prevalence;  // for the predictive values; none: of the samples
  std::string folder;                // "": Markdown alone
  std::string scores;                // CSV of every score; "": none
  Overwrite overwrite = Overwrite::no;
};

/// Reads the inputs once, writes the report as Markdown to `markdown`, and, where they are named,
/// the scores and the folder: report.html, .md, .json, .csv, tables.tex, recompute.py and .R,
/// figures/*.svg and .csv; training.csv where there are logs. A file that calls itself a training
/// log is read as one, all else as an evaluation.
/// throws UsageError (no such baseline, or no evaluation to have one), CannotCreateError before any
///        reading, and what Study and read_training_log throw
void write_report(const Options& options, const Run& run,
                  const std::function<void(std::string_view)>& markdown);

}  // namespace mr::report
