// Tables of labels and attributes: CSV (RFC 4180, or with semicolons) or TSV with a line of column
// names.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace mr::dataset {

struct Table {
  struct Row {
    std::size_t line;                 // in the file, from 1
    std::vector<std::string> fields;  // one per column
  };
  std::string name;  // for messages
  std::vector<std::string> columns;
  std::vector<Row> rows;

  /// Index of a column. throws UsageError that names the columns there are
  std::size_t column(const std::string& title) const;
  std::optional<std::size_t> find(const std::string& title) const;
};

/// Fields are split at tabs where the first line has one, at semicolons where it has these and no
/// comma, else at commas. UTF-8; a byte order mark,
/// CRLF and blank lines are allowed; quotes may hold separators, line breaks and doubled quotes.
/// throws DataError "NAME: line L: ...", MissingInputError
Table parse_table(std::string_view text, const std::string& name);
Table read_table(const std::string& path);

/// The integer that the whole text is.
bool parse_integer(const std::string& text, std::int64_t& value);

/// A slice's index. throws DataError "NAME: line L: slice: ..." on what is none
std::int64_t slice_of(const Table& table, const Table::Row& row, std::size_t column);

/// 0 or 1, or unknown_label where the field is empty or NA, N/A, NaN or null in any case.
/// throws DataError "NAME: line L: COLUMN: ..." on anything else
int label_of(const Table& table, const Table::Row& row, std::size_t column);
/// The same of the text of a field that stands in that line and column.
int label_of(const Table& table, std::size_t line, std::size_t column, const std::string& field);

/// Empty, or NA and the like (as above).
bool is_unknown(const std::string& field);

/// A number where the field is one in plain decimal writing, null where it is unknown (as above),
/// else the text.
Json attribute_of(const Table::Row& row, std::size_t column);

}  // namespace mr::dataset
