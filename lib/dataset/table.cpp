#include "dataset/table.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "dataset/manifest.h"

namespace mr::dataset {
namespace {

[[noreturn]] void fail(const std::string& name, std::size_t line, const std::string& what) {
  throw DataError(name + ": line " + std::to_string(line) + ": " + what);
}

/// Takes records off the front of a text.
class Records {
 public:
  Records(std::string_view text, const std::string& name) : text_(text), name_(name) {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") text_.remove_prefix(3);
    if (text_.substr(0, 2) == "\xFF\xFE" || text_.substr(0, 2) == "\xFE\xFF")
      throw DataError(name + ": is UTF-16; want UTF-8");
    const auto first_line = text_.substr(0, text_.find('\n'));
    const auto has = [&](char c) { return first_line.find(c) != std::string_view::npos; };
    separator_ = has('\t') ? '\t' : has(';') && !has(',') ? ';' : ',';
  }

  /// The next record that is not a blank line; false at the end.
  bool next(Table::Row& row) {
    while (!text_.empty()) {
      row.line = line_;
      row.fields.clear();
      bool more = true;
      while (more) row.fields.push_back(field(more));
      if (row.fields.size() > 1 || !row.fields[0].empty()) return true;
    }
    return false;
  }

 private:
  /// One field and what ends it: `more` where a separator does, so that another field follows.
  std::string field(bool& more) {
    std::string value;
    if (!text_.empty() && text_.front() == '"') {
      value = quoted();
    } else {
      const char ends[] = {separator_, '\r', '\n', '\0'};
      const auto end = std::min(text_.find_first_of(ends), text_.size());
      value = std::string(text_.substr(0, end));
      text_.remove_prefix(end);
    }
    more = false;
    if (text_.empty()) return value;
    const std::size_t width = text_.substr(0, 2) == "\r\n" ? 2 : 1;
    const char end = text_[width - 1];
    more = end == separator_;
    if (!more && end != '\n' && end != '\r') fail(name_, line_, "text after a closing quote");
    if (!more) ++line_;
    text_.remove_prefix(width);
    return value;
  }

  std::string quoted() {
    const auto opened = line_;
    std::string value;
    for (std::size_t i = 1; i < text_.size(); ++i) {
      if (text_[i] == '"') {
        if (i + 1 == text_.size() || text_[i + 1] != '"') {
          text_.remove_prefix(i + 1);
          return value;
        }
        ++i;
      }
      if (text_[i] == '\n') ++line_;
      value += text_[i];
    }
    fail(name_, opened, "a quote is opened and never closed");
  }

  std::string_view text_;
  const std::string& name_;
  char separator_ = ',';
  std::size_t line_ = 1;
};

}  // namespace

bool is_unknown(const std::string& field) {
  const auto word = lower(field);
  return word.empty() || word == "na" || word == "n/a" || word == "nan" || word == "null";
}

std::optional<std::size_t> Table::find(const std::string& title) const {
  const auto found = std::find(columns.begin(), columns.end(), title);
  if (found == columns.end()) return std::nullopt;
  return static_cast<std::size_t>(found - columns.begin());
}

std::size_t Table::column(const std::string& title) const {
  if (const auto found = find(title)) return *found;
  throw UsageError(name + ": " + unknown("column", title, columns));
}

Table parse_table(std::string_view text, const std::string& name) {
  Records records(text, name);
  Table table;
  table.name = name;
  Table::Row row;
  if (!records.next(row)) throw DataError(name + ": empty; want a line of column names");
  table.columns = row.fields;
  std::set<std::string> titles;
  for (const auto& title : table.columns)
    if (!titles.insert(title).second) fail(name, row.line, "column '" + title + "' is there twice");
  while (records.next(row)) {
    if (row.fields.size() != table.columns.size())
      fail(name, row.line,
           "want " + std::to_string(table.columns.size()) + " fields, found " +
               std::to_string(row.fields.size()));
    table.rows.push_back(row);
  }
  return table;
}

Table read_table(const std::string& path) {
  return parse_table(read_all(path), path);
}

bool parse_integer(const std::string& text, std::int64_t& value) {
  const auto end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end;
}

std::int64_t slice_of(const Table& table, const Table::Row& row, std::size_t column) {
  const auto& field = row.fields[column];
  std::int64_t index = 0;
  if (!parse_integer(field, index) || index < 0)
    fail(table.name, row.line, "slice: want 0 or more, got '" + field + "'");
  return index;
}

int label_of(const Table& table, const Table::Row& row, std::size_t column) {
  return label_of(table, row.line, column, row.fields[column]);
}

int label_of(const Table& table, std::size_t line, std::size_t column, const std::string& field) {
  if (field == "0") return 0;
  if (field == "1") return 1;
  if (is_unknown(field)) return unknown_label;
  fail(table.name, line,
       table.columns[column] + ": want 0 or 1, or empty or NA where " + "unknown, got '" + field +
           "'");
}

Json attribute_of(const Table::Row& row, std::size_t column) {
  const auto& field = row.fields[column];
  if (is_unknown(field)) return nullptr;
  // "007" is a name, not the number 7: a number must be written as JSON would write it.
  const auto parsed = Json::parse(field, nullptr, false);
  return parsed.is_number() ? parsed : Json(field);
}

}  // namespace mr::dataset
