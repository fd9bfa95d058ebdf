// report/: how numbers and text are printed. Locale plays no part.
#pragma once
#include <string>
#include <string_view>

#include "report/document.h"
#include "results/contrasts.h"

namespace mr::report {

inline constexpr const char* no_number = "–";

std::string level(double value);           // "0.912"
std::string difference(double value);      // "+0.012", "−0.012", "0.000"
std::string p_value(double p);             // "<.001", ".012"
std::string minus_sign(std::string text);  // "-" of a number as U+2212

/// The value with its interval, or with the reason why there is none.
Cell level_cell(const stats::Estimate& estimate);
Cell difference_cell(const stats::Estimate& estimate);
Cell p_cell(const std::optional<double>& p, const std::string& reason);

/// Of the macro AUROC: a cell with the difference of each contrast, put at the end of a row; and
/// one contrast for a program.
void add_differences(std::vector<Cell>& row, const results::Study& study,
                     const std::vector<results::Contrast>& contrasts);
Json interval_json(const results::Study& study, const results::Contrast& contrast);

std::string plural(std::size_t n, const std::string& noun);  // "1 run", "3 runs"
std::string listed(const std::vector<std::string>& items);   // "a, b and c"
std::string arm_name(const std::string& arm);                // "batch + batch-stats:volume"
std::string condition_name(const results::Condition& condition);
/// A number with its interval in brackets: "0.912 (0.880 to 0.937)".
std::string in_words(const Cell& cell);
/// A JSON value as a person would write it: "size 64, 48; spacing_mm –".
std::string in_words(const Json& value);

/// What stands in the columns "artifact" and "severity" of a condition: one that is no artifact as
/// drawn at a severity has its whole name, and no severity.
struct ConditionColumns {
  std::string artifact;
  std::optional<double> severity;
};
ConditionColumns columns_of(const results::Condition& condition);

std::string escape_xml(std::string_view text);       // for elements and quoted attributes
std::string escape_markdown(std::string_view text);  // one line
std::string csv_field(std::string_view text);        // RFC 4180
std::string csv_line(const std::vector<std::string>& fields);
std::string slug(std::string_view text);  // "group(8)" -> "group-8"

}  // namespace mr::report
