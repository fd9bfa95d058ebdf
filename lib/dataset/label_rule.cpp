#include "dataset/label_rule.h"

#include "base/error.h"
#include "base/text.h"
#include "dataset/manifest.h"

namespace mr::dataset {
namespace {

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool compare(const std::string& operation, double a, double b) {
  if (operation == "==") return a == b;
  if (operation == "!=") return a != b;
  if (operation == ">=") return a >= b;
  if (operation == "<=") return a <= b;
  return operation == ">" ? a > b : a < b;
}

}  // namespace

LabelRule parse_label_rule(const std::string& option, const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos) return {text, text, "", ""};
  LabelRule rule{text.substr(0, equals), trimmed(text.substr(equals + 1)), "", ""};
  for (const char* operation : {"==", "!=", ">=", "<=", ">", "<"}) {
    const auto at = rule.column.find(operation);
    if (at == std::string::npos) continue;
    rule.operation = operation;
    rule.value = trimmed(rule.column.substr(at + rule.operation.size()));
    rule.column = trimmed(rule.column.substr(0, at));
    const bool ordered = rule.operation.find_first_of("<>") == 0;
    if (rule.value.empty() || (ordered && !to_number(rule.value)))
      throw UsageError(option + ": " + text + ": want a " + (ordered ? "number" : "value") +
                       " behind " + operation);
    break;
  }
  if (rule.name.empty() || rule.column.empty())
    throw UsageError(option + ": want NAME, NAME=COLUMN or NAME=COLUMN>=VALUE, got '" + text + "'");
  return rule;
}

int label_of(const LabelRule& rule, const Table& table, const Table::Row& row, std::size_t column) {
  const auto field = trimmed(row.fields[column]);
  if (rule.operation.empty()) return label_of(table, row.line, column, field);
  if (is_unknown(field)) return unknown_label;
  const auto a = to_number(field), b = to_number(rule.value);
  if (a && b) return compare(rule.operation, *a, *b) ? 1 : 0;
  if (rule.operation == "==" || rule.operation == "!=")
    return (field == rule.value) == (rule.operation == "==") ? 1 : 0;
  throw DataError(table.name + ": line " + std::to_string(row.line) + ": " + rule.column +
                  ": want a number for " + rule.operation + " " + rule.value + ", got '" + field +
                  "'");
}

std::string filled_in(const std::string& format, const Table& table, const Table::Row& row) {
  std::string out;
  for (std::size_t at = 0; at < format.size();) {
    const auto open = format.find('{', at);
    out += format.substr(at, open == std::string::npos ? open : open - at);
    if (open == std::string::npos) break;
    const auto close = format.find('}', open);
    if (close == std::string::npos)
      throw UsageError(format + ": want } behind " + format.substr(open));
    out += trimmed(row.fields[table.column(format.substr(open + 1, close - open - 1))]);
    at = close + 1;
  }
  return out;
}

}  // namespace mr::dataset
