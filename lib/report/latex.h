// report/: tables as LaTeX, to \input into a paper: booktabs alone, plain columns.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "report/document.h"

namespace mr::report {

/// The tables of the named sections, each as a table environment; one that is too wide or long for
/// a page in parts. In the columns that Table::ranked names the best estimate is bold, the second
/// underlined. For pdfLaTeX.
std::string to_latex(const Document& document, const std::vector<std::string>& sections);

/// Text for LaTeX without further packages; what its default fonts lack becomes "[U+4E2D]".
std::string escape_latex(std::string_view text);

}  // namespace mr::report
