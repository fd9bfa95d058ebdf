// report/: a document as Markdown (GitHub's tables). Figures appear as their numbers.
#pragma once
#include <string>

#include "report/document.h"

namespace mr::report {

std::string to_markdown(const Document& document);

}  // namespace mr::report
