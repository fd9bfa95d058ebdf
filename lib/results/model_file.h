// results/: what a model file says of itself, read without the library that runs it.
#pragma once
#include <string>

#include "base/json_fwd.h"

namespace mr::results {

/// The member extra/mr.json (mr-model/1) of a TorchScript archive, which is a ZIP file whose
/// members are stored as they are. throws  MissingInputError; DataError: not such an archive, or it
/// has no description
Json read_model_description(const std::string& path);

}  // namespace mr::results
