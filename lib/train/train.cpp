#include "train/train.h"

#include <torch/cuda.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "base/threads.h"
#include "nn/device.h"
#include "nn/model.h"
#include "train/parallel.h"
#include "train/precision.h"
#include "train/trainer.h"

namespace mr::train {
namespace {

Json to_json(const ScheduleOptions& schedule) {
  Json out = {{"name", name(schedule.kind)}, {"warmup_epochs", schedule.warmup_epochs}};
  if (schedule.kind == Schedule::step) out["step_epochs"] = schedule.step_epochs;
  if (schedule.kind == Schedule::plateau) out["plateau_patience"] = schedule.plateau_patience;
  if (schedule.kind == Schedule::step || schedule.kind == Schedule::plateau)
    out["factor"] = schedule.factor;
  return out;
}

/// {label: {negative, positive}}, or null where all count 1
Json class_weights(const Settings& s, const dataset::SampleSet& training) {
  if (s.class_weights == ClassWeights::none) return nullptr;
  Json out;
  const auto weights = label_weights(training, s.class_weights);
  for (std::size_t l = 0; l < weights.size(); ++l)
    out[training.label_names()[l].name] = {{"negative", weights[l].negative},
                                           {"positive", weights[l].positive}};
  return out;
}

/// Whose images batch norm sees; null where there is none, or one process alone.
Json batch_norm(const Settings& s, int processes) {
  if (processes == 1 || !nn::find_scheme(s.architecture.normalization.scheme).running)
    return nullptr;
  return s.sync_batch_norm ? "synchronised" : "local";
}

/// What the result depends on, beside the data; the same in model, log and checkpoint.
Json describe(const Settings& s, const dataset::SampleSet& training, int processes) {
  Json labels = Json::array();
  for (const auto& label : training.label_names()) labels.push_back(label.name);
  return {{"architecture", nn::to_json(s.architecture)},
          {"normalization", nn::name(s.architecture.normalization)},
          {"labels", labels},
          {"preprocessing", dataset::to_json(s.preprocess)},
          {"training",
           {{"optimiser", name(s.optimiser.method)},
            {"learning_rate", s.optimiser.learning_rate},
            {"weight_decay", s.optimiser.weight_decay},
            {"clip_norm", s.optimiser.clip_norm > 0 ? Json(s.optimiser.clip_norm) : Json()},
            {"schedule", to_json(s.schedule)},
            {"sampler", name(s.sampling)},
            {"class_weights", class_weights(s, training)},
            {"batch", s.batch},
            {"accumulate", s.accumulate},
            {"epoch_samples", s.epoch_samples},
            {"epochs", s.epochs},
            {"patience", s.patience},
            {"init", s.init.empty()
                         ? Json()
                         : Json({{"file", file_name(s.init)}, {"sha256", sha256_file(s.init)}})},
            {"augment_name", s.augment ? Json(s.augment_name) : Json()},
            {"augment", s.augment ? artifact::to_json(*s.augment) : Json()},
            {"operating_rule", stats::name(s.rule)},
            {"seed", s.seed},
            {"device", s.device},
            {"precision", name(s.precision)},
            {"processes", processes},
            {"batch_norm", batch_norm(s, processes)},
            {"threads", s.threads},
            {"libtorch", TORCH_VERSION}}}};
}

std::string encode_log(const Json& description, const Trainer& trainer, const Settings& settings,
                       const Json& provenance) {
  Json header = {{"schema", "mr-train-log/1"}};
  header.update(description);
  header["provenance"] = provenance;
  std::string text = to_line(header) + "\n";
  for (const auto& epoch : trainer.epochs()) text += to_line(epoch) + "\n";
  const bool all = static_cast<std::int64_t>(trainer.epochs().size()) == settings.epochs;
  text += to_line({{"end", true},
                   {"epochs", trainer.epochs().size()},
                   {"best_epoch", trainer.best()["epoch"]},
                   {"stopped", all ? "epochs" : "patience"}}) +
          "\n";
  return text;
}

/// The description of the model, mr.json.
Json describe_model(const Json& description, const Trainer& trainer,
                    const torch::jit::Module& network, const Json& provenance) {
  Json info = {{"schema", "mr-model/1"}};
  info.update(description);
  info["parameters"] = nn::count_parameters(network);
  auto best = trainer.best();
  info["operating_points"] = best["operating_points"];
  best.erase("operating_points");
  info["training"]["best"] = best;
  info["provenance"] = provenance;
  return info;
}

/// Refuses what could never come to pass.
void check_settings(const Settings& s) {
  if (s.schedule.warmup_epochs >= s.epochs)
    throw UsageError("--warmup-epochs: want fewer than the " + std::to_string(s.epochs) +
                     " of --epochs");
  if (s.sync_batch_norm && !s.parallel)
    throw UsageError("--sync-batch-norm: is among the processes of --parallel");
  if (s.sync_batch_norm && s.architecture.normalization.scheme == "batch-renorm")
    throw UsageError("--sync-batch-norm: batch-renorm takes each process's share by itself");
  if (s.schedule.kind == Schedule::plateau && s.schedule.plateau_patience >= s.patience)
    throw UsageError("--plateau-patience: want fewer than the " + std::to_string(s.patience) +
                     " of --patience, after which training ends");
}

/// Refuses outputs that exist, before any work. True where a checkpoint is to be gone on from.
bool check_outputs(const Files& files) {
  require_absent(files.model, files.overwrite);
  if (files.resume && exists(files.checkpoint)) return true;
  require_absent(files.log, files.overwrite);
  if (files.overwrite == Overwrite::no && exists(files.checkpoint))
    throw CannotCreateError(files.checkpoint +
                            ": exists; use --resume to go on or --force to begin anew");
  return false;
}

/// What an earlier run with these files left; both are empty where this one begins.
struct Before {
  std::optional<Checkpoint> checkpoint;
  Json finished;  // mr.json of the model, where nothing is left to do
};

/// The number of threads that the earlier run had; `now` where there was none.
int threads_of(const Before& before, const Files& files, int now) {
  if (!before.checkpoint && before.finished.is_null()) return now;
  const auto& name = before.checkpoint ? files.checkpoint : files.model;
  const auto& described =
      before.checkpoint ? member(before.checkpoint->state, "identity", name) : before.finished;
  return static_cast<int>(integer_member(member(described, "training", name), "threads", name));
}

/// Whether a model was trained as described, on that manifest. Its file says more than this.
bool is_of(const Json& model, const Json& description, const std::string& manifest_sha256,
           const std::string& name) {
  for (const auto& [key, value] : description.items()) {
    auto found = member(model, key.c_str(), name);
    if (key == "training") found.erase("best");
    if (found != value) return false;
  }
  const auto& made = member(model, "provenance", name);
  return !made.empty() && made.back()["inputs"][0]["sha256"] == manifest_sha256;
}

/// Of several processes of a machine each has a CUDA device of its own.
c10::Device configure(Settings& settings, const World& world) {
  auto device = nn::configure_torch(settings.device, settings.threads);
  const bool numbered = settings.device.find(':') != std::string::npos;
  if (device.is_cuda() && !numbered)
    device.set_index(static_cast<c10::DeviceIndex>(world.local_rank %
                                                   static_cast<int>(torch::cuda::device_count())));
  settings.device = device.is_cuda() ? "cuda" : "cpu";
  return device;
}

World world_of(const Settings& settings, const Files& files) {
  if (!settings.parallel) return {};
  const auto world = world_of_environment();
  if (settings.batch % world.size != 0)
    throw UsageError("--batch: want a multiple of the " + std::to_string(world.size) +
                     " processes, got " + std::to_string(settings.batch));
  if (files.manifest == "-")
    throw UsageError("--parallel: want a manifest that every process can read, got standard input");
  return world;
}

Before look_back(const Files& files, const Parallel& parallel) {
  std::string checkpoint, finished;
  parallel.on_first([&] {
    if (files.resume && files.overwrite == Overwrite::no && exists(files.model)) {
      finished = nn::load_model(files.model).info.dump();
    } else if (check_outputs(files)) {
      checkpoint = read_all(files.checkpoint);
      decode_checkpoint(checkpoint, files.checkpoint);  // what is wrong with it is said once
    }
  });
  checkpoint = parallel.from_first(checkpoint);
  finished = parallel.from_first(finished);
  Before before;
  if (!checkpoint.empty()) before.checkpoint = decode_checkpoint(checkpoint, files.checkpoint);
  if (!finished.empty()) before.finished = parse_json(finished, files.model);
  return before;
}

}  // namespace

void train(const Settings& asked, const Files& files, const Run& run,
           const Messages& asked_messages) {
  check_settings(asked);
  auto settings = asked;
  const auto world = world_of(settings, files);
  if (settings.threads == 0) settings.threads = std::max(1, available_threads() / world.local_size);
  const auto device = configure(settings, world);
  const auto parallel = settings.parallel ? Parallel(world, device) : Parallel();
  const auto messages = parallel.first() ? asked_messages : Messages(run.tool, Verbosity::quiet);
  const auto slow = check_precision(settings.precision, device);
  if (!slow.empty()) messages.warn(slow);
  const auto before = look_back(files, parallel);
  // The last bits of a sum depend on the number of threads: it stays what it was, and is the same
  // everywhere.
  settings.threads =
      threads_of(before, files, std::stoi(parallel.from_first(std::to_string(settings.threads))));
  nn::configure_thread(settings.threads);
  const auto manifest = dataset::load_manifest(files.manifest, files.root, {"train", "val"});
  const auto& training = manifest.splits[0];
  const auto& validation = manifest.splits[1];
  check_labels(manifest.name, training, validation, messages);
  settings.architecture.labels = static_cast<int>(training.label_names().size());
  if (settings.epoch_samples == 0)
    settings.epoch_samples = static_cast<std::int64_t>(training.size());
  const auto left = settings.epoch_samples % settings.batch;  // images of an epoch's last batch
  const auto last = left == 0 ? settings.batch : left;
  // Where batch norm is local, a process's share is its batch; a share of none is left out.
  const auto smallest =
      settings.sync_batch_norm ? last : std::max<std::int64_t>(1, last / parallel.size());
  const auto& size = settings.preprocess.size;
  std::vector<int> pixels(size.begin(), size.end());
  if (settings.architecture.dimensions == 3) pixels.push_back(*settings.preprocess.depth);
  try {
    nn::require_trainable(settings.architecture, pixels, smallest);
  } catch (const UsageError& e) {
    throw UsageError(parallel.once(e.what()));
  }

  const auto description = describe(settings, training, parallel.size());
  if (!before.finished.is_null()) {
    if (!is_of(before.finished, description, manifest.sha256, files.model))
      throw CannotCreateError(parallel.once(
          files.model +
          ": exists, and is of a run with other settings or data; --force begins anew"));
    // The last thing that a run does; it may have been killed before.
    parallel.on_first([&] { ::unlink(files.checkpoint.c_str()); });
    messages.inform(files.model + ": was finished before");
    return;
  }
  auto identity = description;
  identity["manifest"] = manifest.sha256;
  identity["version"] = version();
  if (parallel.any(parallel.from_first(identity.dump()) != identity.dump()))
    throw DataError(parallel.once("--parallel: the processes have other options or data"));
  Trainer trainer(settings, identity, device, parallel, training, validation, messages);
  if (before.checkpoint) trainer.restore(*before.checkpoint, files.checkpoint);
  trainer.run(files.checkpoint);

  parallel.on_first([&] {
    auto provenance = manifest.provenance;
    provenance.push_back(provenance_entry(run, {{manifest.name, manifest.sha256}}));
    const auto network = trainer.best_network();
    const auto info = describe_model(description, trainer, network, provenance);
    write_file(files.log, encode_log(description, trainer, settings, provenance),
               before.checkpoint ? Overwrite::yes : files.overwrite);
    write_file(files.model, nn::encode_model({network, info}), files.overwrite);
    ::unlink(files.checkpoint.c_str());
  });
}

}  // namespace mr::train
