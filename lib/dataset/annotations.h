// Findings that readers marked on slices: tables of the form of fastMRI+.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/id_key.h"

namespace mr::dataset {

/// A label that is 1 where a finding's name holds `text`, in any case.
struct FindingLabel {
  std::string name, text;
};

/// "NAME=TEXT". throws UsageError
FindingLabel parse_finding_label(const std::string& text);

/// A table with a row for each finding: columns file (an image's id), slice (from 0) and label (the
/// finding), and where there is one study_level: "Yes" says that the finding is somewhere in the
/// image, not in this slice (fastMRI+: Zhao et al. 2022, Sci Data 9:152). Boxes are not used.
class Annotations {
 public:
  Annotations() = default;
  /// images  file of the ids that were looked at, one a line, so that an image without a row has no
  ///         finding; "": those in the table alone
  /// key     that the images' ids were made with
  /// throws  UsageError on a missing column, DataError "FILE: line L: ..."
  Annotations(const std::string& path, const std::string& images,
              const std::vector<FindingLabel>& labels, const IdKey& key);

  bool looked_at(const std::string& id) const { return looked_at_.count(id) != 0; }
  /// 1, 0 or unknown_label for each label: 1 where the slice has such a finding; unknown where the
  /// image was not looked at, or has it at a place that is not told.
  std::vector<int> of(const std::string& id, std::int64_t slice) const;
  std::int64_t last_slice(const std::string& id) const;  // with a finding; -1 of none

 private:
  struct Findings {
    std::map<std::int64_t, std::vector<bool>> slices;  // [labels]
    std::vector<bool> anywhere;                        // [labels]
  };
  std::size_t labels_ = 0;
  std::set<std::string> looked_at_;
  std::map<std::string, Findings> findings_;
};

}  // namespace mr::dataset
