// dataset/: manifests (mr-manifest/1), splits, preprocessing, the corruption of a manifest, the
// loader. A manifest is read and written image by image: memory does not grow with its length.
#pragma once
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/volume.h"

namespace mr::dataset {

constexpr int unknown_label = -1;

struct Slice {
  int axis = 2;             // stored axis 0 i, 1 j, 2 k
  std::int64_t index = 0;
};

struct Sample {
  std::optional<Slice> slice;  // unset: the whole image
  std::vector<int> labels;     // 0 .. values-1, or unknown_label; one per label of the manifest
};

struct Label {
  std::string name;
  std::vector<std::string> values;  // {"0", "1"} by default
};

struct ImageEntry {
  std::string id, subject;
  std::string split;        // "train" | "val" | "test" | "" (not split yet)
  Json attributes = Json::object();
  std::string file;         // as written, then resolved to an absolute path by the reader
  std::string mask, phase;  // "" where absent
  Json acquisition = Json::object();
  std::vector<Sample> samples;
  std::string source;                   // the clean image, "" where this is it
  Json artifacts = Json::array();       // what mr-corrupt did, in order
  Json extra = Json::object();          // unknown members, kept
};

/// Id of a sample: "IMAGE" or "IMAGE/k12".
std::string sample_id(const ImageEntry& image, const Sample& sample);

/// Streams a manifest. Relative paths resolve against the manifest's folder, or `root` for "-".
/// throws DataError: syntax (line and column), schema, labels out of range, a cut-off document.
class ManifestReader {
 public:
  ManifestReader(const std::string& path, const std::string& root);
  ManifestReader(std::unique_ptr<std::istream> stream, const std::string& name, const std::string& root);
  ~ManifestReader();
  const std::vector<Label>& labels() const;
  const Json& extra() const;            // unknown top-level members
  bool next(ImageEntry& entry);         // false at the end; provenance() is complete then
  const Json& provenance() const;
  std::string sha256() const;           // of the bytes read so far (the whole file after the end)
  const std::string& name() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Streams a manifest out. `folder` non-empty: paths are written relative to it; else absolute.
class ManifestWriter {
 public:
  using Sink = std::function<void(std::string_view)>;
  ManifestWriter(Sink sink, std::vector<Label> labels, std::string folder, const Json& extra = Json::object());
  void write(const ImageEntry& entry);
  void finish(const Json& provenance);  // the whole list, this run's entry last

 private:
  Sink sink_;
  std::size_t labels_;
  std::string folder_;
  Json extra_;
  bool first_ = true;
};

/// One image as a line of JSON; the reverse, with checks (labels in range, slice axis...).
Json to_json(const ImageEntry& entry, const std::string& folder);
ImageEntry entry_from_json(const Json& object, const std::vector<Label>& labels, const std::string& root,
                           const std::string& name);

}  // namespace mr::dataset
