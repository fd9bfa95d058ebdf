#include "report/html.h"

#include "base/text.h"
#include "report/format.h"
#include "report/svg.h"

namespace mr::report {
namespace {

constexpr const char* page_style = R"css(
:root{color-scheme:light dark;--page:#fff;--ink:#1c2127;--soft:#58616d;--rule:#dfe3e8;
--panel:#f5f7f9;--accent:#0b5cad;--notice:#fff6e0;--notice-rule:#c98a00}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,
'Segoe UI',Roboto,'DejaVu Sans',sans-serif;font-variant-numeric:tabular-nums}
main,header,nav{max-width:72rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .4rem;letter-spacing:-.01em}
h2{font-size:1.4rem;line-height:1.25;margin:3rem 0 1rem;padding-top:.9rem;
border-top:2px solid var(--rule)}
h3{font-size:1.05rem;line-height:1.3;margin:2rem 0 .5rem}
p,dl{max-width:46rem}
header p{color:var(--soft);margin:0}
a{color:var(--accent)}
nav ol{margin:1.4rem 0 0;padding:.8rem 1rem .8rem 2.2rem;background:var(--panel);border-radius:6px;
columns:16rem;font-size:.92rem}
.notice{background:var(--notice);border-left:4px solid var(--notice-rule);padding:.7rem 1rem;
border-radius:0 6px 6px 0}
.scroll{overflow-x:auto;margin:.4rem 0 .2rem}
table{border-collapse:collapse;font-size:.88rem;line-height:1.4}
thead th{border-bottom:1.5px solid var(--soft);vertical-align:bottom;font-weight:600}
th,td{padding:.32rem 1rem .32rem 0;text-align:left;vertical-align:top;font-weight:400}
tbody th{white-space:nowrap}
td small{display:block;color:var(--soft);font-size:.88em}
tbody tr{border-bottom:1px solid var(--rule)}
td.n,th.n{text-align:right;padding:.32rem 0 .32rem 1.1rem;white-space:nowrap}
thead th.n{white-space:normal}
td.w{overflow-wrap:anywhere;min-width:8rem}
sup{font-size:.7em;line-height:0}
.caption,.notes,figcaption{color:var(--soft);font-size:.88rem;max-width:46rem;margin:.3rem 0 0}
.notes{padding-left:1.2rem;list-style:none}
figure{margin:1rem 0}
.charts{display:flex;flex-wrap:wrap;gap:1.4rem 1.3rem;align-items:flex-start}
.chart{max-width:100%;height:auto;flex:none}
details{margin:.8rem 0}
summary{cursor:pointer;color:var(--accent);font-size:.9rem}
dt{font-weight:600;margin-top:.7rem}
dd{margin:0}
dd,dt{overflow-wrap:anywhere}
.sheet{font-size:.8rem}
.sheet td,.sheet th{padding:2px;border:0;text-align:center;vertical-align:middle}
.sheet tbody tr{border:0}
.sheet tbody th{text-align:right;padding-right:.6rem}
.sheet img{display:block;width:8rem;max-width:100%;height:auto;background:#000}
@media (max-width:40rem){
body{font-size:15px}
main,header,nav{padding:0 .9rem}
header{padding-top:1.4rem}
h1{font-size:1.5rem}
tbody th{white-space:normal}
.sheet{width:100%;table-layout:fixed;font-size:.66rem}
.sheet tbody th{writing-mode:vertical-rl;transform:rotate(180deg);text-align:center;padding:2px}
.sheet tr>:first-child{width:1.2rem}
.sheet img{width:100%}
}
)css";

constexpr const char* dark_style = R"css(
:root{--page:#14171b;--ink:#e6e9ed;--soft:#a7b0bc;--rule:#333a43;--panel:#1d2127;--accent:#7db7f0;
--notice:#2c2513;--notice-rule:#d9a326}
)css";

constexpr const char* print_style = R"css(
body{font-size:10pt}
main,header,nav{max-width:none;padding:0}
header{padding-top:0}
nav{display:none}
details>summary{color:inherit;font-weight:600;list-style:none;break-after:avoid}
details::details-content{content-visibility:visible;display:block}
h2{break-after:avoid;margin-top:1.6rem}
h3{break-after:avoid}
dt{break-after:avoid}
p,dd{orphans:3;widows:3}
.chart,tr,figcaption,.notice,.notes li{break-inside:avoid}
.scroll{overflow:visible}
table{font-size:8pt}
tbody th{white-space:normal}
td small{font-size:7pt}
.chart{max-width:48%}
.sheet img{width:2.4cm}
a{color:inherit;text-decoration:none}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
)css";

std::string tag(const std::string& name, const std::string& text) {
  return "<" + name + ">" + escape_xml(text) + "</" + name + ">\n";
}

std::string cell_html(const Cell& cell, const std::vector<std::string>& notes) {
  std::string text = escape_xml(cell.text);
  if (cell.marked) text += std::string(" ") + mark;
  if (!cell.reason.empty()) text += "<sup>" + footnote_mark(notes, cell.reason) + "</sup>";
  if (!cell.interval.empty()) text += " <small>" + escape_xml(cell.interval) + "</small>";
  return text;
}

/// A head that holds for several rows is one cell; "" for the rows below the first.
std::string group_head(const Table& table, std::size_t row, std::size_t column,
                       const std::string& text) {
  if (row > 0 && same_heads(table, row - 1, row, column)) return "";
  std::size_t end = row + 1;
  while (end < table.rows.size() && same_heads(table, row, end, column)) ++end;
  return "<th scope=\"rowgroup\" rowspan=\"" + std::to_string(end - row) + "\">" + text + "</th>";
}

std::string table_row(const Table& table, std::size_t row, const std::vector<std::string>& notes) {
  const bool wordy = table.heads == table.columns.size();
  std::string html = "<tr>";
  for (std::size_t c = 0; c < table.rows[row].size(); ++c) {
    const std::string text = cell_html(table.rows[row][c], notes);
    if (wordy)
      html += (c == 0 ? "<th scope=\"row\">" : "<td class=\"w\">") + text +
              (c == 0 ? "</th>" : "</td>");
    else if (c + 1 < table.heads)
      html += group_head(table, row, c, text);
    else if (c + 1 == table.heads)
      html += "<th scope=\"row\">" + text + "</th>";
    else
      html += "<td class=\"n\">" + text + "</td>";
  }
  return html + "</tr>\n";
}

/// The table and its footnotes, without title and caption.
std::string bare_table(const Table& table) {
  const auto notes = footnotes(table);
  std::string html = "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"" +
                     escape_xml(table.title) + "\"><table>\n<thead><tr>";
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    html += std::string("<th scope=\"col\"") + (c < table.heads ? ">" : " class=\"n\">") +
            escape_xml(table.columns[c]) + "</th>";
  html += "</tr></thead>\n<tbody>\n";
  for (std::size_t row = 0; row < table.rows.size(); ++row) html += table_row(table, row, notes);
  html += "</tbody></table></div>\n";
  if (notes.empty()) return html;
  html += "<ul class=\"notes\">\n";
  for (const auto& note : notes)
    html += "<li><sup>" + footnote_mark(notes, note) + "</sup> " + escape_xml(note) + "</li>\n";
  return html + "</ul>\n";
}

std::string to_html(const Paragraph& block) {
  return tag("p", block.text);
}

std::string to_html(const Notice& block) {
  return "<p class=\"notice\">" + escape_xml(block.text) + "</p>\n";
}

std::string to_html(const Definitions& block) {
  std::string html = "<dl>\n";
  for (const auto& [term, text] : block.items) html += tag("dt", term) + tag("dd", text);
  return html + "</dl>\n";
}

std::string folded(const std::string& title, const std::string& html) {
  return "<details><summary>" + escape_xml(title) + "</summary>\n" + html + "</details>\n";
}

std::string to_html(const Table& block) {
  std::string html = bare_table(block);
  if (!block.caption.empty())
    html += "<p class=\"caption\">" + escape_xml(block.caption) + "</p>\n";
  return block.folded ? folded(block.title, html) : tag("h3", block.title) + html;
}

std::string to_html(const FigureGroup& block) {
  std::string html = tag("h3", block.title) + "<figure>\n<div class=\"charts\">\n";
  for (const auto& figure : block.figures) html += draw(figure);
  html += "</div>\n" + tag("figcaption", block.caption) + "</figure>\n";
  if (block.numbers_shown) return html + to_html(block.numbers);
  return html + folded(block.numbers.title + ": numbers and intervals", bare_table(block.numbers));
}

std::string image_html(const ContactSheet::Image& image) {
  if (image.png.empty()) return no_number;
  return "<img alt=\"" + escape_xml(image.alt) + "\" src=\"data:image/png;base64," +
         base64_encode(image.png) + "\">";
}

std::string to_html(const ContactSheet& block) {
  std::string html = tag("h3", block.title) + "<table class=\"sheet\">\n<thead><tr><td></td>";
  for (const auto& column : block.columns)
    html += "<th scope=\"col\">" + escape_xml(column) + "</th>";
  html += "</tr></thead>\n<tbody>\n";
  for (const auto& [name, images] : block.rows) {
    html += "<tr><th scope=\"row\">" + escape_xml(name) + "</th>";
    for (const auto& image : images) html += "<td>" + image_html(image) + "</td>";
    html += "</tr>\n";
  }
  return html + "</tbody></table>\n<p class=\"caption\">" + escape_xml(block.caption) + "</p>\n";
}

std::string styles() {
  return std::string("<style>") + page_style + chart_style() +
         "@media screen and (prefers-color-scheme:dark){" + dark_style + dark_chart_style() +
         "}\n@media print{" + print_style + "}\n</style>\n";
}

std::string contents(const Document& document) {
  std::string html = "<nav aria-label=\"Contents\"><ol>\n";
  for (const auto& section : document.sections)
    html += "<li><a href=\"#" + section.id + "\">" + escape_xml(section.title) + "</a></li>\n";
  return html + "</ol></nav>\n";
}

}  // namespace

std::string to_html(const Document& document) {
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n" +
      tag("title", document.title + ": " + document.subtitle) + styles() + "</head>\n<body>\n" +
      "<header>\n" + tag("h1", document.title) + tag("p", document.subtitle) + "</header>\n" +
      contents(document) + "<main>\n";
  for (const auto& section : document.sections) {
    html += "<section id=\"" + section.id + "\">\n" + tag("h2", section.title);
    for (const auto& block : section.blocks)
      html += std::visit([](const auto& b) { return to_html(b); }, block);
    html += "</section>\n";
  }
  return html + "</main>\n</body>\n</html>\n";
}

}  // namespace mr::report
