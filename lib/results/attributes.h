// results/: what the evaluation knows of its images beside their pixels.
#pragma once
#include "results/evaluation.h"

namespace mr::results {

/// Those that any image has; in the order of their bytes.
std::vector<std::string> attribute_names(const Samples& samples);

/// [N], null where a sample's image lacks it.
std::vector<Json> attribute_of_samples(const Samples& samples, const std::string& attribute);

/// As a person writes it; "" for null.
std::string attribute_text(const Json& value);

}  // namespace mr::results
