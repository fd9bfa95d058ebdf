// The name alone of the JSON type, for headers that only pass it on: the type itself takes the
// compiler seconds to read.
#pragma once
#include <nlohmann/json_fwd.hpp>

namespace mr {
using Json = nlohmann::ordered_json;
}  // namespace mr
