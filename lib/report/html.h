// report/: a document as one HTML page: inline styles and drawings, no scripts, nothing fetched.
#pragma once
#include <string>

#include "report/document.h"

namespace mr::report {

std::string to_html(const Document& document);

}  // namespace mr::report
