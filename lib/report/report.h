// report/: evaluations in, pages and tables out.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/run.h"

namespace mr::report {

struct Options {
  std::vector<std::string> evaluations = {"-"};  // files; "-" is standard input
  std::string baseline;                          // arm; "": batch, else the first
  std::string folder;                            // "": Markdown alone
  std::string scores;                            // CSV of every score; "": none
  Overwrite overwrite = Overwrite::no;
};

/// Reads the evaluations once, writes the report as Markdown to `markdown`, and, where they are
/// named, the folder (report.html, .md, .json, .csv, figures/*.svg) and the scores.
/// throws UsageError (no such baseline), CannotCreateError before any reading, and what Study
/// throws
void write_report(const Options& options, const Run& run,
                  const std::function<void(std::string_view)>& markdown);

}  // namespace mr::report
