#include "report/check.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
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
#include "report/json.h"
#include "report/scope.h"
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
/// and reasons, are not compared.
std::string difference_from(const Json& stored, const Json& anew) {
  if (anew.is_number() && stored.is_number() && agree(stored.get<double>(), anew.get<double>()))
    return "";
  if (anew.is_object() && stored.is_object()) {
    for (const auto& [key, value] : anew.items()) {
      const auto found = stored.find(key);
      if (found == stored.end() || key == "reason") continue;
      const auto inside = difference_from(*found, value);
      if (!inside.empty()) return key + (inside[0] == ':' ? "" : "/") + inside;
    }
    return "";
  }
  if (anew.is_array() && stored.is_array() && anew.size() == stored.size()) {
    for (std::size_t i = 0; i < anew.size(); ++i) {
      const auto inside = difference_from(stored[i], anew[i]);
      if (!inside.empty()) return std::to_string(i) + (inside[0] == ':' ? "" : "/") + inside;
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
    const auto path = is_folder(file) ? file + "/report.json" : file;
    try {
      check_content(path);
    } catch (const Json::exception& e) {  // what no schema says: the type of a provenance's member
      differs(e.what());
    } catch (const Error& e) {
      const bool of_the_file =  // an unknown arm is a wrong option elsewhere, and here a wrong file
          e.exit_status() == ExitStatus::bad_data || e.exit_status() == ExitStatus::usage;
      if (!of_the_file) throw;
      const std::string what = e.what(), begin = path + ": ";
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

  static bool is_evaluation(const std::string& path) {
    return read_prefix(path, 64).find("\"mr-eval/") != std::string::npos;
  }

  void check_content(const std::string& path) {
    if (read_prefix(path, 2) == "PK")
      check_document(results::read_model_description(path), path);
    else if (is_evaluation(path))
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
    if (kind == "mr-report/1" && document.contains("estimates")) check_estimates(document, path);
  }

  /// The estimates of a report once more, where all that it was made from was found.
  void check_estimates(const Json& report, const std::string& path) {
    std::vector<std::string> evaluations;
    for (const auto& input : report["provenance"].back().value("inputs", Json::array())) {
      const auto found = file_of(input, path).with_hash;
      if (found.empty()) {
        evaluations.clear();
        break;
      }
      if (is_evaluation(found)) evaluations.push_back(found);
    }
    if (evaluations.empty()) return not_found("evaluations, to compute the estimates anew");
    results::Reading reading;
    reading.level = results::parse_level(report["level"]);
    if (report["pool"].is_string()) reading.pool = results::parse_pool(report["pool"]);
    if (report["recalibrated"].is_string())
      reading.recalibrate = results::parse_recalibrate(report["recalibrated"]);
    if (report["prevalence"].is_number()) reading.prevalence = report["prevalence"].get<double>();
    Study study(evaluations, {}, reading);
    std::vector<std::string> arms;
    for (const auto& arm : report["arms"]) arms.push_back(arm["arm"]);
    study.keep(arms);
    const auto anew = estimates_json(make_scope(study, report["baseline"]));
    const auto fault = difference_from(report["estimates"], anew);
    if (!fault.empty())
      throw DataError(path + ": estimates" + (fault[0] == ':' ? "" : "/") + fault);
    verified(plural(anew.size(), "estimate") + ", computed anew from the evaluations");
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
        const auto what = entry.value("tool", "?") + " read " + string_member(input, "name", path) +
                          ", SHA-256 " + string_member(input, "sha256", path);
        if (inputs_.insert(to_line(input)).second) check_input(input, what, path);
      }
  }

  void check_input(const Json& input, const std::string& what, const std::string& path) {
    const auto file = file_of(input, path);
    if (!file.with_hash.empty())
      verified(what);
    else if (!file.with_name.empty())
      differs(what + "; " + file.with_name + " has " + hash_of(file.with_name));
    else
      not_found(what);
  }

  /// Where an input lies: a file of its name, and one that has its hash as well; "": none.
  struct Found {
    std::string with_name, with_hash;
  };
  Found file_of(const Json& input, const std::string& path) {
    Found found;
    for (const auto& candidate : candidates(string_member(input, "name", path), path)) {
      if (!exists(candidate) || is_folder(candidate)) continue;
      found.with_name = candidate;
      if (hash_of(candidate) != string_member(input, "sha256", path)) continue;
      found.with_hash = candidate;
      break;
    }
    return found;
  }

  /// Files whose contents may be those of a redacted name: of the same ending.
  static void add_files(const std::string& folder, const std::string& name,
                        std::vector<std::string>& all) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error))
      if (entry.is_regular_file() &&
          entry.path().extension() == std::filesystem::path(name).extension() &&
          redacted_path(entry.path().string()) == name)
        all.push_back(entry.path().string());
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
    if (name.rfind("redacted-", 0) == 0)
      for (const auto& folder : folders) add_files(folder, name, all);
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
  std::set<std::string> inputs_;               // of the file, each once
  std::map<std::string, std::string> hashes_;  // by path
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
