#include "results/evaluation.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace mr::results {
namespace {

constexpr const char* schema = "mr-eval/1";
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "numbers go to the file as they lie in memory");

template <typename T>
std::string encode(const std::vector<T>& values) {
  return base64_encode({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
}

template <typename T>
std::vector<T> decode(const Json& line, const char* key, std::size_t rows, std::size_t columns,
                      const std::string& where) {
  const auto bytes = base64_decode(string_member(line, key, where), where + ": " + key);
  if (bytes.size() != rows * columns * sizeof(T))
    throw DataError(where + ": " + key + ": want " + std::to_string(rows) + " x " +
                    std::to_string(columns) + " numbers of " + std::to_string(sizeof(T)) +
                    " bytes, got " + std::to_string(bytes.size()) + " bytes");
  std::vector<T> values(rows * columns);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

struct KindName {
  Kind kind;
  const char* name;
};
constexpr KindName kinds[] = {{Kind::clean, "clean"},
                              {Kind::artifact, "artifact"},
                              {Kind::recipe, "recipe"},
                              {Kind::as_given, "as_given"}};

const char* kind_name(Kind kind) {
  for (const auto& k : kinds)
    if (k.kind == kind) return k.name;
  throw DataError("condition: unknown kind");
}

Json to_json(const Condition& condition) {
  Json json{{"kind", kind_name(condition.kind)}};
  if (!condition.artifact.empty()) json["artifact"] = condition.artifact;
  if (condition.kind == Kind::artifact) json["severity"] = condition.severity;
  return json;
}

Condition to_condition(const Json& json, const std::string& where) {
  const auto kind = string_member(json, "kind", where);
  for (const auto& k : kinds) {
    if (kind != k.name) continue;
    Condition condition{k.kind, "", 0};
    if (k.kind == Kind::artifact || json.contains("artifact"))
      condition.artifact = string_member(json, "artifact", where);
    if (k.kind == Kind::artifact) condition.severity = number_member(json, "severity", where);
    return condition;
  }
  throw DataError(where + ": unknown kind of condition '" + kind + "'");
}

Json to_json(const Model& model) {
  Json thresholds = Json::array();
  for (const auto& t : model.thresholds) thresholds.push_back(t ? Json(*t) : Json(nullptr));
  return {{"id", model.id},
          {"normalization", model.normalization},
          {"adaptation", model.adaptation},
          {"run", model.run},
          {"sha256", model.sha256},
          {"thresholds", std::move(thresholds)},
          {"info", model.info}};
}

/// The member as T; nlohmann's own words where it is something else.
template <typename T>
T as(const Json& object, const char* key, const std::string& where) {
  try {
    return member(object, key, where).get<T>();
  } catch (const Json::exception& e) {
    throw DataError(where + ": " + key + ": " + e.what());
  }
}

Json optional_member(const Json& object, const char* key, Json otherwise) {
  return object.contains(key) ? object[key] : std::move(otherwise);
}

Model to_model(const Json& json, std::size_t labels, const std::string& where) {
  Model model;
  model.id = string_member(json, "id", where);
  model.normalization = string_member(json, "normalization", where);
  model.adaptation = string_member(json, "adaptation", where);
  model.run = integer_member(json, "run", where);
  model.sha256 = string_member(json, "sha256", where);
  for (const auto& t : as<std::vector<Json>>(json, "thresholds", where)) {
    if (!t.is_null() && !t.is_number())
      throw DataError(where + ": model " + model.id + ": thresholds: want numbers or null, got " +
                      to_line(t));
    model.thresholds.push_back(t.is_null() ? std::nullopt : std::optional(t.get<double>()));
  }
  if (model.thresholds.size() != labels)
    throw DataError(where + ": model " + model.id + ": want " + std::to_string(labels) +
                    " thresholds, one per label, got " + std::to_string(model.thresholds.size()));
  model.info = optional_member(json, "info", Json::object());
  return model;
}

Json truth_to_json(const std::vector<std::int8_t>& truth) {
  Json row = Json::array();
  for (const auto t : truth) row.push_back(t < 0 ? Json(nullptr) : Json(t));
  return row;
}

std::vector<std::int8_t> to_truth(const Json& row, std::size_t samples, const std::string& where) {
  if (!row.is_array() || row.size() != samples)
    throw DataError(where + ": want rows of " + std::to_string(samples) + ", one per sample");
  std::vector<std::int8_t> truth;
  for (const auto& t : row) {
    if (!t.is_null() && t != 0 && t != 1)
      throw DataError(where + ": want 0, 1 or null, got " + to_line(t));
    truth.push_back(static_cast<std::int8_t>(t.is_null() ? -1 : t.get<int>()));
  }
  return truth;
}

template <typename Text>
void require_unique(const std::vector<Text>& ids, const std::string& where) {
  std::set<std::string> seen;
  for (const auto& id : ids)
    if (!seen.insert(id).second) throw DataError(where + ": '" + id + "' twice");
}

Header to_header(const Json& json, const std::string& where) {
  Header header;
  header.labels = as<std::vector<std::string>>(json, "labels", where);
  const auto& samples = member(json, "samples", where);
  header.sample_ids = as<std::vector<std::string>>(samples, "id", where + ": samples");
  header.sample_subject = as<std::vector<std::int32_t>>(samples, "subject", where + ": samples");
  header.subjects = as<std::vector<std::string>>(json, "subjects", where);
  require_unique(header.labels, where + ": labels");
  require_unique(header.sample_ids, where + ": samples");
  require_unique(header.subjects, where + ": subjects");
  if (header.sample_subject.size() != header.sample_ids.size())
    throw DataError(where + ": samples: " + std::to_string(header.sample_ids.size()) +
                    " ids, but " + std::to_string(header.sample_subject.size()) + " subjects");
  for (const auto subject : header.sample_subject)
    if (subject < 0 || static_cast<std::size_t>(subject) >= header.subjects.size())
      throw DataError(where + ": samples: subject " + std::to_string(subject) + " of " +
                      std::to_string(header.subjects.size()));
  std::vector<std::string> ids;
  for (const auto& model : as<std::vector<Json>>(json, "models", where)) {
    header.models.push_back(to_model(model, header.labels.size(), where));
    ids.push_back(header.models.back().id);
  }
  require_unique(ids, where + ": models");
  for (const auto& row : as<std::vector<Json>>(json, "truth", where))
    header.truth.push_back(to_truth(row, header.sample_ids.size(), where + ": truth"));
  if (header.truth.size() != header.labels.size())
    throw DataError(where + ": truth: want " + std::to_string(header.labels.size()) +
                    " rows, one per label, got " + std::to_string(header.truth.size()));
  header.attributes = optional_member(json, "attributes", Json::object());
  header.grid = optional_member(json, "grid", Json::object());
  header.notes = optional_member(json, "notes", Json::array());
  header.provenance = optional_member(json, "provenance", Json::array());
  return header;
}

/// One evaluation, line by line: one line is in memory, beside the header.
class Reader {
 public:
  Reader(std::istream& in, std::string name, const Visitor& visitor)
      : in_(in), name_(std::move(name)), visitor_(visitor) {}

  void read() {
    read_header();
    while (next()) {
      if (in_.eof()) throw DataError(where() + ": cut off: the line does not end");
      const auto line = parse_json(text_, name_, number_);
      if (line.is_object() && line.contains("end")) return finish(line["end"]);
      if (line.is_object() && line.contains("thumbnail"))
        read_thumbnail(line["thumbnail"]);
      else
        read_result(line);
    }
    throw DataError(where() + ": cut off: no end line follows");
  }

 private:
  bool next() {
    ++number_;
    if (std::getline(in_, text_)) return true;
    if (in_.bad()) throw IoError(name_ + ": cannot be read");
    --number_;
    return false;
  }

  std::string where() const { return name_ + ": line " + std::to_string(number_); }

  void read_header() {
    // The first byte is enough to turn away an image or a model before a line of it is read.
    if (in_.peek() != '{' || !next() || text_.find("mr-eval/") == std::string::npos)
      throw DataError(name_ + ": not an evaluation (" + schema + ")");
    const auto json = parse_json(text_, name_);
    require_schema(json, schema, name_);
    header_ = to_header(json, name_);
    for (std::size_t m = 0; m < header_.models.size(); ++m) index_[header_.models[m].id] = m;
    if (visitor_.header) visitor_.header(header_);
  }

  void read_result(const Json& line) {
    Result result;
    const auto id = string_member(line, "model", where());
    const auto found = index_.find(id);
    if (found == index_.end())
      throw DataError(where() + ": model '" + id + "' is not in the header");
    result.model = found->second;
    result.condition = to_condition(member(line, "condition", where()), where());
    result.metrics = member(line, "metrics", where());
    result.fidelity = optional_member(line, "fidelity", Json::object());
    const auto labels = header_.labels.size();
    result.influence = decode<double>(line, "influence", labels, header_.subjects.size(), where());
    result.scores = decode<float>(line, "scores", labels, header_.sample_ids.size(), where());
    ++results_;
    if (visitor_.result) visitor_.result(std::move(result));
  }

  void read_thumbnail(const Json& json) {
    Thumbnail thumbnail;
    thumbnail.condition = to_condition(member(json, "condition", where()), where());
    thumbnail.sample_id = string_member(json, "sample", where());
    thumbnail.png = base64_decode(string_member(json, "png", where()), where() + ": png");
    ++thumbnails_;
    if (visitor_.thumbnail) visitor_.thumbnail(std::move(thumbnail));
  }

  void finish(const Json& end) {
    const auto results = integer_member(end, "results", where());
    const auto thumbnails = integer_member(end, "thumbnails", where());
    if (results != results_ || thumbnails != thumbnails_)
      throw DataError(where() + ": the end line counts " + std::to_string(results) +
                      " results and " + std::to_string(thumbnails) + " thumbnails, the file has " +
                      std::to_string(results_) + " and " + std::to_string(thumbnails_));
    if (next()) throw DataError(where() + ": text after the end line");
  }

  std::istream& in_;
  std::string name_;
  const Visitor& visitor_;
  std::string text_;
  std::size_t number_ = 0;
  std::int64_t results_ = 0, thumbnails_ = 0;
  Header header_;
  std::map<std::string, std::size_t> index_;  // of a model by its id
};

void require_size(std::size_t found, std::size_t want, const char* what) {
  if (found != want)
    throw DataError(std::string("evaluation: ") + what + ": want " + std::to_string(want) +
                    ", got " + std::to_string(found));
}

}  // namespace

std::string trained_as(const Json& description, const std::string& where) {
  const auto normalization = string_member(description, "normalization", where);
  const auto& training = member(description, "training", where);
  const auto augment = training.find("augment_name");
  if (augment == training.end() || !augment->is_string()) return normalization;
  return normalization + "/" + augment->get<std::string>();
}

std::string arm(const Model& model) {
  return model.adaptation.empty() ? model.normalization
                                  : model.normalization + "+" + model.adaptation;
}

std::string name(const Condition& condition) {
  switch (condition.kind) {
    case Kind::clean:
      return "clean";
    case Kind::artifact:
      return condition.artifact + ":" + shortest(condition.severity);
    case Kind::recipe:
      return "recipe:" + condition.artifact;
    case Kind::as_given:
      return condition.artifact.empty() ? "as given" : "as given:" + condition.artifact;
  }
  throw DataError("condition: unknown kind");
}

EvaluationWriter::EvaluationWriter(Sink sink, const Header& header)
    : sink_(std::move(sink)), header_(header) {
  const auto labels = header.labels.size();
  require_size(header.sample_subject.size(), header.sample_ids.size(), "subjects of samples");
  require_size(header.truth.size(), labels, "rows of truth");
  Json models = Json::array(), truth = Json::array();
  for (const auto& model : header.models) {
    require_size(model.thresholds.size(), labels, "thresholds");
    models.push_back(to_json(model));
  }
  for (const auto& row : header.truth) {
    require_size(row.size(), header.sample_ids.size(), "truth");
    truth.push_back(truth_to_json(row));
  }
  write_line({{"schema", schema},
              {"labels", header.labels},
              {"models", std::move(models)},
              {"samples", {{"id", header.sample_ids}, {"subject", header.sample_subject}}},
              {"subjects", header.subjects},
              {"truth", std::move(truth)},
              {"attributes", header.attributes},
              {"grid", header.grid},
              {"notes", header.notes},
              {"provenance", header.provenance}});
}

void EvaluationWriter::write_line(const Json& line) {
  sink_(to_line(line) + "\n");
}

void EvaluationWriter::write(const Result& result) {
  const auto labels = header_.labels.size();
  require_size(result.scores.size(), labels * header_.sample_ids.size(), "scores");
  require_size(result.influence.size(), labels * header_.subjects.size(), "influence");
  write_line({{"model", header_.models.at(result.model).id},
              {"condition", to_json(result.condition)},
              {"metrics", result.metrics},
              {"fidelity", result.fidelity},
              {"influence", encode(result.influence)},
              {"scores", encode(result.scores)}});
  ++results_;
}

void EvaluationWriter::write(const Thumbnail& thumbnail) {
  write_line({{"thumbnail",
               {{"condition", to_json(thumbnail.condition)},
                {"sample", thumbnail.sample_id},
                {"png", base64_encode(thumbnail.png)}}}});
  ++thumbnails_;
}

void EvaluationWriter::finish() {
  write_line({{"end", {{"results", results_}, {"thumbnails", thumbnails_}}}});
}

void read_evaluation(const std::string& path, const Visitor& visitor) {
  if (path == "-") return Reader(std::cin, "standard input", visitor).read();
  if (is_folder(path)) throw DataError(path + ": is a folder");
  std::ifstream in(path, std::ios::binary);
  if (!in) throw MissingInputError(path + ": " + std::strerror(errno));
  Reader(in, path, visitor).read();
}

}  // namespace mr::results
