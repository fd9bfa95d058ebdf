// report/: tables for programs: every estimate, and every sample's score. RFC 4180, "." decimals;
// a number that is undefined is an empty field, with its reason in the last column.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "report/document.h"
#include "report/scope.h"

namespace mr::report {

/// One row per estimate (records.h), long and tidy.
std::string estimates_csv(const Scope& scope);

/// What a figure draws, one row per tile, point or bar, named as in the drawing:
/// heat map  row,column,estimate,lo,hi,marked
/// curves    series,run,x,estimate,lo,hi; run: empty for the mean
/// forest    group,name,estimate,lo,hi
std::string figure_csv(const Figure& figure);

/// One row per sample, label, model and condition, streamed as the evaluations are read.
class ScoresCsv {
 public:
  explicit ScoresCsv(std::function<void(std::string_view)> sink);  // writes the head
  void add(const results::Header& header, const results::Result& result);

 private:
  std::function<void(std::string_view)> sink_;
};

}  // namespace mr::report
