// Labels out of a table's columns: as they stand, or by a condition.
#pragma once
#include <string>
#include <vector>

#include "dataset/table.h"

namespace mr::dataset {

/// A label and where it comes from: "NAME" (the column of that name holds 0, 1, or nothing),
/// "NAME=COLUMN", or "NAME=COLUMN OP VALUE" with ==, !=, >=, <=, > or < (blanks may be left out): 1
/// where it holds, 0 elsewhere, unknown where the field is. == and != compare numbers where both
/// sides are, else texts.
struct LabelRule {
  std::string name, column, operation, value;
};

/// throws UsageError "OPTION: ..."
LabelRule parse_label_rule(const std::string& option, const std::string& text);

/// 0, 1 or unknown_label. throws DataError "NAME: line L: COLUMN: ..." where a number or 0 or 1 is
/// wanted
int label_of(const LabelRule& rule, const Table& table, const Table::Row& row, std::size_t column);

/// "{COLUMN}" in a text is the row's field, without blanks around it. throws UsageError on a column
/// that is not there or a brace that is not closed
std::string filled_in(const std::string& format, const Table& table, const Table::Row& row);

}  // namespace mr::dataset
