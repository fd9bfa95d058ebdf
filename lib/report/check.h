// report/: are files what they say they are? Their structure, the numbers that can be computed
// anew, and the files that they were made from.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mr::report {

/// Of each file its structure, by its JSON Schema and its reader; of an evaluation the metrics and
/// influences, computed anew from its scores; of a report its estimates, where the evaluations are
/// found; and each input of its provenance, where a file of that name lies beside it or in a root.
/// One line per finding, "FILE: verified: ...", "FILE: not found:
/// ..." or "FILE: differs: ...".
/// files   evaluations, training logs, manifests, protocols and other mr-NAME/1 documents, models,
///         reports or their folders
/// roots   folders in which inputs are looked for too
/// throws  MissingInputError before any check; DataError at the end where something differs
void check_files(const std::vector<std::string>& files, const std::vector<std::string>& roots,
                 const std::function<void(std::string_view)>& line);

}  // namespace mr::report
