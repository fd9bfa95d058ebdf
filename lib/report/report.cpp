#include "report/report.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "report/csv.h"
#include "report/html.h"
#include "report/json.h"
#include "report/markdown.h"
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

/// What made the models and the evaluations, then this run.
Json full_provenance(const Study& study, const Options& options, const Run& run) {
  Json all = Json::array();
  const auto add = [&](const Json& entries) {
    for (const auto& entry : entries)
      if (std::find(all.begin(), all.end(), entry) == all.end()) all.push_back(entry);
  };
  for (const auto& model : study.models())
    if (model.info.is_object() && model.info.contains("provenance")) add(model.info["provenance"]);
  add(study.provenance());
  std::vector<std::pair<std::string, std::string>> inputs;
  for (const auto& path : options.evaluations)
    if (path != "-") inputs.emplace_back(path, sha256_file(path));
  all.push_back(provenance_entry(run, inputs));
  return all;
}

void write_figures(const Document& document, const std::string& folder) {
  make_folders(folder);
  for (const auto& section : document.sections)
    for (const auto& block : section.blocks)
      if (const auto* group = std::get_if<FigureGroup>(&block))
        for (const auto& figure : group->figures) {
          std::string path = folder + "/" + figure.file;
          while (exists(path + ".svg")) path += "-2";  // two names with one slug
          write_file(path + ".svg", svg_file(figure), Overwrite::no);
        }
}

void write_folder(const Scope& scope, const Document& document, const Json& provenance,
                  const std::string& markdown, const std::string& folder) {
  const auto write = [&](const char* name, const std::string& bytes) {
    write_file(folder + "/" + name, bytes, Overwrite::no);
  };
  write("report.html", to_html(document));
  write("report.md", markdown);
  write("report.json",
        to_json(scope, document, provenance).dump(1, ' ', false, Json::error_handler_t::replace) +
            "\n");
  write("report.csv", estimates_csv(scope));
  write_figures(document, folder + "/figures");
}

}  // namespace

void write_report(const Options& options, const Run& run,
                  const std::function<void(std::string_view)>& markdown) {
  require_distinct(options.evaluations);
  std::optional<AtomicFolder> folder;
  std::optional<AtomicFile> scores_file;
  std::optional<ScoresCsv> scores;
  if (!options.folder.empty()) folder.emplace(options.folder, options.overwrite);
  if (!options.scores.empty()) {
    scores_file.emplace(options.scores, options.overwrite);
    scores.emplace([&](std::string_view bytes) { scores_file->write(bytes); });
  }
  const Study study(options.evaluations, [&](const auto& header, const auto& result) {
    throw_if_stopped();
    if (scores) scores->add(header, result);
  });
  const auto scope = make_scope(study, options.baseline);
  const auto provenance = full_provenance(study, options, run);
  const auto document = make_document(scope, provenance);
  const auto text = to_markdown(document);
  if (scores_file) scores_file->commit();
  if (folder) {
    write_folder(scope, document, provenance, text, folder->path());
    folder->commit();
  }
  markdown(text);
}

}  // namespace mr::report
