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

const char* part_name(Part part) {
  return part == Part::structure ? "structure" : part == Part::gain ? "gain" : "all";
}

std::string part_suffix(Part part) {
  return part == Part::structure ? " gain-matched" : part == Part::gain ? " gain alone" : "";
}

Json to_json(const Condition& condition) {
  Json json{{"kind", kind_name(condition.kind)}};
  if (!condition.artifact.empty()) json["artifact"] = condition.artifact;
  if (condition.kind == Kind::artifact) json["severity"] = condition.severity;
  if (condition.part != Part::all) json["part"] = part_name(condition.part);
  return json;
}

Part to_part(const std::string& text, const std::string& where) {
  for (const auto part : {Part::all, Part::structure, Part::gain})
    if (text == part_name(part)) return part;
  throw DataError(where + ": unknown part '" + text + "' of an artifact");
}

Condition to_condition(const Json& json, const std::string& where) {
  const auto kind = string_member(json, "kind", where);
  for (const auto& k : kinds) {
    if (kind != k.name) continue;
    Condition condition{k.kind, "", 0, Part::all};
    if (k.kind == Kind::artifact || json.contains("artifact"))
      condition.artifact = string_member(json, "artifact", where);
    if (k.kind == Kind::artifact) condition.severity = number_member(json, "severity", where);
    if (json.contains("part")) condition.part = to_part(string_member(json, "part", where), where);
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

Samples to_samples(const Json& json, std::size_t labels, const std::string& where) {
  Samples all;
  const auto& samples = member(json, "samples", where);
  all.sample_ids = as<std::vector<std::string>>(samples, "id", where + ": samples");
  all.sample_subject = as<std::vector<std::int32_t>>(samples, "subject", where + ": samples");
  all.subjects = as<std::vector<std::string>>(json, "subjects", where);
  require_unique(all.sample_ids, where + ": samples");
  require_unique(all.subjects, where + ": subjects");
  if (all.sample_subject.size() != all.sample_ids.size())
    throw DataError(where + ": samples: " + std::to_string(all.sample_ids.size()) + " ids, but " +
                    std::to_string(all.sample_subject.size()) + " subjects");
  for (const auto subject : all.sample_subject)
    if (subject < 0 || static_cast<std::size_t>(subject) >= all.subjects.size())
      throw DataError(where + ": samples: subject " + std::to_string(subject) + " of " +
                      std::to_string(all.subjects.size()));
  for (const auto& row : as<std::vector<Json>>(json, "truth", where))
    all.truth.push_back(to_truth(row, all.sample_ids.size(), where + ": truth"));
  if (all.truth.size() != labels)
    throw DataError(where + ": truth: want " + std::to_string(labels) +
                    " rows, one per label, got " + std::to_string(all.truth.size()));
  all.attributes = optional_member(json, "attributes", Json::object());
  return all;
}

Header to_header(const Json& json, const std::string& where) {
  Header header;
  header.labels = as<std::vector<std::string>>(json, "labels", where);
  require_unique(header.labels, where + ": labels");
  static_cast<Samples&>(header) = to_samples(json, header.labels.size(), where);
  if (json.contains("validation"))
    header.validation =
        to_samples(json["validation"], header.labels.size(), where + ": validation");
  std::vector<std::string> ids;
  for (const auto& model : as<std::vector<Json>>(json, "models", where)) {
    header.models.push_back(to_model(model, header.labels.size(), where));
    ids.push_back(header.models.back().id);
  }
  require_unique(ids, where + ": models");
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
      else if (line.is_object() && line.contains("validation"))
        read_validation(line["validation"]);
      else if (line.is_object() && line.contains("explanation"))
        read_explanation(line["explanation"]);
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

  std::size_t model_of(const Json& line) const {
    const auto id = string_member(line, "model", where());
    const auto found = index_.find(id);
    if (found == index_.end())
      throw DataError(where() + ": model '" + id + "' is not in the header");
    return found->second;
  }

  void read_validation(const Json& json) {
    ValidationScores validation;
    validation.model = model_of(json);
    validation.condition = to_condition(member(json, "condition", where()), where());
    validation.scores = decode<float>(json, "scores", header_.labels.size(),
                                      header_.validation.sample_ids.size(), where());
    ++validations_;
    if (visitor_.validation) visitor_.validation(std::move(validation));
  }

  void read_result(const Json& line) {
    Result result;
    result.model = model_of(line);
    result.condition = to_condition(member(line, "condition", where()), where());
    result.metrics = member(line, "metrics", where());
    result.fidelity = optional_member(line, "fidelity", Json::object());
    const auto labels = header_.labels.size();
    result.influence = decode<double>(line, "influence", labels, header_.subjects.size(), where());
    result.scores = decode<float>(line, "scores", labels, header_.sample_ids.size(), where());
    if (line.contains("distance"))
      result.distance = decode<float>(line, "distance", 1, header_.sample_ids.size(), where());
    ++results_;
    if (visitor_.result) visitor_.result(std::move(result));
  }

  void read_explanation(const Json& json) {
    Explanation explanation;
    explanation.model = model_of(json);
    explanation.condition = to_condition(member(json, "condition", where()), where());
    explanation.findings = to_findings(json, where());
    ++explanations_;
    if (visitor_.explanation) visitor_.explanation(std::move(explanation));
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
    const auto optional = [&](const char* key) {
      return end.contains(key) ? integer_member(end, key, where()) : 0;
    };
    const auto counts = [](std::int64_t v, std::int64_t r, std::int64_t e, std::int64_t t) {
      return std::to_string(v) + " validations, " + std::to_string(r) + " results, " +
             std::to_string(e) + " explanations and " + std::to_string(t) + " thumbnails";
    };
    const auto said = counts(optional("validations"), integer_member(end, "results", where()),
                             optional("explanations"), integer_member(end, "thumbnails", where()));
    const auto found = counts(validations_, results_, explanations_, thumbnails_);
    if (said != found)
      throw DataError(where() + ": the end line counts " + said + ", the file has " + found);
    if (next()) throw DataError(where() + ": text after the end line");
  }

  std::istream& in_;
  std::string name_;
  const Visitor& visitor_;
  std::string text_;
  std::size_t number_ = 0;
  std::int64_t validations_ = 0, results_ = 0, explanations_ = 0, thumbnails_ = 0;
  Header header_;
  std::map<std::string, std::size_t> index_;  // of a model by its id
};

Json to_json(const Samples& samples) {
  Json truth = Json::array();
  for (const auto& row : samples.truth) truth.push_back(truth_to_json(row));
  return {{"samples", {{"id", samples.sample_ids}, {"subject", samples.sample_subject}}},
          {"subjects", samples.subjects},
          {"truth", std::move(truth)},
          {"attributes", samples.attributes}};
}

void require_size(std::size_t found, std::size_t want, const char* what) {
  if (found != want)
    throw DataError(std::string("evaluation: ") + what + ": want " + std::to_string(want) +
                    ", got " + std::to_string(found));
}

void require_lengths(const Samples& samples, std::size_t labels) {
  require_size(samples.sample_subject.size(), samples.sample_ids.size(), "subjects of samples");
  require_size(samples.truth.size(), labels, "rows of truth");
  for (const auto& row : samples.truth)
    require_size(row.size(), samples.sample_ids.size(), "truth");
}

}  // namespace

std::string Training::name() const {
  return norm + (standardisation == default_standardisation ? "" : ":" + standardisation) +
         (augmentation.empty() ? "" : "/" + augmentation);
}

Training trained_as(const Json& description, const std::string& where) {
  Training trained{string_member(description, "normalization", where),
                   string_member(member(description, "preprocessing", where), "standardisation",
                                 where + ": preprocessing"),
                   ""};
  const auto& training = member(description, "training", where);
  const auto augment = training.find("augment_name");
  if (augment != training.end() && augment->is_string())
    trained.augmentation = augment->get<std::string>();
  return trained;
}

Training parse_training(const std::string& name) {
  const auto slash = name.find('/');
  const auto head = name.substr(0, slash);
  const auto colon = head.find(':');
  return {head.substr(0, colon),
          colon == std::string::npos ? default_standardisation : head.substr(colon + 1),
          slash == std::string::npos ? "" : name.substr(slash + 1)};
}

std::string arm(const Model& model) {
  return model.adaptation.empty() ? model.normalization
                                  : model.normalization + "+" + model.adaptation;
}

Condition gain_control(const std::string& artifact, double severity) {
  return {Kind::recipe, artifact + ":" + shortest(severity), 0};
}

std::optional<GainControl> parse_gain_control(const Condition& condition) {
  if (condition.kind != Kind::recipe) return {};
  for (const std::string control : gain_controls)
    if (condition.artifact.compare(0, control.size() + 1, control + ":") == 0)
      return GainControl{control, condition.artifact.substr(control.size() + 1)};
  return {};
}

bool is_own_name(const std::string& recipe) {
  return recipe == clinic_mix || parse_gain_control({Kind::recipe, recipe, 0});
}

std::string name(const Condition& condition) {
  switch (condition.kind) {
    case Kind::clean:
      return "clean";
    case Kind::artifact:
      return condition.artifact + ":" + shortest(condition.severity) + part_suffix(condition.part);
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
  require_lengths(header, labels);
  Json models = Json::array();
  for (const auto& model : header.models) {
    require_size(model.thresholds.size(), labels, "thresholds");
    models.push_back(to_json(model));
  }
  auto samples = to_json(static_cast<const Samples&>(header));
  Json line{{"schema", schema},
            {"labels", header.labels},
            {"models", std::move(models)},
            {"samples", std::move(samples["samples"])},
            {"subjects", std::move(samples["subjects"])},
            {"truth", std::move(samples["truth"])},
            {"attributes", std::move(samples["attributes"])}};
  if (!header.validation.sample_ids.empty()) {
    require_lengths(header.validation, labels);
    line["validation"] = to_json(header.validation);
  }
  line["grid"] = header.grid;
  line["notes"] = header.notes;
  line["provenance"] = header.provenance;
  write_line(line);
}

void EvaluationWriter::write_line(const Json& line) {
  sink_(to_line(line) + "\n");
}

void EvaluationWriter::write(const ValidationScores& validation) {
  require_size(validation.scores.size(),
               header_.labels.size() * header_.validation.sample_ids.size(), "validation scores");
  write_line({{"validation",
               {{"model", header_.models.at(validation.model).id},
                {"condition", to_json(validation.condition)},
                {"scores", encode(validation.scores)}}}});
  ++validations_;
}

void EvaluationWriter::write(const Result& result) {
  const auto labels = header_.labels.size();
  require_size(result.scores.size(), labels * header_.sample_ids.size(), "scores");
  require_size(result.influence.size(), labels * header_.subjects.size(), "influence");
  Json line{{"model", header_.models.at(result.model).id},
            {"condition", to_json(result.condition)},
            {"metrics", result.metrics},
            {"fidelity", result.fidelity},
            {"influence", encode(result.influence)},
            {"scores", encode(result.scores)}};
  if (!result.distance.empty()) {
    require_size(result.distance.size(), header_.sample_ids.size(), "distances");
    line["distance"] = encode(result.distance);
  }
  write_line(line);
  ++results_;
}

void EvaluationWriter::write(const Explanation& explanation) {
  Json json{{"model", header_.models.at(explanation.model).id},
            {"condition", to_json(explanation.condition)}};
  json.update(to_json(explanation.findings));
  write_line({{"explanation", std::move(json)}});
  ++explanations_;
}

void EvaluationWriter::write(const Thumbnail& thumbnail) {
  write_line({{"thumbnail",
               {{"condition", to_json(thumbnail.condition)},
                {"sample", thumbnail.sample_id},
                {"png", base64_encode(thumbnail.png)}}}});
  ++thumbnails_;
}

void EvaluationWriter::finish() {
  write_line({{"end",
               {{"validations", validations_},
                {"results", results_},
                {"explanations", explanations_},
                {"thumbnails", thumbnails_}}}});
}

void read_evaluation(const std::string& path, const Visitor& visitor) {
  if (path == "-") return Reader(std::cin, "standard input", visitor).read();
  if (is_folder(path)) throw DataError(path + ": is a folder");
  std::ifstream in(path, std::ios::binary);
  if (!in) throw MissingInputError(path + ": " + std::strerror(errno));
  Reader(in, path, visitor).read();
}

}  // namespace mr::results
