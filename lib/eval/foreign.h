// eval/: classifiers that another program made: TorchScript without our description. A person
// describes them in a file, mr-foreign/1. Free of LibTorch.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"

namespace mr::eval {

/// What a network's output means. logit, probability: [N, L]. two_logit: [N, L, 2], or L of [N, 2]
/// in a tuple or list (or [N, 2] where L = 1), of "absent" and "present"; the logit is their
/// difference.
enum class Output { logit, probability, two_logit };

struct Foreign {
  Output output = Output::logit;
  int channels = 1;  // the grey image is repeated in each
  Json info;         // in the shape of mr.json, for one model file
};

/// Reads a description: output, preprocessing (as in mr.json), and, where they are said,
/// normalization (default: the name of the model's file), run (0), channels (1) and operating_rule
/// (sens>=0.90), by which thresholds are chosen on the clean validation images.
/// throws MissingInputError, DataError
Foreign read_foreign(const std::string& path, const std::string& model,
                     const std::vector<std::string>& labels);

}  // namespace mr::eval
