#include "report/markdown.h"

#include "report/format.h"

namespace mr::report {
namespace {

std::string printed(const Cell& cell, const std::vector<std::string>& notes) {
  std::string text = escape_markdown(cell.text);
  if (!cell.interval.empty()) text += " (" + escape_markdown(cell.interval) + ")";
  if (cell.marked) text += std::string(" ") + mark;
  if (!cell.reason.empty()) text += "<sup>" + footnote_mark(notes, cell.reason) + "</sup>";
  return text;
}

std::string to_markdown(const Table& table) {
  const auto notes = footnotes(table);
  std::string text;
  if (!table.title.empty()) text += "### " + escape_markdown(table.title) + "\n\n";
  text += "|";
  for (const auto& column : table.columns) text += " " + escape_markdown(column) + " |";
  text += "\n|";
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    text += c < table.heads ? " --- |" : " ---: |";
  text += "\n";
  for (const auto& row : table.rows) {
    text += "|";
    for (const auto& cell : row) text += " " + printed(cell, notes) + " |";
    text += "\n";
  }
  text += "\n";
  if (!table.caption.empty()) text += escape_markdown(table.caption) + "\n\n";
  for (const auto& note : notes)
    text += "- <sup>" + footnote_mark(notes, note) + "</sup> " + escape_markdown(note) + "\n";
  return notes.empty() ? text : text + "\n";
}

std::string to_markdown(const Paragraph& block) {
  return escape_markdown(block.text) + "\n\n";
}

std::string to_markdown(const Notice& block) {
  return "> **Note.** " + escape_markdown(block.text) + "\n\n";
}

std::string to_markdown(const Definitions& block) {
  std::string text;
  for (const auto& [term, said] : block.items)
    text += "- **" + escape_markdown(term) + ".** " + escape_markdown(said) + "\n";
  return text + "\n";
}

std::string to_markdown(const FigureGroup& block) {
  return to_markdown(block.numbers);
}

std::string to_markdown(const ContactSheet& block) {
  return "### " + escape_markdown(block.title) + "\n\nThe images are in the HTML report.\n\n";
}

}  // namespace

std::string to_markdown(const Document& document) {
  std::string text =
      "# " + escape_markdown(document.title) + "\n\n" + escape_markdown(document.subtitle) + "\n\n";
  for (const auto& section : document.sections) {
    text += "## " + escape_markdown(section.title) + "\n\n";
    for (const auto& block : section.blocks)
      text += std::visit([](const auto& b) { return to_markdown(b); }, block);
  }
  text.pop_back();  // one newline ends the text
  return text;
}

}  // namespace mr::report
