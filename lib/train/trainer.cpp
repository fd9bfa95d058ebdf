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
#include "train/schedule.h"

namespace mr::train {
namespace {

template <typename List>
std::vector<torch::Tensor> as_vector(const List& tensors) {
  std::vector<torch::Tensor> out;
  for (const auto& tensor : tensors) out.push_back(tensor);
  return out;
}

torch::jit::Module network_on(c10::Device device, const Settings& settings) {
  auto network = nn::make_network(settings.architecture, settings.seed);
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
                 const dataset::SampleSet& training, const dataset::SampleSet& validation,
                 const Messages& messages)
    : settings_(settings),
      identity_(std::move(identity)),
      device_(device),
      training_(training),
      validation_(validation),
      messages_(messages),
      sampler_(settings.sampling, training, settings.seed),
      class_weights_(as_tensor(label_weights(training, settings.class_weights)).to(device)),
      training_loader_(training, settings.preprocess,
                       {settings.threads, settings.augment, settings.seed}),
      validation_loader_(validation, settings.preprocess,
                         {settings.threads, std::nullopt, settings.seed}),
      network_(network_on(device, settings)),
      optimiser_(as_vector(network_.parameters()), settings.optimiser),
      buffers_(flatten_in_place(as_vector(network_.buffers()))),
      best_parameters_(torch::zeros_like(optimiser_.parameters)),
      best_buffers_(torch::zeros_like(buffers_)) {}

void Trainer::run(const std::string& path) {
  AtomicFile(path, Overwrite::yes);  // a folder that cannot be written to is found out now
  while (!finished()) {
    train_epoch(path);
    close_epoch(judge(validation_, validate(path), settings_.rule));
    write_checkpoint(path, checkpoint());
  }
}

bool Trainer::finished() const {
  const auto done = static_cast<std::int64_t>(epochs_.size());
  return done >= settings_.epochs ||
         (done > 0 && done - best_["epoch"].get<std::int64_t>() >= settings_.patience);
}

void Trainer::stop_if_requested(const std::string& path) const {
  if (!stop_requested()) return;
  write_checkpoint(path, checkpoint());
  throw InterruptedError(path + ": stopped by a signal in epoch " + std::to_string(epoch_) +
                         "; run again with --resume");
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
  training_loader_.start({place(step_), order.end()}, settings_.batch, epoch_);
  while (stop_if_requested(path), place(step_) != order.end()) {
    const std::vector<std::size_t> samples(place(step_), place(step_ + 1));
    loss_sum_ += train_step(samples) * static_cast<double>(samples.size());
    ++step_;
    seconds_ = seconds_before + seconds_since(began);
    progress.advance(static_cast<std::int64_t>(samples.size()));
  }
}

/// The loader's next batches are those of `samples`. The loss of each divides by what is known in
/// all of them, so that their gradients add up to that of one batch.
double Trainer::train_step(const std::vector<std::size_t>& samples) {
  const auto weights = step_weights(truth(samples), class_weights_);
  auto loss = torch::zeros({}, torch::device(device_));
  optimiser_.zero_gradient();
  dataset::Batch batch;
  for (std::size_t done = 0; done < samples.size(); done += batch.samples.size()) {
    training_loader_.next(batch);
    waited_s_ += batch.waited_s;
    nn::draw_cross_norm(network_, settings_.architecture.normalization,
                        random_key(settings_.seed, {"cross-norm", std::to_string(epoch_),
                                                    std::to_string(step_), std::to_string(done)}),
                        static_cast<std::int64_t>(batch.samples.size()));
    const auto part = masked_cross_entropy(forward(batch), truth(batch.samples), weights);
    part.backward();
    loss += part.detach();
  }
  optimiser_.step(rate_factor(step_));
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

std::vector<float> Trainer::validate(const std::string& path) {
  const torch::NoGradGuard no_grad;
  std::vector<std::size_t> order(validation_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<float> scores;
  Progress progress(messages_, "validation", static_cast<std::int64_t>(order.size()));
  network_.eval();
  validation_loader_.start(std::move(order), settings_.batch, 0);
  dataset::Batch batch;
  while (stop_if_requested(path), validation_loader_.next(batch)) {
    const auto logits = forward(batch).to(torch::kCPU).contiguous();
    if (!torch::isfinite(logits).all().item<bool>())
      not_finite(validation_, batch.samples, "a score");
    const auto* values = logits.data_ptr<float>();
    scores.insert(scores.end(), values, values + logits.numel());
    progress.advance(static_cast<std::int64_t>(batch.samples.size()));
  }
  return scores;
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
  throw DataError("epoch " + std::to_string(epoch_) + ": " + what +
                  " is not finite; lower the learning rate, or look at " + ids);
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
