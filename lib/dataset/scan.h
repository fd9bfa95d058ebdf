// Finds images in a folder and makes their manifest.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/id_key.h"
#include "base/journal.h"
#include "base/json.h"
#include "base/run.h"
#include "dataset/label_rule.h"
#include "dataset/manifest.h"

namespace mr::dataset {

struct ScanOptions {
  std::string folder;
  std::string pattern;         // glob over paths relative to `folder`; "" takes all
  std::string masks;           // folder with a mask at each image's relative path; "" has none
  std::string table;           // CSV or TSV, one row an image; "" has none
  std::string id_format;       // the image's id of a row's fields, such as "{id}", or ...
  std::string file_column;     // ... the column with its path relative to `folder`
  std::string subject_column;  // "": fastMRI's patient_id, hashed, else each image
  std::vector<LabelRule> labels;
  std::vector<std::string> attribute_columns;
  std::vector<std::pair<std::string, std::string>> attributes;  // the same for all images
  Json acquisition = Json::object();                            // the same for all images
  IdKey key;                                                    // of ids and subjects
  bool localizers = false;                                      // are images, too
  bool png = false;     // PNG files are images, too: not previews of some
  bool kspace = false;  // files of k-space are images, too
  bool allow_unmatched = false;
  bool allow_unreadable = false;  // images that cannot be read are left out, with a warning each
  std::string journal;            // file that keeps what was read; "" none
  bool resume = false;            // goes on from there
  int threads = 1;
};

/// An image file, the folder of a DICOM series, or "FOLDER#NAME" (image_file.h).
struct FoundImage {
  std::string id;  // `relative` without extension
  std::string relative, path;
  Json attributes = Json::object();  // of the header
  std::string subject;               // a hash of what the header gives; "": none
  std::string unreadable;            // why it cannot be read; "": it can
  std::string phase;                 // path of its phase image; "": none
  bool operator<(const FoundImage& o) const { return relative < o.relative; }
};

/// NIfTI files (and PNG, where wanted) by their names; DICOM files by name or content, as the
/// images that those of one folder, or a DICOMDIR, make. Hidden files are left out, links to
/// folders not followed. Localizers and phase images among others, and DICOM objects that are no MR
/// images, are left out with a warning. Headers are read on all threads. Sorted by relative path.
/// throws MissingInputError, DataError when there is none or two have one id, IoError
std::vector<FoundImage> find_images(const ScanOptions& options, KeyedJournal& journal,
                                    const Messages& messages);

/// Writes the manifest of a folder: one whole-image sample each, attributes from the header
/// (never who was imaged), then from the table, then those given.
/// throws DataError when rows and images do not match or a header cannot be read, unless such are
/// to be left out
void scan(const ScanOptions& options, ManifestOutput& output, const Run& run,
          const Messages& messages);

}  // namespace mr::dataset
