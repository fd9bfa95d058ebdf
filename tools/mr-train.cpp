// mr-train: train a classifier of MR images. Only the command line lives here.
#include <charconv>

#include "artifact/ready_recipes.h"
#include "base/json.h"
#include "base/shell.h"
#include "base/text.h"
#include "base/threads.h"
#include "tool_main.h"
#include "train/convert.h"
#include "train/sweep.h"
#include "train/train.h"

namespace {

struct Options {
  mr::train::Settings settings;
  mr::train::Files files;
  std::string preset, norm = "batch", architecture = "preact-resnet18", stem, optimiser = "adamw",
                      sampler = "balanced", class_weights = "none", schedule = "constant",
                      precision = "float32", standardise = "volume-percentile";
  std::string size = "64x64", augment, rule = "sens>=0.90";
  double spacing_mm = 0;
  std::vector<int> blocks;
  int groups = 0, width = 0, depth = 0;
  bool attention = false;
  bool force = false;
};

void declare_network(CLI::App& app, Options& o) {
  app.add_option("--norm", o.norm,
                 "Normalization: NAME or NAME:PARAMETER=VALUE,...; mr-train norms lists them")
      ->capture_default_str();
  app.add_option("--groups", o.groups, "Groups of a norm that has them (default: 32)")
      ->check(CLI::PositiveNumber);
  app.add_option("--arch", o.architecture,
                 "Architecture: " + mr::joined(mr::nn::architecture_names(), ','))
      ->capture_default_str();
  app.add_option("--stem", o.stem, "cifar: 3x3; imagenet: 7x7 of stride 2, max-pool of stride 2")
      ->check(CLI::IsMember({"cifar", "imagenet"}));
  app.add_option("--width", o.width, "Channels of stage 1; each further stage has twice")
      ->check(CLI::Range(1, 4096));
  app.add_option("--blocks", o.blocks, "Blocks of each stage")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 100));
  app.add_option("--size", o.size, "Rows x columns of the input [px]; cropped or padded to it")
      ->capture_default_str();
  app.add_option("--neighbours", o.settings.preprocess.neighbours,
                 "Odd: a slice and those beside it as channels")
      ->check(CLI::Range(1, 255))
      ->capture_default_str();
  app.add_option("--depth", o.depth,
                 "Samples are whole images, cropped or padded to so many slices: a network of 3 "
                 "dimensions")
      ->check(CLI::Range(1, 4096));
  app.add_flag("--attention", o.attention,
               "With --depth: a network of 2 dimensions for each slice, pooled by attention");
  app.add_option("--spacing-mm", o.spacing_mm, "Resample to this pixel size (default: keep)")
      ->check(CLI::PositiveNumber);
  app.add_option("--standardise", o.standardise, "none, scale:K, volume-percentile or slice-zscore")
      ->capture_default_str();
}

void declare_schedule(CLI::App& app, Options& o) {
  auto& s = o.settings;
  app.add_option("--schedule", o.schedule,
                 "Of the learning rate: constant, cosine (to 0 over --epochs), step or plateau")
      ->check(CLI::IsMember({"constant", "cosine", "step", "plateau"}))
      ->capture_default_str();
  app.add_option("--warmup-epochs", s.schedule.warmup_epochs,
                 "The learning rate rises linearly over so many epochs")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--step-epochs", s.schedule.step_epochs, "Of step: a step after so many epochs")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--step-factor", s.schedule.factor,
                 "Of step and plateau: what the learning rate is multiplied with")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--plateau-patience", s.schedule.plateau_patience,
                 "Of plateau: epochs without a better mean validation AUROC")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

void declare_training(CLI::App& app, Options& o) {
  auto& s = o.settings;
  app.add_option("--optimiser", o.optimiser, "adamw, or sgd (momentum 0.9)")
      ->check(CLI::IsMember({"adamw", "sgd"}))
      ->capture_default_str();
  app.add_option("--lr", s.optimiser.learning_rate, "Learning rate")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  declare_schedule(app, o);
  app.add_option("--wd", s.optimiser.weight_decay, "Weight decay")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--clip-norm", s.optimiser.clip_norm,
                 "Scale a gradient with a larger L2 norm down to it")
      ->check(CLI::PositiveNumber);
  app.add_option("--batch", s.batch, "Images per batch")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--accumulate", s.accumulate, "Batches per step")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--sampler", o.sampler,
                 "balanced: every sum of labels equally often, with replacement; natural: "
                 "permutations of the training samples")
      ->check(CLI::IsMember({"balanced", "natural"}))
      ->capture_default_str();
  app.add_option("--class-weights", o.class_weights,
                 "none, or inverse: the classes of each label count equally in its loss")
      ->check(CLI::IsMember({"none", "inverse"}))
      ->capture_default_str();
  app.add_option("--epoch-samples", s.epoch_samples,
                 "Draws per epoch (default: as many as there are training samples)")
      ->check(CLI::PositiveNumber);
  app.add_option("--epochs", s.epochs, "Epochs at most")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--patience", s.patience,
                 "Stop after so many epochs without a better mean validation AUROC")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--init", s.init,
                 "Weights to begin with (TorchScript or safetensors), matched by name and shape");
  app.add_option("--augment", o.augment,
                 "Recipe (mr-recipe/1, or a ready one's name) for the training images");
  app.add_option("--precision", o.precision,
                 "Of convolutions in training: float32, bf16 or, on CUDA, fp16")
      ->check(CLI::IsMember({"float32", "bf16", "fp16"}))
      ->capture_default_str();
  app.add_option("--operating-rule", o.rule,
                 "Thresholds on clean validation images: sens>=X or youden")
      ->capture_default_str();
}

void declare(CLI::App& app, Options& o) {
  app.description("Train a residual network on the splits train and val of a manifest.");
  app.add_option("manifest", o.files.manifest, "Manifest (mr-manifest/1); - is standard input")
      ->capture_default_str();
  app.add_option("-o,--output", o.files.model, "Model file to write");
  app.add_option("--log", o.files.log, "Training log, JSON Lines (default: MODEL.log.jsonl)");
  app.add_option("--preset", o.preset,
                 "mri-robustness: the published protocol; further options win over it")
      ->check(CLI::IsMember({"mri-robustness"}));
  declare_network(app, o);
  declare_training(app, o);
  app.add_option("--seed", o.settings.seed, "Of weights, draws and augmentation")
      ->capture_default_str();
  app.add_option("--device", o.settings.device, "cpu, cuda, cuda:N or auto")->capture_default_str();
  app.add_flag("--parallel", o.settings.parallel,
               "One of the processes that torchrun or srun has started, which share every batch");
  app.add_flag("--sync-batch-norm", o.settings.sync_batch_norm,
               "With --parallel: batch norm over the batch of all processes");
  app.add_option("-t,--threads", o.settings.threads,
                 "Threads (default: what the machine allows); the last bits depend on them")
      ->check(CLI::Range(1, 1024));
  app.add_option("--root", o.files.root, "Where relative paths of a manifest on - start");
  app.add_flag("--resume", o.files.resume, "Go on from MODEL.checkpoint where there is one");
  app.add_flag("-f,--force", o.force, "Replace what exists");
  app.footer(
      "Examples:\n"
      "  mr-train --norm group --groups 8 --width 16 --seed 1 study.json -o gn-s1.pt\n"
      "  mr-train --preset mri-robustness --norm layer --lr 1e-4 --wd 0.01 knee.json -o ln.pt\n"
      "  mr-train --augment scanner.json --resume study.json -o bn.pt\n"
      "  mr-train sweep --norm batch,group --lr 1e-3,1e-4 -o models study.json > commands.txt");
}

/// The protocol of Madaan et al. 2023 (MIDL, PMLR 227:1726-1750), for what was not said otherwise.
void apply_preset(const CLI::App& app, Options& o) {
  const auto set = [&](const char* option, auto& value, auto published) {
    if (app.count(option) == 0) value = published;
  };
  auto& s = o.settings;
  set("--arch", o.architecture, "preact-resnet18");
  set("--size", o.size, "320x320");
  set("--standardise", o.standardise, "none");
  set("--optimiser", o.optimiser, "adamw");
  set("--sampler", o.sampler, "balanced");
  set("--class-weights", o.class_weights, "none");
  set("--schedule", o.schedule, "constant");
  set("--warmup-epochs", s.schedule.warmup_epochs, 0.0);
  set("--clip-norm", s.optimiser.clip_norm, 0.0);
  set("--precision", o.precision, "float32");
  set("--batch", s.batch, 32);
  set("--accumulate", s.accumulate, 1);
  set("--epochs", s.epochs, 200);
  set("--patience", s.patience, 5);
}

std::array<int, 2> parse_size(const std::string& text) {
  std::array<int, 2> size{};
  const char *at = text.data(), *end = at + text.size();
  for (int i = 0; i < 2; ++i) {
    const auto [after, error] = std::from_chars(at, end, size[static_cast<std::size_t>(i)]);
    const bool separated = i == 0 ? after != end && *after == 'x' : after == end;
    if (error != std::errc() || !separated || size[static_cast<std::size_t>(i)] < 1 ||
        size[static_cast<std::size_t>(i)] > 8192)
      throw mr::UsageError("--size: want ROWSxCOLUMNS, each 1 to 8192, got '" + text + "'");
    at = after + 1;
  }
  return size;
}

mr::nn::Architecture parse_architecture(const Options& o) {
  auto architecture = mr::nn::find_architecture(o.architecture);
  if (!o.stem.empty())
    architecture.stem = o.stem == "cifar" ? mr::nn::Stem::cifar : mr::nn::Stem::imagenet;
  if (o.width > 0) architecture.width = o.width;
  if (!o.blocks.empty()) architecture.blocks = o.blocks;
  if (o.attention && o.depth == 0)
    throw mr::UsageError("--attention: pools the slices of whole images; want --depth");
  if (o.depth > 0 && o.settings.preprocess.neighbours > 1)
    throw mr::UsageError("--neighbours: of slices; want it or --depth");
  if (o.settings.preprocess.neighbours % 2 == 0)
    throw mr::UsageError("--neighbours: want an odd number, got " +
                         std::to_string(o.settings.preprocess.neighbours));
  architecture.channels = o.settings.preprocess.neighbours;
  architecture.attention = o.attention;
  architecture.dimensions = o.depth > 0 && !o.attention ? 3 : 2;
  architecture.normalization = mr::nn::parse_normalization(o.norm);
  if (o.groups > 0) mr::nn::set_groups(architecture.normalization, o.groups);
  return architecture;
}

void run(const CLI::App& app, Options o, const mr::Run& run, const mr::Messages& messages) {
  if (!o.preset.empty()) apply_preset(app, o);
  auto& s = o.settings;
  s.architecture = parse_architecture(o);
  s.preprocess.size = parse_size(o.size);
  mr::dataset::set_standardisation(s.preprocess, o.standardise);
  if (o.depth > 0) s.preprocess.depth = o.depth;
  if (o.spacing_mm > 0) s.preprocess.spacing_mm = o.spacing_mm;
  s.optimiser.method = o.optimiser == "sgd" ? mr::train::Method::sgd : mr::train::Method::adamw;
  using mr::train::ClassWeights, mr::train::Sampling;
  s.sampling = o.sampler == "natural" ? Sampling::natural : Sampling::balanced;
  s.class_weights = o.class_weights == "inverse" ? ClassWeights::inverse : ClassWeights::none;
  using mr::train::Precision, mr::train::Schedule;
  s.precision = o.precision == "bf16"   ? Precision::bf16
                : o.precision == "fp16" ? Precision::fp16
                                        : Precision::float32;
  s.schedule.kind = o.schedule == "cosine"    ? Schedule::cosine
                    : o.schedule == "step"    ? Schedule::step
                    : o.schedule == "plateau" ? Schedule::plateau
                                              : Schedule::constant;
  s.rule = mr::stats::parse_operating_rule(o.rule);
  if (!o.augment.empty()) {
    s.augment = mr::artifact::read_recipe(o.augment);
    s.augment_name = mr::file_stem(o.augment);
  }
  if (s.augment && s.augment->gain == mr::artifact::Gain::match)
    throw mr::UsageError("--augment: gain match knows the clean image: for evaluation alone");
  if (o.files.log.empty()) o.files.log = o.files.model + ".log.jsonl";
  o.files.checkpoint = o.files.model + ".checkpoint";
  o.files.overwrite = o.force ? mr::Overwrite::yes : mr::Overwrite::no;
  if (o.files.model.empty()) throw mr::UsageError("--output is required");
  if (o.files.model == "-")
    throw mr::UsageError("--output: want a file: its checkpoint and log stand beside it");
  mr::train::train(s, o.files, run, messages);
}

// --- sweep and best

std::string long_name(const CLI::Option& option) {
  return option.get_lnames().empty() ? "" : option.get_lnames().front();
}

/// The options of training, from their own declaration.
mr::train::Declaration facts_of(const CLI::App& app) {
  mr::train::Declaration declared;
  for (const auto* option : app.get_options())
    if (const auto name = long_name(*option); !name.empty() && name != "help")
      declared.push_back({name, mr::spellings(*option), option->get_expected_max() == 0,
                          option->get_default_str()});
  return declared;
}

struct SweepOptions {
  std::string file;
  mr::train::Sweep typed;
  std::map<std::string, bool> flags;
};

/// The options of training once more, each with a list of values.
void declare_grid(CLI::App& sub, const CLI::App& training, SweepOptions& o) {
  for (const auto& option : facts_of(training)) {
    if (mr::train::set_by_sweep(option.name)) continue;
    const auto* own = training.get_option("--" + option.name);
    const auto names = mr::joined(option.spellings, ',');
    if (option.flag) {
      sub.add_flag(names, o.flags[option.name], own->get_description());
      continue;
    }
    auto* list = sub.add_option(names, o.typed.options[option.name], own->get_description())
                     ->allow_extra_args(false)
                     ->type_name(own->get_type_name());
    // A value that is itself a list keeps its commas; such an option is repeated.
    if (own->get_delimiter() == '\0') list->delimiter(',');
  }
}

void declare_sweep(CLI::App& sub, const CLI::App& training, SweepOptions& o) {
  sub.add_option("manifest", o.typed.manifest, "Manifest (mr-manifest/1) that every command reads");
  sub.add_option("-o,--output", o.typed.output, "Folder of the models");
  sub.add_option("--file", o.file, "The grid as JSON (mr-sweep/1); further options win over it");
  sub.add_option("--tuning-seeds", o.typed.seeds, "Seeds of each point of the grid")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str("101,102,103");
  declare_grid(sub, training, o);
  sub.footer(
      "Every option of training may have several values, with commas; --blocks is repeated.\n"
      "Example:\n"
      "  mr-train sweep --norm batch,group --lr 1e-3,1e-4 -o models study.json |\n"
      "    xargs -d '\\n' -n 1 -P 4 sh -c");
}

struct BestOptions {
  std::vector<std::string> logs;
  mr::train::Retraining retraining;
  bool json = false;
};

void declare_best(CLI::App& sub, BestOptions& o) {
  sub.add_option("logs", o.logs, "Training logs (mr-train-log/1) of all runs of the sweep")
      ->required();
  sub.add_option("--report-seeds", o.retraining.seeds, "Fresh seeds to train with")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str("1,2,3,4,5");
  sub.add_option("-o,--output", o.retraining.output,
                 "Folder of the new models (default: that of the logs)");
  sub.add_option("--manifest", o.retraining.manifest,
                 "Manifest of the new commands (default: that of the logs)");
  sub.add_flag("--json", o.json, "What was chosen, and from what (mr-train-choice/1), instead");
  sub.footer("Example:\n  mr-train best models/*.log.jsonl -o report-models > commands.txt");
}

/// Every value as training itself takes it. throws CLI::ParseError, UsageError
void check_values(const mr::train::Sweep& sweep) {
  for (const auto& [name, values] : sweep.options)
    for (const auto& value : values) {
      Options scratch;
      CLI::App app;
      declare(app, scratch);
      app.parse({value, "--" + name});  // CLI11 wants the last word first
      parse_size(scratch.size);
      if (name == "norm" || name == "arch") parse_architecture(scratch);
      mr::dataset::set_standardisation(scratch.settings.preprocess, scratch.standardise);
      mr::stats::parse_operating_rule(scratch.rule);
    }
}

mr::train::Sweep read_checked(const std::string& path, const mr::train::Declaration& declared) {
  const auto sweep = mr::train::read_sweep(path, declared);
  try {
    check_values(sweep);
  } catch (const CLI::ParseError& e) {
    throw mr::DataError(path + ": options: " + e.what());
  } catch (const mr::UsageError& e) {
    throw mr::DataError(path + ": options: " + e.what());
  }
  return sweep;
}

std::string lines_of(const std::vector<mr::train::Strings>& commands) {
  std::string text;
  for (const auto& command : commands) text += mr::shell_line(command) + "\n";
  return text;
}

/// What is typed wins over the file.
void sweep(const CLI::App& sub, const SweepOptions& o, const mr::train::Declaration& declared,
           const std::string& program) {
  auto grid = o.file.empty() ? mr::train::Sweep{} : read_checked(o.file, declared);
  check_values(o.typed);
  for (const auto& [name, values] : o.typed.options)
    if (!values.empty()) grid.options[name] = values;
  for (const auto& [name, given] : o.flags)
    if (given) grid.options[name] = {};
  if (sub.count("--tuning-seeds") > 0) grid.seeds = o.typed.seeds;
  if (!o.typed.output.empty()) grid.output = o.typed.output;
  if (!o.typed.manifest.empty()) grid.manifest = o.typed.manifest;
  mr::write_stdout(lines_of(mr::train::sweep_commands(grid, declared, program)));
}

void best(const BestOptions& o, const mr::train::Declaration& declared, const std::string& program,
          const mr::Run& run, const mr::Messages& messages) {
  std::vector<mr::results::TrainingLog> logs;
  std::vector<std::pair<std::string, std::string>> inputs;
  for (const auto& path : o.logs) {
    logs.push_back(mr::results::read_training_log(path));
    inputs.emplace_back(path, mr::sha256_file(path));
  }
  const auto contests = mr::train::choose(logs);
  std::string text;
  if (o.json) {
    const auto provenance = mr::Json::array({mr::provenance_entry(run, inputs)});
    text = mr::train::to_json(contests, provenance).dump(2) + "\n";
  } else {
    text = lines_of(mr::train::retraining_commands(contests, o.retraining, declared, program));
  }
  for (const auto& line : mr::train::unequal_budgets(contests)) messages.warn(line);
  for (const auto& line : mr::train::describe_choice(contests)) messages.inform(line);
  mr::write_stdout(text);
}

void refuse_options_of_training(const CLI::App& training, const CLI::App& sub) {
  if (training.count("manifest") > 0)
    throw mr::UsageError("manifest: mr-train " + sub.get_name() + " wants one, after its name");
  mr::refuse_options_of(training, sub);
}

// --- convert and norms

struct ConvertOptions {
  mr::train::Conversion conversion;
  std::string to = "recalibrated";
  int threads = 0;
  bool force = false;
};

void declare_convert(CLI::App& sub, ConvertOptions& o) {
  auto& c = o.conversion;
  sub.add_option("model", c.model, "Model file with batch norm")->required();
  sub.add_option("manifest", c.manifest, "Manifest of the images of --to recalibrated");
  sub.add_option("--to", o.to, "frozen, batch-stats, n-prior[=N], or recalibrated[=N]")
      ->capture_default_str();
  sub.add_option("--split", c.split, "Split of the images, or all; their labels are not looked at")
      ->capture_default_str();
  sub.add_option("-o,--output", c.output, "Model file to write")->required();
  sub.add_option("--root", c.root, "Where relative paths of a manifest on - start");
  sub.add_option("--batch", c.batch, "Images in memory at a time of a pass")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  sub.add_option("--device", c.device, "cpu, cuda, cuda:N or auto")->capture_default_str();
  sub.add_option("-t,--threads", o.threads, "Threads (default: what the machine allows)")
      ->check(CLI::Range(1, 1024));
  sub.add_flag("-f,--force", o.force, "Replace what exists");
  sub.footer(
      "Example:\n  mr-train convert bn.pt knee.json --to recalibrated -o bn-recalibrated.pt");
}

void convert(const ConvertOptions& o, const mr::Run& run, const mr::Messages& messages) {
  auto conversion = o.conversion;
  mr::train::set_target(conversion, o.to);
  const bool images = conversion.target == mr::train::Target::recalibrated;
  if (images && conversion.manifest.empty())
    throw mr::UsageError("convert --to recalibrated: want a manifest of images");
  if (!images && !conversion.manifest.empty())
    throw mr::UsageError("convert --to " + o.to + ": looks at no images; leave the manifest out");
  conversion.threads = o.threads > 0 ? o.threads : mr::available_threads();
  conversion.overwrite = o.force ? mr::Overwrite::yes : mr::Overwrite::no;
  mr::train::convert(conversion, run, messages);
}

std::string norms(bool as_json) {
  mr::Json list = mr::Json::array();
  std::string text = std::string(mr::nn::scheme_symbols) + "\n\n";
  for (const auto& scheme : mr::nn::schemes()) {
    mr::Json parameters = mr::Json::array();
    text += scheme.name + ": " + scheme.summary + "\n  " + scheme.formula +
            "\n  source: " + scheme.source + "\n  in training an image " +
            (scheme.batch_free ? "does not depend" : "depends") + " on its batch" +
            (scheme.running ? "; keeps running statistics" : "") + "\n";
    for (const auto& p : scheme.parameters) {
      text += "  " + p.name + "=" + mr::shortest(p.value) + "  " + p.meaning + ", " +
              mr::shortest(p.lowest) + " to " + mr::shortest(p.highest) + "\n";
      parameters.push_back({{"name", p.name},
                            {"default", p.value},
                            {"range", {p.lowest, p.highest}},
                            {"meaning", p.meaning}});
    }
    text += "\n";
    list.push_back({{"name", scheme.name},
                    {"summary", scheme.summary},
                    {"formula", scheme.formula},
                    {"source", scheme.source},
                    {"batch_free", scheme.batch_free},
                    {"running_statistics", scheme.running},
                    {"parameters", parameters}});
  }
  return as_json ? list.dump(2) + "\n" : text;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"", "mr-train"};
  Options options;
  SweepOptions sweep_options;
  BestOptions best_options;
  ConvertOptions convert_options;
  bool norms_as_json = false;
  auto* sweep_app = app.add_subcommand("sweep", "Print the commands of a grid of trainings");
  auto* best_app = app.add_subcommand("best", "Choose by validation, print the commands to report");
  auto* convert_app = app.add_subcommand(
      "convert", "Make a frozen, adapted or recalibrated model of a batch-norm one");
  auto* norms_app = app.add_subcommand("norms", "List the normalization schemes");
  declare_best(*best_app, best_options);  // first: CLI11 2.4 minds --manifest after a positional
  declare(app, options);
  const auto declared = facts_of(app);
  declare_sweep(*sweep_app, app, sweep_options);
  declare_convert(*convert_app, convert_options);
  norms_app->add_flag("--json", norms_as_json, "As JSON");
  for (auto* sub : {sweep_app, best_app, convert_app, norms_app})
    sub->fallthrough();  // to --quiet and the like
  app.require_subcommand(0, 1);
  return mr::tool_main(app, argc, argv,
                       [&](const mr::Run& r, const mr::Messages& messages) {
                         for (const auto* sub : app.get_subcommands())
                           refuse_options_of_training(app, *sub);
                         if (sweep_app->parsed())
                           return sweep(*sweep_app, sweep_options, declared, argv[0]);
                         if (best_app->parsed())
                           return best(best_options, declared, argv[0], r, messages);
                         if (convert_app->parsed()) return convert(convert_options, r, messages);
                         if (norms_app->parsed()) return mr::write_stdout(norms(norms_as_json));
                         run(app, options, r, messages);
                       },
                       {{"--norm", mr::nn::scheme_names()},
                        {"--arch", mr::nn::architecture_names()},
                        {"--to", {"frozen", "batch-stats", "n-prior", "recalibrated"}}});
}
