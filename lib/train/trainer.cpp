#include "train/trainer.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <chrono>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "base/text.h"
#include "nn/init.h"
#include "train/schedule.h"
#include "train/sync_batch_norm.h"

namespace mr::train {
namespace {

template <typename List>
std::vector<torch::Tensor> as_vector(const List& tensors) {
  std::vector<torch::Tensor> out;
  for (const auto& tensor : tensors) out.push_back(tensor);
  return out;
}

/// "2: fc.weight, fc.bias"
std::string listed(const std::vector<std::string>& names) {
  std::string text = std::to_string(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) text += (i == 0 ? ": " : ", ") + names[i];
  return text;
}

void begin_with(torch::jit::Module& network, const std::string& path, const Messages& messages) {
  const auto done = nn::initialise(network, path);
  messages.inform(path + ": " + std::to_string(done.taken.size()) + " tensors taken");
  const auto tell = [&](const std::string& what, const std::vector<std::string>& names) {
    if (!names.empty()) messages.inform(path + ": " + what + " " + listed(names));
  };
  tell("of another shape", done.other_shape);
  tell("not in it", done.absent);
  tell("not in the network", done.unused);
}

torch::jit::Module network_on(c10::Device device, const Settings& settings,
                              const Parallel& parallel, const Messages& messages) {
  auto network = nn::make_network(settings.architecture, settings.seed);
  if (!settings.init.empty()) begin_with(network, settings.init, messages);
  if (settings.sync_batch_norm) synchronise_batch_norm(network, parallel);
  network.to(device);
  return network;
}

/// [2, L]
torch::Tensor as_tensor(const std::vector<LabelWeight>& weights) {
  auto out = torch::empty({2, static_cast<std::int64_t>(weights.size())});
  auto* values = out.data_ptr<float>();
  for (const auto& weight : weights) *values++ = static_cast<float>(weight.negative);
  for (const auto& weight : weights) *values++ = static_cast<float>(weight.positive);
  return out;
}

double seconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace

Trainer::Trainer(const Settings& settings, Json identity, c10::Device device,
                 const Parallel& parallel, const dataset::SampleSet& training,
                 const dataset::SampleSet& validation, const Messages& messages)
    : settings_(settings),
      identity_(std::move(identity)),
      device_(device),
      parallel_(parallel),
      training_(training),
      validation_(validation),
      messages_(messages),
      sampler_(settings.sampling, training, settings.seed),
      class_weights_(as_tensor(label_weights(training, settings.class_weights)).to(device)),
      training_loader_(training, settings.preprocess,
                       {settings.threads, settings.augment, settings.seed}),
      validation_loader_(validation, settings.preprocess,
                         {settings.threads, std::nullopt, settings.seed}),
      network_(network_on(device, settings, parallel, messages)),
      optimiser_(as_vector(network_.parameters()), settings.optimiser),
      scale_(settings.precision),
      buffers_(flatten_in_place(as_vector(network_.buffers()))),
      best_parameters_(torch::zeros_like(optimiser_.parameters)),
      best_buffers_(torch::zeros_like(buffers_)) {}

void Trainer::run(const std::string& path) {
  // A folder that cannot be written to is found out now.
  parallel_.on_first([&] { AtomicFile(path, Overwrite::yes); });
  while (!finished()) {
    train_epoch(path);
    close_epoch(judge(validation_, validate(path), settings_.rule));
    save(path);
  }
}

void Trainer::save(const std::string& path) const {
  parallel_.on_first([&] { write_checkpoint(path, checkpoint()); });
}

bool Trainer::finished() const {
  const auto done = static_cast<std::int64_t>(epochs_.size());
  return done >= settings_.epochs ||
         (done > 0 && done - best_["epoch"].get<std::int64_t>() >= settings_.patience);
}

void Trainer::stop_if_requested(const std::string& path) const {
  if (!parallel_.any(stop_requested())) return;
  save(path);
  throw InterruptedError(parallel_.once(path + ": stopped by a signal in epoch " +
                                        std::to_string(epoch_) + "; run again with --resume"));
}

std::int64_t Trainer::step_samples() const {
  return std::int64_t{settings_.batch} * settings_.accumulate;
}

void Trainer::train_epoch(const std::string& path) {
  const auto order = sampler_.order(epoch_, static_cast<std::size_t>(settings_.epoch_samples));
  const auto place = [&](std::int64_t step) {
    return order.begin() + std::min(settings_.epoch_samples, step * step_samples());
  };
  const auto left = order.end() - place(step_);
  const auto began = std::chrono::steady_clock::now();
  const double seconds_before = seconds_;
  Progress progress(messages_, "epoch " + std::to_string(epoch_), left);
  network_.train();
  training_loader_.start(shares({place(step_), order.end()}), settings_.batch / parallel_.size(),
                         epoch_);
  while (stop_if_requested(path), place(step_) != order.end()) {
    const std::vector<std::size_t> samples(place(step_), place(step_ + 1));
    loss_sum_ += train_step(samples) * static_cast<double>(samples.size());
    ++step_;
    seconds_ = seconds_before + seconds_since(began);
    progress.advance(static_cast<std::int64_t>(samples.size()));
  }
}

/// This process's share of every batch of `order`. All but the last are of equal size.
std::vector<std::size_t> Trainer::shares(const std::vector<std::size_t>& order) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < order.size(); i += settings_.batch) {
    const auto n = std::min(order.size() - i, static_cast<std::size_t>(settings_.batch));
    const auto [begin, end] = parallel_.share(static_cast<std::int64_t>(n));
    const auto at = order.begin() + static_cast<std::ptrdiff_t>(i);
    out.insert(out.end(), at + begin, at + end);
  }
  return out;
}

/// The loader's next batches are this process's shares of `samples`. The loss of each divides by
/// what is known in all of them, here and elsewhere, so that their gradients add up to that of one
/// batch.
double Trainer::train_step(const std::vector<std::size_t>& samples) {
  const auto weights = step_weights(truth(samples), class_weights_);
  auto loss = torch::zeros({}, torch::device(device_));
  optimiser_.zero_gradient();
  const auto whole = static_cast<std::size_t>(settings_.batch);
  for (std::size_t done = 0; done < samples.size(); done += whole) {
    const auto n = std::min(samples.size() - done, whole);
    const auto [begin, end] = parallel_.share(static_cast<std::int64_t>(n));
    dataset::Batch batch;
    if (begin < end) training_loader_.next(batch);
    if (begin == end && !settings_.sync_batch_norm) continue;
    waited_s_ += batch.waited_s;
    nn::draw_cross_norm(network_, settings_.architecture.normalization,
                        random_key(settings_.seed, {"cross-norm", std::to_string(epoch_),
                                                    std::to_string(step_), std::to_string(done)}),
                        static_cast<std::int64_t>(batch.samples.size()));
    const auto part = masked_cross_entropy(logits(batch), truth(batch.samples), weights);
    (part * scale_.value).backward();
    loss += part.detach();
  }
  parallel_.sum(optimiser_.gradient);
  parallel_.sum(loss);
  // Running statistics are linear in those of the batches: their mean over the processes after each
  // step is the one after an epoch, and a checkpoint needs no more than one process's.
  if (parallel_.size() > 1 && !settings_.sync_batch_norm && buffers_.numel() > 0)
    parallel_.sum(buffers_.div_(parallel_.size()));
  if (scale_.unscale(optimiser_.gradient)) optimiser_.step(rate_factor(step_));
  if (scale_.exhausted()) not_finite(training_, samples, "the gradient");
  const double value = loss.item<double>();
  if (!std::isfinite(value)) not_finite(training_, samples, "the loss");
  return value;
}

double Trainer::rate_factor(std::int64_t step) const {
  Progression at;
  at.steps_per_epoch = (settings_.epoch_samples + step_samples() - 1) / step_samples();
  at.step = (epoch_ - 1) * at.steps_per_epoch + step;
  at.epochs = settings_.epochs;
  for (const auto& line : epochs_) at.aurocs.push_back(line["val_auroc_mean"].get<double>());
  return train::rate_factor(settings_.schedule, at);
}

/// Scores [N, L] of the validation samples, of which each process does its share.
std::vector<float> Trainer::validate(const std::string& path) {
  const torch::NoGradGuard no_grad;
  const auto n = static_cast<std::int64_t>(validation_.size());
  const auto [begin, end] = parallel_.share(n);
  std::vector<std::size_t> order(static_cast<std::size_t>(end - begin));
  std::iota(order.begin(), order.end(), static_cast<std::size_t>(begin));
  const auto labels = static_cast<std::int64_t>(validation_.label_names().size());
  const auto scores = torch::zeros({n, labels}, torch::device(device_));
  Progress progress(messages_, "validation", end - begin);
  network_.eval();
  const int size = settings_.batch / parallel_.size();
  validation_loader_.start(std::move(order), size, 0);
  dataset::Batch batch;
  // The largest share sets the number of turns: each asks all processes whether to stop.
  const auto largest = (n + parallel_.size() - 1) / parallel_.size();
  for (std::int64_t at = begin; at < begin + largest; at += size) {
    stop_if_requested(path);
    if (!validation_loader_.next(batch)) continue;
    const auto done = static_cast<std::int64_t>(batch.samples.size());
    scores.slice(0, at, at + done).copy_(forward(batch));
    progress.advance(done);
  }
  stop_if_requested(path);
  parallel_.sum(scores);
  const auto all = scores.to(torch::kCPU).contiguous();
  const auto* values = all.data_ptr<float>();
  std::vector<float> out(values, values + all.numel());
  std::vector<std::size_t> bad;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto sample = i / static_cast<std::size_t>(labels);
    if (!std::isfinite(out[i]) && (bad.empty() || bad.back() != sample)) bad.push_back(sample);
  }
  if (!bad.empty()) not_finite(validation_, bad, "a score");
  return out;
}

void Trainer::close_epoch(const Validation& validation) {
  Json line = {{"epoch", epoch_},
               {"train_loss", loss_sum_ / static_cast<double>(settings_.epoch_samples)},
               {"learning_rate", settings_.optimiser.learning_rate * rate_factor(step_ - 1)}};
  line.update(validation.line);
  const double images_per_s = static_cast<double>(settings_.epoch_samples) / seconds_;
  line["timing"] = {{"seconds", seconds_}, {"images_per_s", images_per_s}, {"waited_s", waited_s_}};
  epochs_.push_back(line);
  const bool better =
      best_.is_null() || validation.auroc_mean > best_["val_auroc_mean"].get<double>();
  if (better) {
    best_ = {{"epoch", epoch_}};
    best_.update(validation.line);
    best_["operating_points"] = validation.operating_points;
    best_parameters_.copy_(optimiser_.parameters.detach());
    best_buffers_.copy_(buffers_);
  }
  messages_.inform("epoch " + std::to_string(epoch_) + ": loss " +
                   fixed(line["train_loss"].get<double>(), 4) + ", validation loss " +
                   fixed(line["val_loss"].get<double>(), 4) + ", mean AUROC " +
                   fixed(validation.auroc_mean, 4) + (better ? " (best)" : ""));
  messages_.detail("epoch " + std::to_string(epoch_) + ": " + fixed(images_per_s, 1) +
                   " images/s, " + fixed(waited_s_, 1) + " s of " + fixed(seconds_, 1) +
                   " s waiting for images");
  ++epoch_;
  step_ = 0;
  loss_sum_ = 0;
  seconds_ = waited_s_ = 0;
}

/// Of a training batch: float32, whatever the network computed them in.
torch::Tensor Trainer::logits(const dataset::Batch& batch) {
  const Autocast autocast(settings_.precision, device_);
  return forward(batch).to(torch::kFloat32);
}

torch::Tensor Trainer::forward(const dataset::Batch& batch) {
  auto shape = dataset::input_shape(settings_.preprocess);
  shape.insert(shape.begin(), static_cast<std::int64_t>(batch.samples.size()));
  // from_blob takes no const pointer; the network does not write to its input.
  const auto pixels =
      torch::from_blob(const_cast<float*>(batch.pixels.data()), shape, torch::kFloat32);
  return network_.forward({pixels.to(device_)}).toTensor();
}

torch::Tensor Trainer::truth(const std::vector<std::size_t>& samples) const {
  const auto labels = static_cast<std::int64_t>(training_.label_names().size());
  auto truth = torch::empty({static_cast<std::int64_t>(samples.size()), labels});
  auto* out = truth.data_ptr<float>();
  for (const auto sample : samples)
    for (const int label : training_.labels(sample)) *out++ = static_cast<float>(label);
  return truth.to(device_);
}

void Trainer::not_finite(const dataset::SampleSet& set, const std::vector<std::size_t>& samples,
                         const std::string& what) const {
  std::string ids;
  for (const auto sample : samples) ids += (ids.empty() ? "" : ", ") + set.id(sample);
  throw DataError(parallel_.once("epoch " + std::to_string(epoch_) + ": " + what +
                                 " is not finite; lower the learning rate, or look at " + ids));
}

Trainer::NamedTensors Trainer::tensors() const {
  NamedTensors all = {{"parameters", optimiser_.parameters},
                      {"buffers", buffers_},
                      {"best_parameters", best_parameters_},
                      {"best_buffers", best_buffers_}};
  for (std::size_t i = 0; i < optimiser_.moments.size(); ++i)
    all.emplace_back("moment" + std::to_string(i + 1), optimiser_.moments[i]);
  return all;
}

Checkpoint Trainer::checkpoint() const {
  return {{{"identity", identity_},
           {"epoch", epoch_},
           {"step", step_},
           {"loss_sum", loss_sum_},
           {"seconds", seconds_},
           {"waited_s", waited_s_},
           {"optimiser_steps", optimiser_.steps},
           {"loss_scale", scale_.value},
           {"loss_scale_steps", scale_.steps},
           {"best", best_},
           {"epochs", epochs_}},
          tensors()};
}

void Trainer::restore(const Checkpoint& saved, const std::string& name) {
  const torch::NoGradGuard no_grad;
  if (member(saved.state, "identity", name) != identity_)
    throw DataError(name + ": is of a run with other settings or data; --force begins anew");
  const auto wanted = tensors();
  if (saved.tensors.size() != wanted.size())
    throw DataError(name + ": want " + std::to_string(wanted.size()) + " tensors, got " +
                    std::to_string(saved.tensors.size()));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    auto target = wanted[i].second;
    const auto& [found, values] = saved.tensors[i];
    if (found != wanted[i].first || values.numel() != target.numel())
      throw DataError(name + ": tensor '" + found + "' does not fit this network");
    target.copy_(values);
  }
  optimiser_.steps = integer_member(saved.state, "optimiser_steps", name);
  scale_.value = number_member(saved.state, "loss_scale", name);
  scale_.steps = integer_member(saved.state, "loss_scale_steps", name);
  epoch_ = integer_member(saved.state, "epoch", name);
  step_ = integer_member(saved.state, "step", name);
  loss_sum_ = number_member(saved.state, "loss_sum", name);
  seconds_ = number_member(saved.state, "seconds", name);
  waited_s_ = number_member(saved.state, "waited_s", name);
  best_ = member(saved.state, "best", name);
  epochs_ = member(saved.state, "epochs", name);
}

torch::jit::Module Trainer::best_network() const {
  auto network = nn::make_network(settings_.architecture, settings_.seed);
  copy_from_flat(best_parameters_, as_vector(network.parameters()));
  copy_from_flat(best_buffers_, as_vector(network.buffers()));
  network.eval();
  return network;
}

}  // namespace mr::train
