// mr-train: train a classifier of MR images. Only the command line lives here.
#include <charconv>

#include "artifact/ready_recipes.h"
#include "base/text.h"
#include "tool_main.h"
#include "train/train.h"

namespace {

struct Options {
  mr::train::Settings settings;
  mr::train::Files files;
  std::string preset, norm = "batch", optimiser = "adamw", sampler = "balanced",
                      class_weights = "none", schedule = "constant", precision = "float32",
                      standardise = "volume-percentile";
  std::string size = "64x64", augment, rule = "sens>=0.90";
  double spacing_mm = 0;
  int groups = 32;
  bool force = false;
};

void declare_network(CLI::App& app, Options& o) {
  auto& architecture = o.settings.architecture;
  app.add_option("--norm", o.norm, "batch, group, or layer (over C, H, W: group with 1 group)")
      ->check(CLI::IsMember({"batch", "group", "layer"}))
      ->capture_default_str();
  app.add_option("--groups", o.groups, "Groups of --norm group")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--width", architecture.width, "Channels of stage 1; each further stage has twice")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--blocks", architecture.blocks, "Residual blocks of each stage")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 100))
      ->default_str("2,2,2,2");
  app.add_option("--size", o.size, "Rows x columns of the input [px]; cropped or padded to it")
      ->capture_default_str();
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
  app.add_option("-o,--output", o.files.model, "Model file to write")->required();
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
      "  mr-train --augment scanner.json --resume study.json -o bn.pt");
}

/// The protocol of Madaan et al. 2023 (MIDL, PMLR 227:1726-1750), for what was not said otherwise.
void apply_preset(const CLI::App& app, Options& o) {
  const auto set = [&](const char* option, auto& value, auto published) {
    if (app.count(option) == 0) value = published;
  };
  auto& s = o.settings;
  set("--width", s.architecture.width, 64);
  set("--blocks", s.architecture.blocks, std::vector<int>{2, 2, 2, 2});
  set("--groups", o.groups, 32);
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

mr::nn::Normalization parse_normalization(const Options& o) {
  using mr::nn::Norm;
  if (o.norm == "group") return {Norm::group, o.groups};
  return {o.norm == "layer" ? Norm::layer : Norm::batch, 1};
}

void run(const CLI::App& app, Options o, const mr::Run& run, const mr::Messages& messages) {
  if (!o.preset.empty()) apply_preset(app, o);
  auto& s = o.settings;
  s.architecture.normalization = parse_normalization(o);
  s.preprocess.size = parse_size(o.size);
  mr::dataset::set_standardisation(s.preprocess, o.standardise);
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
  if (!o.augment.empty()) s.augment = mr::artifact::read_recipe(o.augment);
  if (s.augment && s.augment->gain == mr::artifact::Gain::match)
    throw mr::UsageError("--augment: gain match knows the clean image: for evaluation alone");
  if (o.files.log.empty()) o.files.log = o.files.model + ".log.jsonl";
  o.files.checkpoint = o.files.model + ".checkpoint";
  o.files.overwrite = o.force ? mr::Overwrite::yes : mr::Overwrite::no;
  if (o.files.model == "-")
    throw mr::UsageError("--output: want a file: its checkpoint and log stand beside it");
  mr::train::train(s, o.files, run, messages);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"", "mr-train"};
  Options options;
  declare(app, options);
  return mr::tool_main(app, argc, argv, [&](const mr::Run& r, const mr::Messages& messages) {
    run(app, options, r, messages);
  });
}
