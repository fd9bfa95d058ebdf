// Does a document fit its JSON Schema? The schemas of lib/schema travel inside the programs.
#pragma once
#include <string>
#include <vector>

#include "base/json_fwd.h"

namespace mr {

/// "mr-eval", "mr-manifest", ...
std::vector<std::string> schema_names();

/// throws  DataError where there is no schema of that name
Json schema_named(const std::string& name);

/// Where and how a document does not fit: "models/0: lacks \"run\""; "" where it fits. Of several
/// alternatives of which none fits, the fault found deepest in the document.
/// schema  draft 2020-12; references to "#/..." alone
/// throws  DataError on a keyword that is not known here, so that nothing goes unchecked
std::string mismatch(const Json& document, const Json& schema);

}  // namespace mr
