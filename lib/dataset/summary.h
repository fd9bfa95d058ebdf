// Counts what a manifest holds, per split, label and attribute.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/run.h"
#include "dataset/manifest.h"

namespace mr::dataset {

struct Summary {
  struct SplitCounts {
    std::set<std::string> subjects;
    std::int64_t images = 0, samples = 0;
    std::vector<std::vector<std::int64_t>> labels;  // [label][value], unknown last: samples
    std::map<std::string, std::map<std::string, std::int64_t>> attributes;  // name, value: images
  };
  std::vector<Label> labels;
  std::map<std::string, SplitCounts> splits;  // by name; "" where images have none
};

Summary summarise(ManifestReader& reader);

/// A table for reading: a column for each split. An attribute with many values is cut short.
std::string to_text(const Summary& summary);

/// mr-manifest-summary/1
Json to_json(const Summary& summary, const Json& provenance);

}  // namespace mr::dataset
