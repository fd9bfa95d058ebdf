#include "report/document.h"

#include <algorithm>

namespace mr::report {

std::vector<std::string> footnotes(const Table& table) {
  std::vector<std::string> notes;
  for (const auto& row : table.rows)
    for (const auto& cell : row)
      if (!cell.reason.empty() && std::find(notes.begin(), notes.end(), cell.reason) == notes.end())
        notes.push_back(cell.reason);
  return notes;
}

std::string footnote_mark(const std::vector<std::string>& notes, const std::string& reason) {
  const auto i =
      static_cast<std::size_t>(std::find(notes.begin(), notes.end(), reason) - notes.begin());
  return i < 26 ? std::string(1, static_cast<char>('a' + i)) : std::to_string(i + 1);
}

bool same_heads(const Table& table, std::size_t a, std::size_t b, std::size_t last) {
  for (std::size_t i = 0; i <= last; ++i)
    if (table.rows[a][i].text != table.rows[b][i].text) return false;
  return true;
}

}  // namespace mr::report
