// mr-eval: measure models under every artifact and severity. Only the command line lives here.
#include "artifact/catalogue.h"
#include "artifact/ready_recipes.h"
#include "base/json.h"
#include "base/text.h"
#include "base/threads.h"
#include "eval/adaptation.h"
#include "eval/evaluate.h"
#include "results/protocol.h"
#include "tool_main.h"

namespace {

struct Options {
  mr::eval::Options eval;
  std::vector<std::string> adaptations, recipes;
  std::string grid, ladder;
  int threads = 0;
  bool force = false;
};

struct ProtocolOptions {
  mr::results::Protocol protocol;
  std::string grid = "study", level = "volume", pool = "top3", output;
  bool force = false;
};

void declare(CLI::App& app, Options& o) {
  app.description(
      "Measure classifiers on the images of a manifest: as they stand, or clean and under every "
      "artifact and severity of a grid.");
  app.add_option("manifest", o.eval.manifest, "Manifest; - (default) is standard input");
  app.add_option("-m,--model", o.eval.models, "Model file; repeat for more, in one pass")
      ->allow_extra_args(false);
  app.add_option("--foreign", o.eval.foreign,
                 "Description (mr-foreign/1) of TorchScript models that mr-train did not make");
  app.add_option("--grid", o.grid,
                 "Artifacts to evaluate beside clean: study, or names with commas (mr-corrupt "
                 "--list shows them); without it, the manifest as it stands");
  app.add_option("--severities", o.eval.severities, "Severities of the grid, with commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(0.0, 5.0))
      ->capture_default_str();
  app.add_option(
         "--recipe", o.recipes,
         "Recipe (mr-recipe/1, or the name of a ready one) to evaluate beside clean and the "
         "grid; repeatable")
      ->allow_extra_args(false);
  app.add_flag("--clinic-mix", o.eval.clinic_mix,
               "Also evaluate all samples together, 60 % of the images clean and the others with a "
               "random artifact and severity of the grid");
  app.add_flag("--controls", o.eval.controls,
               "Also evaluate what a study of a grid should hold beside it: the clinic mix, gains "
               "alone (gain-common, gain-random), batch-norm models recalibrated on clean training "
               "images");
  app.add_flag("--decompose", o.eval.decompose,
               "Also evaluate each artifact's gain and its structure alone, and validation images "
               "under it: what a loss is made of (three evaluations for one)");
  app.add_option(
      "--protocol", o.eval.protocol,
      "Evaluate the artifacts and severities of this protocol (mr-protocol/1), and record "
      "its SHA-256");
  app.add_option("--ladder", o.ladder,
                 "Severities as mr-corrupt calibrate solved them (mr-ladder/1)");
  app.add_option(
         "--adapt", o.adaptations,
         "SCHEME[=VALUE][:POLICY]: evaluate batch-norm models also adapted to the images at "
         "hand: batch-stats, n-prior, tent or recalibrate, on each slice, volume, mixed:N, all "
         "or crossfit; repeatable")
      ->allow_extra_args(false);
  app.add_flag(
      "--distance", o.eval.distance,
      "Also record, clean and under each artifact's highest severity, how far each sample's "
      "statistics in batch norms are from those of training: a detector of artifacts");
  app.add_option("--explain", o.eval.explain,
                 "Condition, such as motion:3, to say of why models lose under it: statistics of "
                 "their batch norms, scores with these put in layer by layer, and answers to exact "
                 "changes of clean images; repeatable")
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
      "  mr-eval protocol --standard-error 0.01 -o protocol.json\n"
      "  mr-eval -m bn.pt --adapt batch-stats:volume --grid motion,rician test.json | mr-report -\n"
      "  mr-corrupt -a motion:3 -o moved/ test.json | mr-eval -m gn.pt - | mr-report -");
}

void declare_protocol(CLI::App& sub, ProtocolOptions& o) {
  auto& p = o.protocol;
  auto& r = p.rule;
  p.baseline = "batch";
  p.severities = {1, 2, 3, 4, 5};
  p.difference = 0.03;
  sub.add_option("--baseline", p.baseline, "Arm that the others are compared with")
      ->capture_default_str();
  sub.add_option("--grid", o.grid, "Artifacts of the endpoint: study, or names with commas")
      ->capture_default_str();
  sub.add_option("--severities", p.severities, "Severities of the endpoint, with commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->capture_default_str();
  sub.add_option("--level", o.level, "sample, volume or subject: what is decided on")
      ->capture_default_str();
  sub.add_option("--pool", o.pool, "How slices' logits become one: top3, max or noisy-or")
      ->capture_default_str();
  sub.add_option("--margin", r.margin,
                 "Loss of AUROC on clean images that is accepted; also the margin of equivalence")
      ->capture_default_str();
  sub.add_option("--guard", r.guard, "Loss of AUROC under a single artifact that is not accepted")
      ->capture_default_str();
  sub.add_option("--alpha", r.alpha, "One-sided level of all tests together")
      ->capture_default_str();
  sub.add_option("--sensitivity-floor", r.sensitivity_floor,
                 "Sensitivity that every label keeps at its frozen threshold")
      ->capture_default_str();
  sub.add_option("--alarm-rate-cap", r.alarm_rate_cap,
                 "Rise of the share of samples called positive that is accepted, likewise")
      ->capture_default_str();
  sub.add_option("--up-to-severity", r.up_to_severity, "Severity up to which both must hold")
      ->capture_default_str();
  sub.add_option("--standard-error", p.standard_error,
                 "Expected standard error of a difference between arms, for the planned power; a "
                 "pilot study's detectable difference divided by 2.8")
      ->required();
  sub.add_option("--difference", p.difference,
                 "Difference on corrupted images that the study is to find, likewise")
      ->capture_default_str();
  sub.add_option("-o,--output", o.output, "File (default: standard output)");
  sub.add_flag("-f,--force", o.force, "Replace what exists");
}

void write_protocol(ProtocolOptions& o, const mr::Run& this_run, const mr::Messages& messages) {
  o.protocol.artifacts = mr::eval::parse_grid(o.grid);
  o.protocol.level = mr::results::parse_level(o.level);
  o.protocol.pool = mr::results::parse_pool(o.pool);
  try {
    mr::results::check(o.protocol, "protocol");
  } catch (const mr::DataError& e) {  // here the command line said it
    throw mr::UsageError(e.what());
  }
  auto json = mr::results::to_json(o.protocol);
  for (const char* which : {"power_non_inferiority", "power_superiority"})
    if (const double power = json["plan"][which]; power < 0.8)
      messages.warn(std::string(which) + " is " + mr::fixed(power, 2) +
                    ", below 0.80: the study is likely to end inconclusive; plan more subjects or "
                    "runs");
  json["provenance"] = {mr::provenance_entry(this_run, {})};
  const auto text = json.dump(1) + "\n";
  if (o.output.empty() || o.output == "-") return mr::write_stdout(text);
  mr::write_file(o.output, text, o.force ? mr::Overwrite::yes : mr::Overwrite::no);
}

void run(const CLI::App& app, Options& o, const mr::Run& this_run, const mr::Messages& messages) {
  if (o.eval.manifest.empty()) o.eval.manifest = "-";
  if (o.eval.models.empty()) throw mr::UsageError("--model is required");
  if (!o.grid.empty()) o.eval.artifacts = mr::eval::parse_grid(o.grid);
  if (!o.eval.protocol.empty()) {
    if (!o.grid.empty() || app.count("--severities") > 0)
      throw mr::UsageError(
          "--protocol: says which artifacts and severities, so no --grid and no "
          "--severities");
    const auto protocol = mr::results::read_protocol(o.eval.protocol);
    o.eval.artifacts = mr::eval::parse_grid(mr::joined(protocol.artifacts, ','));
    o.eval.severities = protocol.severities;
  }
  for (const auto& [flag, set] :
       {std::pair("--decompose", o.eval.decompose), std::pair("--clinic-mix", o.eval.clinic_mix),
        std::pair("--controls", o.eval.controls), std::pair("--distance", o.eval.distance)})
    if (set && o.eval.artifacts.empty())
      throw mr::UsageError(std::string(flag) + ": takes a --grid or a --protocol");
  for (const auto& text : o.recipes) {
    const auto name = mr::file_stem(text);
    if (mr::results::is_own_name(name))
      throw mr::UsageError("--recipe: " + name + " is a name of its own");
    if (!o.eval.recipes.emplace(name, mr::artifact::read_recipe(text)).second)
      throw mr::UsageError("--recipe: '" + name + "' twice");
  }
  if (!o.eval.explain.empty() && o.eval.artifacts.empty() && o.eval.recipes.empty())
    throw mr::UsageError("--explain: takes a --grid, a --protocol or a --recipe");
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
  ProtocolOptions protocol;
  CLI::App app("", "mr-eval");
  auto* protocol_app = app.add_subcommand(
      "protocol", "Write the protocol of a study: endpoint, margins, rule of the verdict, power");
  declare(app, o);
  declare_protocol(*protocol_app, protocol);
  protocol_app->fallthrough();  // to --quiet and the like
  app.require_subcommand(0, 1);
  auto grids = mr::artifact::names();
  grids.insert(grids.begin(), "study");
  return mr::tool_main(app, argc, argv,
                       [&](const mr::Run& this_run, const mr::Messages& messages) {
                         if (!protocol_app->parsed()) return run(app, o, this_run, messages);
                         mr::refuse_options_of(app, *protocol_app);
                         write_protocol(protocol, this_run, messages);
                       },
                       {{"--grid", grids},
                        {"--recipe", mr::artifact::ready_recipe_names()},
                        {"--adapt", mr::eval::adaptation_names()},
                        {"--level", mr::results::level_names()},
                        {"--pool", mr::results::pool_names()}});
}
