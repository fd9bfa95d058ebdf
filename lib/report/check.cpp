#include "report/check.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/json_schema.h"
#include "base/run.h"
#include "base/text.h"
#include "report/format.h"
#include "results/evaluation.h"
#include "results/measure.h"
#include "results/model_file.h"
#include "results/protocol.h"
#include "results/training_log.h"

namespace mr::report {
namespace {

using results::Header;
using results::Result;

// Relative, of numbers above 1: the same sums on another machine differ by rounding alone.
constexpr double tolerance = 1e-9;

bool agree(double a, double b) {
  return std::abs(a - b) <= tolerance * std::max(1.0, std::abs(b));
}

/// The first place where a stored value is not as computed anew; members that one of them lacks,
/// and words, are not compared.
std::string difference_from(const Json& stored, const Json& anew) {
  if (anew.is_number() && stored.is_number() && agree(stored.get<double>(), anew.get<double>()))
    return "";
  if (anew.is_object() && stored.is_object()) {
    for (const auto& [key, value] : anew.items()) {
      const auto found = stored.find(key);
      if (found == stored.end() || value.is_string()) continue;
      const auto inside = difference_from(*found, value);
      if (!inside.empty()) return key + (inside[0] == ':' ? "" : "/") + inside;
    }
    return "";
  }
  return anew == stored ? "" : ": stored " + excerpt(stored) + ", computed " + excerpt(anew);
}

class Checker {
 public:
  Checker(const std::vector<std::string>& roots, const std::function<void(std::string_view)>& line)
      : roots_(roots), line_(line) {}

  void check(const std::string& file) {
    file_ = file;
    inputs_.clear();
    try {
      check_content(is_folder(file) ? file + "/report.json" : file);
    } catch (const DataError& e) {
      const std::string what = e.what(), begin = file_ + ": ";
      differs(what.rfind(begin, 0) == 0 ? what.substr(begin.size()) : what);
    }
  }

  void finish() const {
    if (differing_ > 0)
      throw DataError("check: " + std::to_string(differing_) + " of " +
                      plural(findings_, "finding") + " " +
                      (differing_ == 1 ? "differs" : "differ"));
  }

 private:
  void say(const char* status, const std::string& what) {
    ++findings_;
    line_(file_ + ": " + status + ": " + what + "\n");
  }
  void verified(const std::string& what) { say("verified", what); }
  void not_found(const std::string& what) { say("not found", what); }
  void differs(const std::string& what) {
    ++differing_;
    say("differs", what);
  }

  void check_content(const std::string& path) {
    const auto begin = read_prefix(path, 64);
    if (begin.rfind("PK", 0) == 0)
      check_document(results::read_model_description(path), path);
    else if (begin.find("\"mr-eval/") != std::string::npos)
      check_evaluation(path);
    else if (results::is_training_log(path))
      check_training_log(path);
    else
      check_document(read_json(path), path);
  }

  /// Throws where the document does not fit the schema of its kind.
  static void require_fit(const Json& document, const Json& schema, const std::string& where) {
    const auto fault = mismatch(document, schema);
    if (!fault.empty()) throw DataError(where + ": " + fault);
  }

  /// Each line of a JSON Lines file by itself; the reader of its kind then reads the whole.
  static void require_lines_fit(const std::string& path, const Json& schema) {
    std::ifstream in(path, std::ios::binary);
    std::string text;
    for (std::size_t number = 1; std::getline(in, text); ++number) {
      throw_if_stopped();
      require_fit(parse_json(text, path, number), schema,
                  path + ": line " + std::to_string(number));
    }
  }

  void check_document(const Json& document, const std::string& path) {
    if (!document.is_object() || !document.contains("schema") || !document["schema"].is_string())
      throw DataError(path + ": no document of these tools: it has no \"schema\"");
    const auto kind = document["schema"].get<std::string>();
    const auto name = kind.substr(0, kind.find('/'));
    const auto schema = schema_named(name);
    require_schema(document, name + "/1", path);
    require_fit(document, schema, path);
    verified("structure: " + kind);
    if (kind == "mr-protocol/1") check_protocol(document, path);
    check_provenance(document, path);
  }

  void check_protocol(const Json& document, const std::string& path) {
    const auto anew = results::to_json(results::read_protocol(path));
    const auto fault = difference_from(document["plan"], anew["plan"]);
    if (!fault.empty()) throw DataError(path + ": plan/" + fault);
    verified("planned power, computed anew");
  }

  void check_training_log(const std::string& path) {
    require_lines_fit(path, schema_named("mr-train-log"));
    const auto log = results::read_training_log(path);
    verified("structure: mr-train-log/1, " + plural(log.epochs.size(), "epoch"));
    check_provenance(log.header, path);
  }

  void check_evaluation(const std::string& path) {
    const auto schema = schema_named("mr-eval");
    Header header;
    std::size_t results = 0;
    std::string fault;
    results::Visitor visitor;
    visitor.header = [&](const Header& read) { header = read; };
    visitor.result = [&](Result&& result) {
      throw_if_stopped();
      ++results;
      if (fault.empty()) fault = difference_from_scores(header, std::move(result));
    };
    results::read_evaluation(path, visitor);
    require_lines_fit(path, schema);
    verified("structure: mr-eval/1, " + plural(results, "result") + " of " +
             plural(header.models.size(), "model"));
    if (fault.empty())
      verified("metrics and influences of " + plural(results, "result") +
               ", computed anew from the scores");
    else
      differs(fault);
    check_models(header);
    check_provenance({{"provenance", header.provenance}}, path);
    for (const auto& model : header.models)
      if (model.info.is_object()) check_provenance(model.info, path);
  }

  static std::string difference_from_scores(const Header& header, Result stored) {
    auto anew = stored;
    results::measure(header, anew);
    const auto where =
        "model " + header.models[stored.model].id + " at " + results::name(stored.condition) + ": ";
    for (const auto& label : header.labels)
      if (!stored.metrics.contains(label)) return where + "metrics: lacks \"" + label + "\"";
    const auto fault = difference_from(stored.metrics, anew.metrics);
    if (!fault.empty()) return where + "metrics/" + fault;
    const auto subjects = header.subjects.size();
    for (std::size_t i = 0; i < anew.influence.size(); ++i)
      if (!agree(stored.influence[i], anew.influence[i]))
        return where + "influence of " + header.subjects[i % subjects] + " on " +
               header.labels[i / subjects] + ": stored " + shortest(stored.influence[i]) +
               ", computed " + shortest(anew.influence[i]);
    return "";
  }

  /// Each model's hash is that of an input of the evaluation.
  void check_models(const Header& header) {
    std::set<std::string> known;
    for (const auto& entry : header.provenance)
      for (const auto& input : entry.value("inputs", Json::array()))
        known.insert(input.value("sha256", ""));
    for (const auto& model : header.models)
      if (known.count(model.sha256) == 0)
        differs("model " + model.id + ": SHA-256 " + model.sha256 +
                " is of no input in the provenance");
  }

  void check_provenance(const Json& document, const std::string& path) {
    if (!document.contains("provenance")) return;
    for (const auto& entry : document["provenance"])
      for (const auto& input : entry.value("inputs", Json::array())) {
        const auto where = path + ": provenance: " + entry.value("tool", "?") + ": input";
        const auto name = string_member(input, "name", where);
        const auto hash = string_member(input, "sha256", where);
        if (inputs_.insert({name, hash}).second)
          check_input(entry.value("tool", "?") + " read " + name + ", SHA-256 " + hash, name, hash,
                      path);
      }
  }

  void check_input(const std::string& what, const std::string& name, const std::string& hash,
                   const std::string& path) {
    std::string found;
    for (const auto& candidate : candidates(name, path)) {
      if (!exists(candidate) || is_folder(candidate)) continue;
      found = candidate;
      if (hash_of(candidate) == hash) return verified(what);
    }
    if (found.empty()) return not_found(what);
    differs(what + "; " + found + " has " + hash_of(found));
  }

  /// Where an input may lie: beside the file, or beside the folder of a report; in a root.
  std::vector<std::string> candidates(const std::string& name, const std::string& path) const {
    const auto beside = parent_folder(resolve(path, ""));
    std::vector<std::string> folders = {beside};
    if (file_name(path) == "report.json") folders.push_back(parent_folder(beside));
    folders.insert(folders.end(), roots_.begin(), roots_.end());
    std::vector<std::string> all;
    for (const auto& folder : folders)
      for (const auto& relative : {name, file_name(name)}) all.push_back(resolve(relative, folder));
    return all;
  }

  const std::string& hash_of(const std::string& path) {
    auto& hash = hashes_[path];
    if (hash.empty()) hash = sha256_file(path);
    return hash;
  }

  const std::vector<std::string>& roots_;
  const std::function<void(std::string_view)>& line_;
  std::string file_;
  std::set<std::pair<std::string, std::string>> inputs_;  // of the file: name, hash
  std::map<std::string, std::string> hashes_;             // by path
  std::size_t findings_ = 0, differing_ = 0;
};

}  // namespace

void check_files(const std::vector<std::string>& files, const std::vector<std::string>& roots,
                 const std::function<void(std::string_view)>& line) {
  for (const auto& file : files)
    if (file == "-" || !exists(file))
      throw MissingInputError(file +
                              (file == "-" ? ": a check wants files" : ": cannot be opened"));
  Checker checker(roots, line);
  for (const auto& file : files) checker.check(file);
  checker.finish();
}

}  // namespace mr::report
