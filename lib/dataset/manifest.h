// dataset/: manifests (mr-manifest/1), splits, preprocessing, the corruption of a manifest, the
// loader. A manifest is read and written image by image: memory does not grow with its length.
#pragma once
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "image/volume.h"

namespace mr::dataset {

constexpr int unknown_label = -1;

struct Slice {
  int axis = 2;  // stored axis 0 i, 1 j, 2 k
  std::int64_t index = 0;
};

struct Sample {
  std::optional<Slice> slice;  // unset: the whole image
  std::vector<int> labels;     // 0 .. values-1, or unknown_label; one per label of the manifest
};

struct Label {
  std::string name;
  std::vector<std::string> values{"0", "1"};
  bool operator==(const Label& o) const { return name == o.name && values == o.values; }
};

/// Paths are absolute in memory, however the document writes them.
struct ImageEntry {
  std::string id, subject;
  std::string split;  // "train" | "val" | "test" | "" (not split yet)
  Json attributes = Json::object();
  std::string file;                   // as image::read_image takes it
  std::string mask, phase;            // "" where absent
  Json maps = Json::object();         // {fat, field, coils, tissue}: paths
  Json acquisition = Json::object();  // what image::merge_acquisition takes
  std::vector<Sample> samples;
  std::string source;              // the clean image's path, "" where this is it
  Json artifacts = Json::array();  // what mr-corrupt did, in order
  Json extra = Json::object();     // unknown members, kept
};

/// Id of a sample: "IMAGE" or "IMAGE/k12".
std::string sample_id(const ImageEntry& image, const Sample& sample);

/// What is wrong with one image's members. The reader stands after that image and can go on.
struct EntryError : DataError {
  using DataError::DataError;
};

/// Streams a manifest, in any layout. Relative paths resolve against the manifest's folder, or
/// `root` ("": the working directory) for "-", standard input.
/// throws DataError: syntax (line and column), schema, a member out of place, a cut-off document;
/// EntryError: an image's members, e.g. a label out of range
class ManifestReader {
 public:
  ManifestReader(const std::string& path, const std::string& root);
  ManifestReader(std::unique_ptr<std::istream> stream, const std::string& name,
                 const std::string& root);
  ~ManifestReader();
  ManifestReader(ManifestReader&&) noexcept;
  const std::vector<Label>& labels() const;
  bool next(ImageEntry& entry);  // false at the end; the next three are complete then
  const Json& extra() const;     // unknown top-level members
  const Json& provenance() const;
  std::string sha256() const;       // of the bytes read so far
  const std::string& name() const;  // for messages and provenance

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Streams a manifest out, one image a line. `folder` non-empty: paths are written relative to
/// it; else absolute.
class ManifestWriter {
 public:
  using Sink = std::function<void(std::string_view)>;
  ManifestWriter(Sink sink, std::vector<Label> labels, const std::string& folder);
  void write(const ImageEntry& entry);  // throws EntryError on a wrong number of labels
  /// `provenance` is the whole list, this run's entry last; `extra` the unknown top-level members.
  void finish(const Json& provenance, const Json& extra = Json::object());

 private:
  Sink sink_;
  std::size_t labels_;
  std::string folder_;
  bool first_ = true;
};

/// Where a tool's manifest goes: standard output ("" or "-", absolute paths), or a file that
/// appears whole (paths relative to its folder).
class ManifestOutput {
 public:
  /// throws CannotCreateError, before any work, when the file exists and is not to be replaced
  ManifestOutput(const std::string& path, Overwrite overwrite);
  ManifestWriter writer(std::vector<Label> labels);  // must not outlive this object
  void commit();                                     // after finish()

 private:
  std::string folder_;
  std::unique_ptr<AtomicFile> file_;
};

/// One image as a line of JSON; the reverse, with checks. `name` goes before messages.
/// throws EntryError
Json to_json(const ImageEntry& entry, const std::string& folder);
ImageEntry entry_from_json(const Json& object, const std::vector<Label>& labels,
                           const std::string& root, const std::string& name);

/// The labels' declaration, checked: unique names, at least two values. throws DataError
std::vector<Label> labels_from_json(const Json& list, const std::string& name);

}  // namespace mr::dataset
