#include "report/report.h"

#include <algorithm>
#include <future>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "report/csv.h"
#include "report/html.h"
#include "report/json.h"
#include "report/latex.h"
#include "report/markdown.h"
#include "report/recompute.h"
#include "report/sections.h"
#include "report/svg.h"

namespace mr::report {
namespace {

void require_distinct(const std::vector<std::string>& paths) {
  std::set<std::string> seen;
  for (const auto& path : paths)
    if (!seen.insert(path == "-" ? path : resolve(path, "")).second)
      throw UsageError(path + ": named twice");
}

struct Inputs {
  std::vector<std::string> evaluations;
  std::vector<results::TrainingLog> logs;
};

Inputs sort_out(const Options& options) {
  Inputs inputs;
  for (const auto& path : options.inputs)
    if (results::is_training_log(path))
      inputs.logs.push_back(results::read_training_log(path));
    else
      inputs.evaluations.push_back(path);
  if (!inputs.evaluations.empty()) return inputs;
  if (!options.baseline.empty()) throw UsageError("--baseline: there is no evaluation");
  if (!options.scores.empty()) throw UsageError("--scores: there is no evaluation");
  if (!options.compare.empty()) throw UsageError("--compare: there is no evaluation");
  if (!options.protocol.empty()) throw UsageError("--protocol: there is no evaluation");
  if (!options.by.empty()) throw UsageError("--by: there is no evaluation");
  if (options.level) throw UsageError("--level: there is no evaluation");
  if (options.recalibrate != results::Recalibrate::no)
    throw UsageError("--recalibrate: there is no evaluation");
  if (options.pool) throw UsageError("--pool: there is no evaluation");
  if (options.prevalence) throw UsageError("--prevalence: there is no evaluation");
  return inputs;
}

/// What made the models and the evaluations, each entry once, then this run.
class Provenance {
 public:
  void add(const Json& entries) {
    for (const auto& entry : entries)
      if (std::find(all_.begin(), all_.end(), entry) == all_.end()) all_.push_back(entry);
  }
  void add(const Study& study) {
    for (const auto& model : study.models())
      if (model.info.is_object() && model.info.contains("provenance"))
        add(model.info["provenance"]);
    add(study.provenance());
  }
  void add(const Trainings& trainings) {
    for (const auto& log : trainings.logs())
      if (log.header.contains("provenance")) add(log.header["provenance"]);
  }
  Json finish(const Options& options, const Run& run) {
    std::vector<std::pair<std::string, std::string>> inputs;
    for (const auto& path : options.inputs)
      if (path != "-") inputs.emplace_back(path, sha256_file(path));
    if (!options.protocol.empty())
      inputs.emplace_back(options.protocol, sha256_file(options.protocol));
    all_.push_back(provenance_entry(run, inputs));
    return all_;
  }

 private:
  Json all_ = Json::array();
};

void write_figures(const Document& document, const std::string& folder) {
  make_folders(folder);
  for (const auto& section : document.sections)
    for (const auto& block : section.blocks)
      if (const auto* group = std::get_if<FigureGroup>(&block))
        for (const auto& figure : group->figures) {
          std::string path = folder + "/" + figure.file;
          while (exists(path + ".svg")) path += "-2";  // two names with one slug
          write_file(path + ".svg", svg_file(figure), Overwrite::no);
          write_file(path + ".csv", figure_csv(figure), Overwrite::no);
        }
}

struct Report {
  Document document;
  Json json;
  std::string estimates, trainings;       // CSV; "": none
  std::string recompute_py, recompute_r;  // programs; "": nothing to compute
};

void write_folder(const Report& report, const std::string& markdown, const std::string& folder) {
  const auto write = [&](const char* name, const std::string& bytes) {
    write_file(folder + "/" + name, bytes, Overwrite::no);
  };
  write("report.html", to_html(report.document));
  write("report.md", markdown);
  write("report.json", report.json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  if (!report.estimates.empty()) {
    write("report.csv", report.estimates);
    write("tables.tex",
          to_latex(report.document, {"verdict", "performance", "paired-differences"}));
  }
  if (!report.trainings.empty()) write("training.csv", report.trainings);
  if (!report.recompute_py.empty()) write("recompute.py", report.recompute_py);
  if (!report.recompute_r.empty()) write("recompute.R", report.recompute_r);
  write_figures(report.document, folder + "/figures");
}

/// The two arms alone, and the logs of their trainings.
void keep_compared(Study& study, std::vector<results::TrainingLog>& logs,
                   const std::vector<std::string>& arms) {
  if (arms.front() == arms.back()) throw UsageError("--compare: want two different arms");
  try {
    study.keep(arms);
  } catch (const UsageError& e) {
    throw UsageError(std::string("--compare: ") + e.what());
  }
  const auto other = [&](const results::TrainingLog& log) {
    return std::none_of(arms.begin(), arms.end(), [&](const std::string& arm) {
      return any_model(study, arm).normalization == log.normalization;
    });
  };
  logs.erase(std::remove_if(logs.begin(), logs.end(), other), logs.end());
}

Report report_trainings(const Trainings& trainings, const Options& options, const Run& run) {
  Provenance made;
  made.add(trainings);
  const auto provenance = made.finish(options, run);
  Report report;
  report.document = training_document(trainings, provenance);
  report.json = to_json(report.document, trainings, provenance);
  report.trainings = training_csv(trainings);
  return report;
}

results::Reading how_to_read(const Options& options, const std::optional<PlannedStudy>& plan) {
  results::Reading reading{options.recalibrate, options.level,
                           options.pool.value_or(results::Pool::top3), options.by,
                           options.prevalence};
  if (plan && !options.level) reading.level = plan->content.level;
  if (plan && !options.pool) reading.pool = plan->content.pool;
  return reading;
}

Report report_study(const Study& study, std::vector<results::TrainingLog> logs,
                    const std::optional<PlannedStudy>& plan, const Options& options,
                    const Run& run) {
  const auto& baseline = options.compare.empty() ? options.baseline : options.compare.front();
  const auto scope = make_scope(study, baseline, plan);
  const Trainings trainings(std::move(logs), scope.arms());
  Provenance made;
  made.add(study);
  made.add(trainings);
  const auto provenance = made.finish(options, run);
  Report report;
  report.document = make_document(scope, trainings, provenance);
  if (options.folder.empty()) return report;
  // Both ask for every estimate: side by side.
  auto csv = std::async(std::launch::async, [&] { return estimates_csv(scope); });
  report.json = to_json(scope, report.document, trainings, provenance);
  report.estimates = csv.get();
  if (!trainings.logs().empty()) report.trainings = training_csv(trainings);
  if (scope.graded() && !scope.candidates.empty()) {
    report.recompute_py = recompute_python(scope);
    report.recompute_r = recompute_r(scope);
  }
  return report;
}

}  // namespace

void write_report(const Options& options, const Run& run,
                  const std::function<void(std::string_view)>& markdown) {
  require_distinct(options.inputs);
  const auto p = options.prevalence;
  if (p && !(*p > 0 && *p < 1))
    throw UsageError("--prevalence: want above 0 and below 1, got " + shortest(*p));
  std::optional<AtomicFolder> folder;
  std::optional<AtomicFile> scores_file;
  std::optional<ScoresCsv> scores;
  if (!options.folder.empty()) folder.emplace(options.folder, options.overwrite);
  if (!options.scores.empty()) {
    scores_file.emplace(options.scores, options.overwrite);
    scores.emplace([&](std::string_view bytes) { scores_file->write(bytes); });
  }
  auto inputs = sort_out(options);
  Report report;
  if (inputs.evaluations.empty()) {
    report = report_trainings({std::move(inputs.logs), {}}, options, run);
  } else {
    const auto& compared = options.compare;
    const auto shown = [&](const std::string& arm) {
      return compared.empty() || std::find(compared.begin(), compared.end(), arm) != compared.end();
    };
    const auto see = [&](const auto& header, const auto& result) {
      throw_if_stopped();
      if (scores && shown(results::arm(header.models[result.model]))) scores->add(header, result);
    };
    std::optional<PlannedStudy> plan;
    if (!options.protocol.empty()) plan = read_plan(options.protocol);
    Study study(inputs.evaluations, see, how_to_read(options, plan));
    if (!compared.empty()) keep_compared(study, inputs.logs, compared);
    report = report_study(study, std::move(inputs.logs), plan, options, run);
  }
  const auto text = to_markdown(report.document);
  if (scores_file) scores_file->commit();
  if (folder) {
    write_folder(report, text, folder->path());
    folder->commit();
  }
  markdown(text);
}

}  // namespace mr::report
