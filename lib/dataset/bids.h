// BIDS data sets (Brain Imaging Data Structure 1.8.0): their images as a manifest, and corrupted
// images as a derivative data set.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/id_key.h"
#include "base/run.h"
#include "dataset/label_rule.h"
#include "dataset/manifest.h"

namespace mr::dataset {

/// "sub-01/ses-1/anat/sub-01_ses-1_acq-fast_T1w" taken apart.
struct BidsName {
  std::vector<std::pair<std::string, std::string>> entities;  // {"sub", "01"}, ... in order
  std::string datatype, suffix;                               // "anat", "T1w"

  std::string of(const std::string& entity) const;  // "" where it is not there
  /// With a `desc` entity in front of the suffix, in place of one that is there.
  std::string with_description(const std::string& label) const;
};

/// Of a path relative to the data set, without ending; unset where it is no name of BIDS.
std::optional<BidsName> parse_bids_name(const std::string& relative);

struct BidsOptions {
  std::string folder;
  std::string datatype = "anat";
  std::vector<std::string> suffixes;  // T1w, ...; empty: all
  std::vector<LabelRule> labels;      // columns of scans, sessions or participants
  IdKey key;                          // of ids and subjects
  bool allow_unmatched = false;       // images without a row have unknown labels
  int threads = 1;
};

/// Writes the manifest of a data set: subject, session, run and the like, the columns of
/// participants.tsv and of sessions.tsv, and what the JSON files say of scanner and sequence become
/// attributes and acquisition.
/// throws MissingInputError, DataError: no data set, no image, rows that do not match
void scan_bids(const BidsOptions& options, ManifestOutput& output, const Run& run,
               const Messages& messages);

/// dataset_description.json and participants.tsv of a derivative data set in `folder` of that in
/// `source`, which its JSON calls "raw": by its DOI, else by its path from `folder`, unless the
/// run's paths are redacted. Replaces what is there.
void write_bids_description(const std::string& folder, const std::string& source, const Run& run);

/// JSON of a corrupted image: that of its source, `file` below `root`, what was done, and where it
/// came from.
Json bids_derivative_metadata(const std::string& root, const std::string& file,
                              const std::string& description);

}  // namespace mr::dataset
