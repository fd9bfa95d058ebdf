// report/: tables for programs: every estimate, and every sample's score. RFC 4180, "." decimals;
// a number that is undefined is an empty field, with its reason in the last column.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "report/scope.h"

namespace mr::report {

/// One row per estimate (records.h), long and tidy.
std::string estimates_csv(const Scope& scope);

/// One row per sample, label, model and condition, streamed as the evaluations are read.
class ScoresCsv {
 public:
  explicit ScoresCsv(std::function<void(std::string_view)> sink);  // writes the head
  void add(const results::Header& header, const results::Result& result);

 private:
  std::function<void(std::string_view)> sink_;
};

}  // namespace mr::report
