#include "dataset/manifest.h"

#include <nettle/sha2.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <streambuf>
#include <system_error>

#include "base/json.h"

namespace mr::dataset {
namespace {

const char* const schema = "mr-manifest/1";
const std::vector<std::string> split_names = {"train", "val", "test"};
using Text = std::string ImageEntry::*;
const std::map<std::string, Text> text_members = {
    {"id", &ImageEntry::id}, {"subject", &ImageEntry::subject}, {"split", &ImageEntry::split}};
const std::map<std::string, Text> path_members = {{"file", &ImageEntry::file},
                                                  {"mask", &ImageEntry::mask},
                                                  {"phase", &ImageEntry::phase},
                                                  {"source", &ImageEntry::source}};

/// The bytes of a stream, one at a time, hashed and counted in lines and columns.
class Source : public std::streambuf {
 public:
  Source(std::unique_ptr<std::istream> stream, std::string name)
      : stream_(std::move(stream)), name_(std::move(name)), block_(1 << 16) {
    sha256_init(&hash_);
  }
  std::size_t line() const { return line_; }      // of the byte read last, from 1
  std::size_t column() const { return column_; }  // in bytes, from 1
  std::size_t count() const { return count_; }    // bytes read
  std::size_t next_line() const { return line_ + (after_newline_ ? 1 : 0); }
  bool ended() const { return ended_; }  // a byte was wanted beyond the last
  std::string sha256() const {
    sha256_ctx copy = hash_;
    std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
    sha256_digest(&copy, digest.size(), digest.data());
    std::string hex;
    for (const auto byte : digest) {
      hex += "0123456789abcdef"[byte >> 4];
      hex += "0123456789abcdef"[byte & 15];
    }
    return hex;
  }

 protected:
  // The get area stays empty, so that every byte passes through uflow() and is counted.
  int_type underflow() override {
    return at_ < end_ || fill() ? traits_type::to_int_type(block_[at_]) : traits_type::eof();
  }
  int_type uflow() override {
    const auto c = underflow();
    if (c == traits_type::eof()) {
      ended_ = true;
      return c;
    }
    ++at_;
    ++count_;
    if (after_newline_) {
      ++line_;
      column_ = 0;
    }
    ++column_;
    after_newline_ = c == '\n';
    return c;
  }

 private:
  bool fill() {
    stream_->read(block_.data(), static_cast<std::streamsize>(block_.size()));
    if (stream_->bad()) throw IoError(name_ + ": cannot be read");
    at_ = 0;
    end_ = static_cast<std::size_t>(stream_->gcount());
    sha256_update(&hash_, end_, reinterpret_cast<const std::uint8_t*>(block_.data()));
    return end_ > 0;
  }

  std::unique_ptr<std::istream> stream_;
  std::string name_;
  std::vector<char> block_;
  std::size_t at_ = 0, end_ = 0, count_ = 0, line_ = 1, column_ = 0;
  bool after_newline_ = false, ended_ = false;
  sha256_ctx hash_;
};

std::unique_ptr<std::istream> open(const std::string& path) {
  if (path == "-") return std::make_unique<std::istream>(std::cin.rdbuf());
  if (is_folder(path)) throw DataError(path + ": is a folder; want a manifest");
  auto stream = std::make_unique<std::ifstream>(path, std::ios::binary);
  if (!*stream) throw MissingInputError(path + ": " + std::generic_category().message(errno));
  return stream;
}

const Json& checked_object(const Json& value, const std::string& what) {
  if (!value.is_object()) throw EntryError(what + ": want an object, got " + to_line(value));
  return value;
}

const Json& checked_list(const Json& value, const std::string& what) {
  if (!value.is_array()) throw EntryError(what + ": want a list, got " + to_line(value));
  return value;
}

std::string checked_string(const Json& value, const std::string& what) {
  if (!value.is_string()) throw EntryError(what + ": want a string, got " + to_line(value));
  return value.get<std::string>();
}

std::string path_from_json(const Json& value, const std::string& root, const std::string& what) {
  if (value.is_object())
    throw EntryError(what + ": several series in one image are not handled by " + schema);
  const auto path = checked_string(value, what);
  if (path.empty()) throw EntryError(what + ": want a path, got \"\"");
  return resolve(path, root);
}

int label_from_json(const Json& value, const Label& label, const std::string& what) {
  if (value.is_null()) return unknown_label;
  const auto values = static_cast<std::int64_t>(label.values.size());
  if (value.is_number_integer() && value >= 0 && value < values) return value.get<int>();
  throw EntryError(what + ": label " + label.name + " is " + to_line(value) + "; want 0" +
                   (values == 2 ? " or 1" : " to " + std::to_string(values - 1)) +
                   ", or null where unknown");
}

Sample sample_from_json(const Json& object, const std::vector<Label>& labels,
                        const std::string& what) {
  checked_object(object, what);
  Sample sample;
  if (object.contains("slice")) {
    const auto& slice = object["slice"];
    const bool shaped = slice.is_object() && slice.contains("axis") && slice.contains("index") &&
                        slice["axis"].is_string() && slice["index"].is_number_integer();
    const auto axis = shaped ? slice["axis"].get<std::string>() : "";
    const auto letter = std::string("ijk").find(axis);
    if (axis.size() != 1 || letter == std::string::npos || slice["index"] < 0)
      throw EntryError(
          what + ": slice: want {\"axis\": \"i\", \"j\" or \"k\", \"index\": 0 or more}, got " +
          to_line(slice));
    sample.slice = Slice{static_cast<int>(letter), slice["index"].get<std::int64_t>()};
  }
  static const Json none = Json::array();
  const auto& values = object.contains("labels") ? object["labels"] : none;
  checked_list(values, what + ": labels");
  if (values.size() != labels.size())
    throw EntryError(what + ": want " + std::to_string(labels.size()) + " labels, found " +
                     std::to_string(values.size()));
  for (std::size_t l = 0; l < labels.size(); ++l)
    sample.labels.push_back(label_from_json(values[l], labels[l], what));
  return sample;
}

Json to_json(const Sample& sample) {
  Json object = Json::object();
  if (sample.slice)
    object["slice"] = {{"axis", std::string(1, "ijk"[sample.slice->axis])},
                       {"index", sample.slice->index}};
  object["labels"] = Json::array();
  for (const int value : sample.labels)
    object["labels"].push_back(value == unknown_label ? Json() : Json(value));
  return object;
}

std::string written_path(const std::string& path, const std::string& folder) {
  if (folder.empty()) return path;
  return std::filesystem::path(path).lexically_relative(folder).string();
}

}  // namespace

std::string sample_id(const ImageEntry& image, const Sample& sample) {
  if (!sample.slice) return image.id;
  return image.id + "/" + "ijk"[sample.slice->axis] + std::to_string(sample.slice->index);
}

std::vector<Label> labels_from_json(const Json& list, const std::string& name) {
  if (!list.is_array()) throw DataError(name + ": labels: want a list, got " + to_line(list));
  std::vector<Label> labels;
  std::set<std::string> names;
  for (const auto& object : list) {
    Label label;
    label.name = string_member(object, "name", name + ": labels");
    if (object.contains("values")) {
      label.values.clear();
      const auto& values = object["values"];
      for (const auto& value : values.is_array() ? values : Json::array())
        label.values.push_back(value.is_string() ? value.get<std::string>() : "");
      const std::set<std::string> unique(label.values.begin(), label.values.end());
      if (unique.size() < 2 || unique.size() != label.values.size() || unique.count(""))
        throw DataError(name + ": label " + label.name +
                        ": values: want two or more different strings, got " + to_line(values));
    }
    if (label.name.empty()) throw DataError(name + ": labels: a name is empty");
    if (!names.insert(label.name).second)
      throw DataError(name + ": label " + label.name + " is there twice");
    labels.push_back(std::move(label));
  }
  return labels;
}

ImageEntry entry_from_json(const Json& object, const std::vector<Label>& labels,
                           const std::string& root, const std::string& name) {
  checked_object(object, name);
  if (!object.contains("id")) throw EntryError(name + ": an image lacks \"id\"");
  const auto what = name + ": image " + checked_string(object["id"], name + ": id");
  ImageEntry entry;
  for (const auto& [key, value] : object.items()) {
    const auto place = what + ": " + key;
    if (const auto text = text_members.find(key); text != text_members.end()) {
      entry.*text->second = checked_string(value, place);
    } else if (const auto path = path_members.find(key); path != path_members.end()) {
      entry.*path->second = path_from_json(value, root, place);
    } else if (key == "attributes" || key == "acquisition") {
      (key == "attributes" ? entry.attributes : entry.acquisition) = checked_object(value, place);
    } else if (key == "artifacts") {
      entry.artifacts = checked_list(value, place);
    } else if (key == "maps") {
      for (const auto& [map, where] : checked_object(value, place).items())
        entry.maps[map] = path_from_json(where, root, place + ": " + map);
    } else if (key == "samples") {
      for (const auto& sample : checked_list(value, place))
        entry.samples.push_back(sample_from_json(
            sample, labels, what + ": sample " + std::to_string(entry.samples.size() + 1)));
    } else {
      entry.extra[key] = value;
    }
  }
  if (entry.id.empty()) throw EntryError(what + ": the id is empty");
  if (entry.file.empty()) throw EntryError(what + ": lacks \"file\"");
  if (entry.subject.empty()) throw EntryError(what + ": lacks \"subject\"");
  if (!entry.split.empty() &&
      std::find(split_names.begin(), split_names.end(), entry.split) == split_names.end())
    throw EntryError(what + ": split: want train, val or test, got '" + entry.split + "'");
  try {
    image::merge_acquisition({}, entry.acquisition, what);
  } catch (const DataError& e) {
    throw EntryError(e.what());
  }
  return entry;
}

Json to_json(const ImageEntry& entry, const std::string& folder) {
  Json object = {{"id", entry.id}, {"subject", entry.subject}};
  if (!entry.split.empty()) object["split"] = entry.split;
  if (!entry.attributes.empty()) object["attributes"] = entry.attributes;
  object["file"] = written_path(entry.file, folder);
  if (!entry.mask.empty()) object["mask"] = written_path(entry.mask, folder);
  if (!entry.phase.empty()) object["phase"] = written_path(entry.phase, folder);
  for (const auto& [map, path] : entry.maps.items())
    object["maps"][map] = written_path(path.get<std::string>(), folder);
  if (!entry.acquisition.empty()) object["acquisition"] = entry.acquisition;
  object["samples"] = Json::array();
  for (const auto& sample : entry.samples) object["samples"].push_back(to_json(sample));
  if (!entry.source.empty()) object["source"] = written_path(entry.source, folder);
  if (!entry.artifacts.empty()) object["artifacts"] = entry.artifacts;
  for (const auto& [key, value] : entry.extra.items()) object[key] = value;
  return object;
}

struct ManifestReader::State {
  State(std::unique_ptr<std::istream> in, const std::string& name_, const std::string& root_)
      : name(name_), root(resolve(".", root_)), source(std::move(in), name_), stream(&source) {
    expect('{');
    if (!read_members()) throw DataError(name + ": lacks \"images\"");
  }

  /// The next byte that is not white space, not consumed; -1 at the end.
  int token() {
    for (;;) {
      const int c = source.sgetc();
      if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return c;
      source.sbumpc();
    }
  }

  /// `back`: how many bytes before the last one the fault is, in the same line.
  [[noreturn]] void fail(const std::string& what, std::size_t back = 0) {
    const auto place = "line " + std::to_string(source.line()) + ", column " +
                       std::to_string(source.column() - back);
    if (source.ended())
      throw DataError(name + ": cut off at " + place + ": the document lacks its end");
    throw DataError(name + ": " + place + ": " + what);
  }

  void expect(char want) {
    if (token() == want) {
      source.sbumpc();
      return;
    }
    const int found = source.sbumpc();
    fail(std::string("want '") + want + "', found '" + static_cast<char>(found) + "'");
  }

  /// One JSON value; not a byte more is consumed.
  Json value() {
    const int c = token();
    if (c != '{' && c != '[' && c != '"') return scalar();
    const auto before = source.count();
    std::size_t back = 0;
    std::string what;
    try {
      Json result;
      stream.clear();
      stream >> result;
      return result;
    } catch (const Json::parse_error& e) {
      // After a number the parser has read one byte more than it counts.
      const auto read = source.count() - before;
      back = read > e.byte ? read - e.byte : 0;
      what = e.what();
    } catch (const Json::exception& e) {
      what = e.what();
    }
    // nlohmann's text: "[json.exception...] parse error at line L, column C: syntax error ...",
    // with a line and column that count from the value's start; ours count from the document's.
    what.erase(0, what.find(": ") == std::string::npos ? 0 : what.find(": ") + 2);
    if (what.size() > 200) what = what.substr(0, 197) + "...";
    fail(what, back);
  }

  /// A number, true, false or null: the parser would look one byte past its end.
  Json scalar() {
    std::string text;
    for (int c = token(); c > ' ' && c != ',' && c != '}' && c != ']' && text.size() < 400;
         c = source.sgetc())
      text += static_cast<char>(source.sbumpc());
    auto parsed = Json::parse(text, nullptr, false);
    if (parsed.is_discarded() && (text.empty() || token() == std::char_traits<char>::eof()))
      source.sbumpc();  // stand on the byte at fault, or notice the end
    if (parsed.is_discarded()) fail("want a value, found '" + text + "'");
    return parsed;
  }

  /// Top-level members up to the list of images (true), or to the document's end (false).
  bool read_members() {
    for (;; first_member = false) {
      if (token() == '}') break;
      if (!first_member) expect(',');
      if (token() != '"') {
        source.sbumpc();
        fail("want the name of a member");
      }
      const auto key = value().get<std::string>();
      expect(':');
      if (!seen.insert(key).second) fail("member \"" + key + "\" is there twice");
      if (key == "images") {
        if (!seen.count("schema")) require_schema(Json::object(), schema, name);
        if (!seen.count("labels")) throw DataError(name + ": want \"labels\" before \"images\"");
        expect('[');
        first_member = false;
        return true;
      }
      take(key, value());
    }
    source.sbumpc();
    if (token() != std::char_traits<char>::eof()) {
      source.sbumpc();
      fail("text after the document's end");
    }
    if (!seen.count("schema")) require_schema(Json::object(), schema, name);
    return false;
  }

  void take(const std::string& key, Json v) {
    if (key == "schema")
      require_schema(Json{{"schema", v}}, schema, name);
    else if (key == "labels")
      labels = labels_from_json(v, name);
    else if (key == "provenance" && !v.is_array())
      throw DataError(name + ": provenance: want a list, got " + to_line(v));
    else if (key == "provenance")
      provenance = std::move(v);
    else
      extra[key] = std::move(v);
  }

  bool next(ImageEntry& entry) {
    if (at_end) return false;
    if (token() == ']') {
      source.sbumpc();
      read_members();
      at_end = true;
      return false;
    }
    if (!first_image) expect(',');
    first_image = false;
    token();
    const auto line = source.next_line();
    entry = entry_from_json(value(), labels, root, name + ": line " + std::to_string(line));
    return true;
  }

  std::string name, root;
  Source source;
  std::istream stream;
  std::set<std::string> seen;
  std::vector<Label> labels;
  Json extra = Json::object(), provenance = Json::array();
  bool first_member = true, first_image = true, at_end = false;
};

ManifestReader::ManifestReader(const std::string& path, const std::string& root)
    : state_(std::make_unique<State>(open(path), path == "-" ? "standard input" : path,
                                     path == "-" ? root : parent_folder(path))) {}
ManifestReader::ManifestReader(std::unique_ptr<std::istream> stream, const std::string& name,
                               const std::string& root)
    : state_(std::make_unique<State>(std::move(stream), name, root)) {}
ManifestReader::~ManifestReader() = default;
ManifestReader::ManifestReader(ManifestReader&&) noexcept = default;
const std::vector<Label>& ManifestReader::labels() const {
  return state_->labels;
}
const Json& ManifestReader::extra() const {
  return state_->extra;
}
bool ManifestReader::next(ImageEntry& entry) {
  return state_->next(entry);
}
const Json& ManifestReader::provenance() const {
  return state_->provenance;
}
std::string ManifestReader::sha256() const {
  return state_->source.sha256();
}
const std::string& ManifestReader::name() const {
  return state_->name;
}

ManifestWriter::ManifestWriter(Sink sink, std::vector<Label> labels, const std::string& folder)
    : sink_(std::move(sink)),
      labels_(labels.size()),
      folder_(folder.empty() ? "" : resolve(folder, "")) {
  Json list = Json::array();
  for (const auto& label : labels) list.push_back({{"name", label.name}, {"values", label.values}});
  sink_(std::string("{\"schema\":\"") + schema + "\",\n\"labels\":" + to_line(list) +
        ",\n\"images\":[");
}

void ManifestWriter::write(const ImageEntry& entry) {
  for (const auto& sample : entry.samples)
    if (sample.labels.size() != labels_)
      throw EntryError("image " + entry.id + ": want " + std::to_string(labels_) +
                       " labels, found " + std::to_string(sample.labels.size()));
  sink_((first_ ? "\n" : ",\n") + to_line(to_json(entry, folder_)));
  first_ = false;
}

void ManifestWriter::finish(const Json& provenance, const Json& extra) {
  std::string text = "\n],\n\"provenance\":[";
  for (std::size_t i = 0; i < provenance.size(); ++i)
    text += (i ? ",\n" : "\n") + to_line(provenance[i]);
  text += "\n]";
  for (const auto& [key, value] : extra.items())
    text += ",\n" + to_line(key) + ":" + to_line(value);
  sink_(text + "}\n");
}

ManifestOutput::ManifestOutput(const std::string& path, Overwrite overwrite) {
  if (path.empty() || path == "-") return;
  folder_ = resolve(parent_folder(path), "");
  file_ = std::make_unique<AtomicFile>(path, overwrite);
}

ManifestWriter ManifestOutput::writer(std::vector<Label> labels) {
  if (!file_) return ManifestWriter(write_stdout, std::move(labels), "");
  return ManifestWriter([file = file_.get()](std::string_view bytes) { file->write(bytes); },
                        std::move(labels), folder_);
}

void ManifestOutput::commit() {
  if (file_) file_->commit();
}

}  // namespace mr::dataset
