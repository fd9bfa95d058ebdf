// mr-report: evaluations and training logs to a report. Only the command line lives here.
#include "report/check.h"
#include "report/report.h"
#include "tool_main.h"

namespace {

struct Options {
  mr::report::Options report;
  std::string level, pool, recalibrate;
  bool force = false, check = false;
  std::vector<std::string> roots;
};

void declare(CLI::App& app, Options& o) {
  auto& options = o.report;
  app.description(
      "Report how much diagnostic performance each arm (normalization, with its test-time "
      "adaptation) loses under each artifact and severity, with intervals over subjects and runs; "
      "of training logs, the learning curves. "
      "Markdown goes to standard output.");
  app.add_option("input", options.inputs,
                 "Evaluations (mr-eval/1) of the same samples, and training logs (mr-train-log/1); "
                 "- (default) is an evaluation on standard input")
      ->type_name("FILE");
  app.add_option("-o,--output", options.folder,
                 "Folder to make: report.html, report.md, report.json (mr-report/1), report.csv, "
                 "training.csv, tables.tex, recompute.py, recompute.R, figures/*.svg and .csv")
      ->type_name("DIR");
  app.add_option("--baseline", options.baseline,
                 "Arm that the others are compared with (default: that of the protocol, else "
                 "batch, else the first)")
      ->type_name("ARM");
  app.add_option("--compare", options.compare,
                 "Report these two arms alone: the baseline, and the candidate")
      ->expected(2)
      ->allow_extra_args(false)
      ->excludes(app.get_option("--baseline"))
      ->type_name("BASELINE ARM");
  app.add_option("--protocol", options.protocol,
                 "Rule of the verdict, written before the evaluations (mr-eval protocol)")
      ->type_name("FILE");
  app.add_option("--level", o.level,
                 "sample, volume or subject: what is decided on, with the slices' scores pooled "
                 "(default: that of the protocol, else volume where it can be tested)")
      ->type_name("LEVEL");
  app.add_option("--pool", o.pool,
                 "top3 (default: mean of the three largest logits), max or noisy-or")
      ->type_name("HOW");
  app.add_option("--recalibrate", o.recalibrate,
                 "temperature or platt: rescale scores first, fitted on the evaluation's clean "
                 "validation samples")
      ->type_name("HOW");
  app.add_option("--by", options.by,
                 "Also report subgroups of images by these attributes, with commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("ATTRIBUTE");
  app.add_option("--prevalence", options.prevalence,
                 "Share of positives where the models are to be used, for PPV and NPV of every "
                 "label (default: that of the samples)")
      ->type_name("P");
  app.add_option("--scores", options.scores, "Also write every sample's score, as CSV")
      ->type_name("FILE");
  app.add_flag("-f,--force", o.force, "Replace outputs that exist");
  auto* check = app.add_flag(
      "--check", o.check,
      "Report nothing; say of each input (also a report or its folder, a manifest, model or "
      "protocol) whether its structure, the numbers that can be computed anew and the inputs it "
      "names are right; status 65 where something differs");
  for (const char* other :
       {"--output", "--baseline", "--compare", "--protocol", "--level", "--pool", "--recalibrate",
        "--by", "--prevalence", "--scores", "--force"})
    check->excludes(app.get_option(other));
  app.add_option("--root", o.roots,
                 "With --check: a folder in which to look for the inputs that a file names, beside "
                 "the file's own; repeat")
      ->allow_extra_args(false)
      ->needs(check)
      ->type_name("DIR");
  app.footer(
      "Examples:\n"
      "  mr-report study.eval > study.md\n"
      "  mr-report -o report batch-s1.eval batch-s2.eval group-s1.eval group-s2.eval\n"
      "  mr-report -o training *.log.jsonl\n"
      "  mr-report --baseline 'group(32)' --scores scores.csv study.eval > study.md\n"
      "  mr-report --compare batch 'group(32)' -o two study.eval\n"
      "  mr-report --check --root models report study.eval\n"
      "  mr-corrupt -a motion:3 -o moved test.json | mr-eval -m gn.pt - | mr-report -");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("", "mr-report");
  declare(app, options);
  return mr::tool_main(app, argc, argv,
                       [&](const mr::Run& run, const mr::Messages&) {
                         auto& report = options.report;
                         if (options.check)
                           return mr::report::check_files(report.inputs, options.roots,
                                                          mr::write_stdout);
                         if (!options.level.empty())
                           report.level = mr::results::parse_level(options.level);
                         if (!options.pool.empty())
                           report.pool = mr::results::parse_pool(options.pool);
                         if (!options.recalibrate.empty())
                           report.recalibrate = mr::results::parse_recalibrate(options.recalibrate);
                         report.overwrite = options.force ? mr::Overwrite::yes : mr::Overwrite::no;
                         mr::report::write_report(report, run, mr::write_stdout);
                       },
                       {{"--level", mr::results::level_names()},
                        {"--pool", mr::results::pool_names()},
                        {"--recalibrate", {"temperature", "platt"}}});
}
