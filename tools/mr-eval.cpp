// mr-eval: measure models under every artifact and severity. Only the command line lives here.
#include "artifact/catalogue.h"
#include "base/json.h"
#include "base/text.h"
#include "base/threads.h"
#include "eval/adaptation.h"
#include "eval/evaluate.h"
#include "tool_main.h"

namespace {

struct Options {
  mr::eval::Options eval;
  std::vector<std::string> adaptations;
  std::string grid, ladder;
  int threads = 0;
  bool force = false;
};

void declare(CLI::App& app, Options& o) {
  app.description(
      "Measure classifiers on the images of a manifest: as they stand, or clean and under every "
      "artifact and severity of a grid.");
  app.add_option("manifest", o.eval.manifest, "Manifest; - (default) is standard input");
  app.add_option("-m,--model", o.eval.models, "Model file; repeat for more, in one pass")
      ->required()
      ->allow_extra_args(false);
  app.add_option("--grid", o.grid,
                 "Artifacts to evaluate beside clean: study, or names with commas (mr-corrupt "
                 "--list shows them); without it, the manifest as it stands");
  app.add_option("--severities", o.eval.severities, "Severities of the grid, with commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(0.0, 5.0))
      ->capture_default_str();
  app.add_option("--ladder", o.ladder,
                 "Severities as mr-corrupt calibrate solved them (mr-ladder/1)");
  app.add_option(
         "--adapt", o.adaptations,
         "SCHEME[=VALUE][:POLICY]: evaluate batch-norm models also adapted to the images at "
         "hand: batch-stats, n-prior, tent or recalibrate, on each slice, volume, mixed:N, all "
         "or crossfit; repeatable")
      ->allow_extra_args(false);
  app.add_option("--split", o.eval.split, "Split to evaluate, or all")->capture_default_str();
  app.add_option("-o,--output", o.eval.output, "Evaluation file (default: standard output)");
  app.add_option("--root", o.eval.root,
                 "Where relative paths of a manifest on standard input start");
  app.add_option("--seed", o.eval.seed, "Seed of the artifacts")->capture_default_str();
  app.add_option("--batch-size", o.eval.batch_size, "Samples per pass of the network")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--device", o.eval.device, "cpu, cuda[:N] or auto")->capture_default_str();
  app.add_option("-t,--threads", o.threads, "Threads (default: what the machine allows)")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--resume", o.eval.resume, "Go on where a stopped run ended (OUTPUT.partial)");
  app.add_flag("-f,--force", o.force, "Replace what exists");
  app.footer(
      "Examples:\n"
      "  mr-eval -m gn.pt test.json > gn.eval\n"
      "  mr-eval -m bn.pt -m gn.pt --grid study test.json -o study.eval\n"
      "  mr-eval -m bn.pt --adapt batch-stats:volume --grid motion,rician test.json | mr-report -\n"
      "  mr-corrupt -a motion:3 -o moved/ test.json | mr-eval -m gn.pt - | mr-report -");
}

void run(Options& o, const mr::Run& this_run, const mr::Messages& messages) {
  if (o.eval.manifest.empty()) o.eval.manifest = "-";
  if (!o.grid.empty()) o.eval.artifacts = mr::eval::parse_grid(o.grid);
  if (!o.ladder.empty())
    o.eval.ladder = std::make_shared<const mr::artifact::Ladder>(
        mr::artifact::ladder_from_json(mr::read_json(o.ladder), o.ladder));
  for (const auto& text : o.adaptations)
    o.eval.adaptations.push_back(mr::eval::parse_adaptation(text));
  o.eval.threads = o.threads > 0 ? o.threads : mr::available_threads();
  o.eval.overwrite = o.force ? mr::Overwrite::yes : mr::Overwrite::no;
  mr::eval::evaluate(o.eval, this_run, messages);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("", "mr-eval");
  declare(app, o);
  auto grids = mr::artifact::names();
  grids.insert(grids.begin(), "study");
  return mr::tool_main(
      app, argc, argv,
      [&](const mr::Run& this_run, const mr::Messages& messages) { run(o, this_run, messages); },
      {{"--grid", grids}, {"--adapt", mr::eval::adaptation_names()}});
}
