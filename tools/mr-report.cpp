// mr-report: evaluations and training logs to a report. Only the command line lives here.
#include "report/report.h"
#include "tool_main.h"

namespace {

struct Texts {
  std::string level, pool, recalibrate;
};

void declare(CLI::App& app, mr::report::Options& options, Texts& texts, bool& force) {
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
                 "training.csv, figures/*.svg")
      ->type_name("DIR");
  app.add_option("--baseline", options.baseline,
                 "Arm that the others are compared with (default: that of the protocol, else "
                 "batch, else the first)")
      ->type_name("ARM");
  app.add_option("--protocol", options.protocol,
                 "Rule of the verdict, written before the evaluations (mr-eval protocol)")
      ->type_name("FILE");
  app.add_option("--level", texts.level,
                 "sample, volume or subject: what is decided on, with the slices' scores pooled "
                 "(default: that of the protocol, else volume where it can be tested)")
      ->type_name("LEVEL");
  app.add_option("--pool", texts.pool,
                 "top3 (default: mean of the three largest logits), max or noisy-or")
      ->type_name("HOW");
  app.add_option("--recalibrate", texts.recalibrate,
                 "temperature or platt: rescale scores first, fitted on the evaluation's clean "
                 "validation samples")
      ->check(CLI::IsMember({"temperature", "platt"}))
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
  app.add_flag("-f,--force", force, "Replace outputs that exist");
  app.footer(
      "Examples:\n"
      "  mr-report study.eval > study.md\n"
      "  mr-report -o report batch-s1.eval batch-s2.eval group-s1.eval group-s2.eval\n"
      "  mr-report -o training *.log.jsonl\n"
      "  mr-report --baseline 'group(32)' --scores scores.csv study.eval > study.md\n"
      "  mr-corrupt -a motion:3 -o moved test.json | mr-eval -m gn.pt - | mr-report -");
}

}  // namespace

int main(int argc, char** argv) {
  mr::report::Options options;
  Texts texts;
  bool force = false;
  CLI::App app("", "mr-report");
  declare(app, options, texts, force);
  return mr::tool_main(app, argc, argv,
                       [&](const mr::Run& run, const mr::Messages&) {
                         if (!texts.level.empty())
                           options.level = mr::results::parse_level(texts.level);
                         if (!texts.pool.empty())
                           options.pool = mr::results::parse_pool(texts.pool);
                         if (!texts.recalibrate.empty())
                           options.recalibrate = texts.recalibrate == "platt"
                                                     ? mr::results::Recalibrate::platt
                                                     : mr::results::Recalibrate::temperature;
                         options.overwrite = force ? mr::Overwrite::yes : mr::Overwrite::no;
                         mr::report::write_report(options, run, mr::write_stdout);
                       },
                       {{"--level", {"sample", "volume", "subject"}},
                        {"--pool", {"top3", "max", "noisy-or"}},
                        {"--recalibrate", {"temperature", "platt"}}});
}
