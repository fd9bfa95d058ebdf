#include "report/latex.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>

#include "report/format.h"

namespace mr::report {
namespace {

// What fits A4 with margins of 2 cm, numbers with their intervals below them.
constexpr std::size_t most_rows = 20;
std::size_t most_numbers(const Table& table) {
  return table.heads < 6 ? 7 - table.heads : 1;
}

constexpr const char* head =
    "% Made by mr-report. Needs \\usepackage{booktabs}. In a paper: \\input{tables.tex}\n"
    "% An estimate above its interval; for both on one line redefine before \\input:\n"
    "%   \\newcommand{\\mrinterval}[2]{#1 [#2]}\n"
    "\\providecommand{\\mrinterval}[2]{\\begin{tabular}[t]{@{}r@{}}#1\\\\[-1pt]"
    "{\\scriptsize[#2]}\\end{tabular}}\n";

const std::map<char32_t, const char*>& symbols() {
  static const std::map<char32_t, const char*> all = {
      {U'\\', "\\textbackslash{}"},
      {U'{', "\\{"},
      {U'}', "\\}"},
      {U'$', "\\$"},
      {U'&', "\\&"},
      {U'#', "\\#"},
      {U'%', "\\%"},
      {U'_', "\\_"},
      {U'~', "\\textasciitilde{}"},
      {U'^', "\\textasciicircum{}"},
      {U'<', "\\textless{}"},
      {U'>', "\\textgreater{}"},
      {U'|', "\\textbar{}"},
      {U'"', "\\textquotedblright{}"},
      {U'`', "\\textasciigrave{}"},
      // After the end of a row these would be read as its argument; two hyphens as a dash.
      {U'[', "{[}"},
      {U']', "{]}"},
      {U'*', "{*}"},
      {U'-', "{-}"},
      {U'−', "$-$"},
      {U'–', "--"},
      {U'—', "---"},
      {U'‘', "`"},
      {U'’', "'"},
      {U'“', "``"},
      {U'”', "''"},
      {U'…', "\\ldots{}"},
      {U'•', "$\\bullet$"},
      {U'·', "$\\cdot$"},
      {U'×', "$\\times$"},
      {U'±', "$\\pm$"},
      {U'≤', "$\\leq$"},
      {U'≥', "$\\geq$"},
      {U'≠', "$\\neq$"},
      {U'≈', "$\\approx$"},
      {U'→', "$\\rightarrow$"},
      {U'∞', "$\\infty$"},
      {U'√', "$\\surd$"},
      {U'°', "$^\\circ$"},
      {U'²', "$^2$"},
      {U'³', "$^3$"},
      {U'¹', "$^1$"},
      {U'µ', "$\\mu$"},
      {U'§', "\\S{}"},
      {U'\u00a0', "~"},
      {U'\u202f', "\\,"},
      {U'\u2009', "\\,"}};
  return all;
}

/// α to ω and Α to Ω, as mathematics; "" for others.
std::string greek(char32_t c) {
  static const std::array<const char*, 25> names = {
      "alpha", "beta",   "gamma",   "delta", "epsilon", "zeta", "eta",  "theta", "iota",
      "kappa", "lambda", "mu",      "nu",    "xi",      "",     "pi",   "rho",   "varsigma",
      "sigma", "tau",    "upsilon", "phi",   "chi",     "psi",  "omega"};
  static const std::array<const char*, 25> capitals = {
      "A",       "B",        "\\Gamma",   "\\Delta", "E",    "Z",     "H",      "\\Theta", "I",
      "K",       "\\Lambda", "M",         "N",       "\\Xi", "O",     "\\Pi",   "P",       "",
      "\\Sigma", "T",        "\\Upsilon", "\\Phi",   "X",    "\\Psi", "\\Omega"};
  if (c == U'ο') return "o";
  if (c >= U'α' && c <= U'ω') return std::string("$\\") + names[c - U'α'] + "$";
  if (c >= U'Α' && c <= U'Ω' && *capitals[c - U'Α'])
    return std::string("$\\mathrm{") + capitals[c - U'Α'] + "}$";
  return "";
}

/// Accented Latin letters that pdfLaTeX knows in its default encoding.
bool known_letter(char32_t c) {
  constexpr std::u32string_view missing = U"ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲų";
  return c >= 0xC0 && c <= 0x17E && missing.find(c) == missing.npos;
}

/// The character that begins at `at`, which moves behind it; U+FFFD for what is no UTF-8.
char32_t next_character(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto first = byte(at++);
  if (first < 0x80) return first;
  const std::size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC2 ? 1 : 0;
  if (more == 0 || first > 0xF4 || at + more > text.size()) return U'\uFFFD';
  char32_t c = first & (0x3Fu >> more);
  for (std::size_t i = 0; i < more; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return U'\uFFFD';
    c = c << 6 | (byte(at + i) & 0x3Fu);
  }
  at += more;
  return c;
}

std::string code_point(char32_t c) {
  std::array<char, 16> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "{[}U+%04X{]}", static_cast<unsigned>(c));
  return buffer.data();
}

/// The place of each cell of a ranked column, by row: 1 the best, 2 the second, as printed.
std::vector<int> places(const Table& table, std::size_t column) {
  const auto cell = [&](std::size_t row) -> const Cell& { return table.rows[row][column]; };
  std::vector<int> place(table.rows.size());
  if (table.rows.size() < 2) return place;
  for (int rank = 1; rank <= 2; ++rank) {
    const Cell* best = nullptr;
    for (std::size_t r = 0; r < place.size(); ++r)
      if (place[r] == 0 && cell(r).value && (!best || *cell(r).value > *best->value))
        best = &cell(r);
    for (std::size_t r = 0; best && r < place.size(); ++r)
      if (place[r] == 0 && cell(r).text == best->text) place[r] = rank;
  }
  return place;
}

std::string printed(const Cell& cell, int place, const std::vector<std::string>& notes) {
  std::string text = escape_latex(cell.text);
  if (place == 1) text = "\\textbf{" + text + "}";
  if (place == 2) text = "\\underline{" + text + "}";
  if (cell.marked) text += "\\," + escape_latex(mark);
  if (!cell.reason.empty()) text += "\\textsuperscript{" + footnote_mark(notes, cell.reason) + "}";
  if (cell.interval.empty()) return text;
  auto interval = cell.interval;
  if (const auto to = interval.find(" to "); to != std::string::npos) interval.replace(to, 4, ", ");
  return "\\mrinterval{" + text + "}{" + escape_latex(interval) + "}";
}

/// Part of a table: rows first to end, its heads and some of its other columns.
struct Part {
  std::size_t first_row, end_row;
  std::vector<std::size_t> columns;
};

std::vector<Part> parts_of(const Table& table) {
  std::vector<Part> parts;
  const auto columns = table.columns.size();
  for (std::size_t row = 0; row < table.rows.size(); row += most_rows)
    for (std::size_t c = table.heads; c < columns; c += most_numbers(table)) {
      Part part{row, std::min(row + most_rows, table.rows.size()), {}};
      for (std::size_t h = 0; h < table.heads; ++h) part.columns.push_back(h);
      for (auto n = c; n < std::min(c + most_numbers(table), columns); ++n)
        part.columns.push_back(n);
      parts.push_back(part);
    }
  return parts;
}

std::string row_of(const Table& table, std::size_t row, const Part& part,
                   const std::vector<std::vector<int>>& place,
                   const std::vector<std::string>& notes) {
  std::string line;
  for (const auto c : part.columns) {
    const bool as_above =
        row > part.first_row && c + 1 < table.heads && same_heads(table, row - 1, row, c);
    line +=
        (c == 0 ? "" : " & ") + (as_above ? "" : printed(table.rows[row][c], place[c][row], notes));
  }
  return line + " \\\\\\addlinespace[2pt]\n";
}

/// "Corrupted, against batch" in two lines.
std::string column_head(const std::string& name) {
  const auto comma = name.find(", ");
  if (comma == std::string::npos) return escape_latex(name);
  return "\\begin{tabular}[t]{@{}r@{}}" + escape_latex(name.substr(0, comma + 1)) + "\\\\" +
         escape_latex(name.substr(comma + 2)) + "\\end{tabular}";
}

std::string notes_of(const Table& table, const std::vector<std::string>& notes) {
  const bool intervals = std::any_of(table.rows.begin(), table.rows.end(), [](const auto& row) {
    return std::any_of(row.begin(), row.end(),
                       [](const Cell& cell) { return !cell.interval.empty(); });
  });
  std::string text;
  if (!table.ranked.empty())
    text += "Bold: best estimate of its column; underlined: the second; an order, no test. ";
  if (intervals)
    text +=
        "Brackets: 95\\,\\% intervals, pointwise, not adjusted for multiplicity; of p values "
        "those called Holm or BH are, and those of the verdict. ";
  for (const auto& note : notes)
    text += "\\textsuperscript{" + footnote_mark(notes, note) + "}" + escape_latex(note) + ". ";
  return text.empty() ? "" : "\\par\\smallskip\\parbox{\\linewidth}{\\footnotesize " + text + "}\n";
}

std::string environment(const Table& table, const Part& part, const std::string& label,
                        const std::string& caption) {
  const auto notes = footnotes(table);
  std::vector<std::vector<int>> place(table.columns.size(), std::vector<int>(table.rows.size()));
  for (const auto column : table.ranked) place[column] = places(table, column);
  std::string columns, names;
  for (const auto c : part.columns) {
    columns += c < table.heads ? "l" : "r";
    names += (c == 0 ? "" : " & ") + column_head(table.columns[c]);
  }
  std::string text =
      "\n\\begin{table}[tbp]\n\\centering\\footnotesize\\setlength{\\tabcolsep}{4pt}\n\\caption{" +
      caption + "}\n\\label{" + label + "}\n\\begin{tabular}{" + columns + "}\n\\toprule\n" +
      names + " \\\\\n\\midrule\n";
  for (auto row = part.first_row; row < part.end_row; ++row)
    text += row_of(table, row, part, place, notes);
  return text + "\\bottomrule\n\\end{tabular}\n" + notes_of(table, notes) + "\\end{table}\n";
}

std::string to_latex(const Table& table, const std::string& label) {
  std::string text;
  const auto parts = parts_of(table);
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const std::string number = std::to_string(p + 1);
    const bool alone = parts.size() == 1;
    const auto caption =
        escape_latex(table.title) +
        (alone ? "" : " (part " + number + " of " + std::to_string(parts.size()) + ")") + ". " +
        (p == 0 ? escape_latex(table.caption) : "");
    text += environment(table, parts[p], alone ? label : label + "-" + number, caption);
  }
  return text;
}

}  // namespace

std::string escape_latex(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto c = next_character(text, at);
    if (const auto known = symbols().find(c); known != symbols().end())
      out += known->second;
    else if (const auto letter = greek(c); !letter.empty())
      out += letter;
    else if (c < 0x20 || c == 0x7F)
      out += ' ';
    else if (c < 0x7F)
      out += static_cast<char>(c);
    else if (known_letter(c))
      out += text.substr(at - 2, 2);
    else
      out += code_point(c);
  }
  return out;
}

std::string to_latex(const Document& document, const std::vector<std::string>& sections) {
  std::string text = head;
  for (const auto& section : document.sections) {
    if (std::find(sections.begin(), sections.end(), section.id) == sections.end()) continue;
    for (const auto& block : section.blocks) {
      const auto* table = std::get_if<Table>(&block);
      if (!table)
        if (const auto* group = std::get_if<FigureGroup>(&block)) table = &group->numbers;
      if (table && !table->rows.empty())
        text += to_latex(*table, "tab:" + section.id + "-" + slug(table->title));
    }
  }
  return text;
}

}  // namespace mr::report
