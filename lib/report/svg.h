// report/: charts as SVG. Colours are classes, so that a page can turn dark; shape, dash and digits
// carry the same message as colour does.
#pragma once
#include <string>

#include "report/document.h"

namespace mr::report {

/// An <svg> element for a page that has chart_style() among its styles.
std::string draw(const Figure& figure);

/// A file of its own: with the styles, on white.
std::string svg_file(const Figure& figure);

/// Style sheet of the charts, light; and what changes on a dark page.
std::string chart_style();
std::string dark_chart_style();

}  // namespace mr::report
