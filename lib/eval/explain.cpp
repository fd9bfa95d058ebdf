#include "eval/explain.h"

#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "base/threads.h"
#include "nn/adaptation.h"
#include "nn/device.h"
#include "results/measure.h"

namespace mr::eval {
namespace {

using results::Findings;
using results::Probe;
using results::Swap;
using torch::jit::Module;
using Sets = std::vector<std::vector<std::size_t>>;
using Kind = Swap::Kind;

/// What is done to the input of clean images: the scaling of another vendor, the level of another
/// background, in units of the network's input.
constexpr std::pair<double, double> probes[] = {{0.5, 0}, {2, 0}, {1, 0.1}, {1, -0.1}};

results::ChannelStatistics values_of(const torch::Tensor& mean, const torch::Tensor& variance) {
  const auto list = [](const torch::Tensor& tensor) {
    const auto values = tensor.to(torch::kCPU, torch::kFloat64).contiguous();
    const auto* first = values.data_ptr<double>();
    return std::vector<double>(first, first + values.numel());
  };
  return {list(mean), list(variance)};
}

torch::Tensor input_of(const Networks& networks, const Variant& variant,
                       const std::vector<float>& pixels, const std::vector<std::size_t>& set) {
  const auto some = networks.gather(variant, pixels, set);
  return networks.batch(variant, some.data(), set.size(), set.size());
}

/// What the norms of a model are given of sets of samples.
std::vector<nn::Statistics> measure(const Networks& networks, const Variant& variant,
                                    const std::vector<float>& pixels, const Sets& sets) {
  const auto alone = networks.device_lock();
  auto network = networks.trained[variant.model].deepcopy();
  std::vector<torch::Tensor> batches;
  for (const auto& set : sets) batches.push_back(input_of(networks, variant, pixels, set));
  return nn::input_statistics(network, batches);
}

bool has_own_statistics(const Module& norm) {
  return !norm.hasattr("running_mean");
}

/// Whether there is anything to compare with: running statistics, or clean images.
bool is_measured(const Module& network, bool clean) {
  const auto layers = nn::norms(network);
  return std::any_of(layers.begin(), layers.end(),
                     [&](const Module& norm) { return !clean || !has_own_statistics(norm); });
}

/// One model under one condition. Its tasks are independent, each of one network on one thread.
class Case {
 public:
  /// clean  what norms are given of the same samples without the condition; empty: this is that
  Case(const Plan& plan, const Variant& variant, const std::vector<float>& pixels, bool probed,
       const std::vector<nn::Statistics>& clean)
      : networks_(plan.networks),
        variant_(variant),
        trained_(plan.networks.trained[variant.model]),
        pixels_(pixels),
        samples_(plan.samples.size()),
        probed_(probed),
        clean_(clean),
        sets_(mixed_sets(samples_, swap_set, plan.seed, 0)),
        layers_(nn::batch_norm_names(trained_)) {
    if (is_measured(trained_, probed)) tasks_.emplace_back([this] { measure_shifts(); });
    if (!layers_.empty()) add_swaps();
    if (probed_) add_probes();
  }

  Case(const Case&) = delete;  // the tasks refer to it

  const std::vector<std::function<void()>>& tasks() const { return tasks_; }

  Findings findings(const results::Header& header) const {
    Findings findings;
    findings.samples = static_cast<std::int64_t>(samples_);
    findings.layers = shifts_;
    std::vector<stats::Linearized> swapped;
    for (std::size_t s = 0; s < swaps_.size(); ++s) {
      auto swap = swaps_[s];
      swapped.push_back(macro_auroc(header, swap_scores_[s]));
      static_cast<results::Effect&>(swap) = results::effect(swapped[s], swapped[0]);
      findings.swaps.push_back(std::move(swap));
    }
    for (std::size_t p = 0; probed_ && p < std::size(probes); ++p)
      findings.probes.push_back(probe(header, p));
    return findings;
  }

 private:
  using Scores = std::vector<float>;  // [samples x labels]

  void add_swaps() {
    for (const auto kind : {Kind::none, Kind::all, Kind::mean, Kind::variance})
      swaps_.push_back({{}, kind, ""});
    for (const auto kind : {Kind::only, Kind::all_but})
      for (const auto& layer : layers_) swaps_.push_back({{}, kind, layer});
    swap_scores_.assign(swaps_.size(), Scores(samples_ * networks_.labels()));
    for (std::size_t s = 0; s < swaps_.size(); ++s)
      for (const auto& set : sets_) tasks_.emplace_back([this, s, &set] { run_swap(s, set); });
  }

  void add_probes() {
    probe_scores_.assign(std::size(probes) + 1, Scores(samples_ * networks_.labels()));
    for (std::size_t p = 0; p <= std::size(probes); ++p)
      for (std::size_t first = 0; first < samples_; first += networks_.batch_size())
        tasks_.emplace_back([this, p, first] { run_probe(p, first); });
  }

  void measure_shifts() {
    using Reference = results::LayerShift::Reference;
    const auto measured = measure(networks_, variant_, pixels_, sets_);
    const auto norms = nn::norms(trained_);
    const auto names = nn::norm_names(trained_);
    for (std::size_t l = 0; l < norms.size(); ++l) {
      const bool own = has_own_statistics(norms[l]);
      if (own && clean_.empty()) continue;
      const auto reference = own ? values_of(clean_[l].mean, clean_[l].variance)
                                 : values_of(norms[l].attr("running_mean").toTensor(),
                                             norms[l].attr("running_var").toTensor());
      shifts_.push_back(results::compare_statistics(
          names[l], values_of(measured[l].mean, measured[l].variance),
          own ? Reference::clean : Reference::running, reference, norms[l].attr("eps").toDouble()));
    }
  }

  /// A copy of the network that normalises as the swap says, for this set alone.
  Module swapped(const Swap& swap, const torch::Tensor& set) const {
    auto network = trained_.deepcopy();
    if (swap.kind == Kind::mean || swap.kind == Kind::variance) {
      nn::recalibrate(network, {set}, 0,
                      swap.kind == Kind::mean ? nn::Replaced::mean : nn::Replaced::variance);
      return network;
    }
    auto layers = nn::batch_norms(network);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const bool named = layers_[l] == swap.layer;
      const bool own = swap.kind == Kind::all || (swap.kind == Kind::only && named) ||
                       (swap.kind == Kind::all_but && !named);
      layers[l].setattr("prior", own ? nn::batch_statistics : nn::running_statistics);
    }
    return network;
  }

  void run_swap(std::size_t index, const std::vector<std::size_t>& set) {
    const auto alone = networks_.device_lock();
    const auto labels = networks_.labels();
    const auto images = input_of(networks_, variant_, pixels_, set);
    Scores scores;
    networks_.run(variant_, swapped(swaps_[index], images), images, set.size(), scores);
    for (std::size_t i = 0; i < scores.size(); ++i)
      swap_scores_[index][set[i / labels] * labels + i % labels] = scores[i];
  }

  /// Probe p, or after the last the input as it is, on one batch from `first` on.
  void run_probe(std::size_t p, std::size_t first) {
    const auto alone = networks_.device_lock();
    const auto each = networks_.pixels_of(variant_);
    const auto n = std::min(networks_.batch_size(), samples_ - first);
    std::vector<float> some(pixels_.begin() + static_cast<std::ptrdiff_t>(first * each),
                            pixels_.begin() + static_cast<std::ptrdiff_t>((first + n) * each));
    if (p < std::size(probes))
      for (float& x : some)
        x = static_cast<float>(probes[p].first) * x + static_cast<float>(probes[p].second);
    Scores scores;
    networks_.run(variant_, variant_.network,
                  networks_.batch(variant_, some.data(), n, networks_.batch_size()), n, scores);
    std::copy(scores.begin(), scores.end(),
              probe_scores_[p].begin() + static_cast<std::ptrdiff_t>(first * networks_.labels()));
  }

  Probe probe(const results::Header& header, std::size_t p) const {
    const auto &changed = probe_scores_[p], &as_it_is = probe_scores_.back();
    std::vector<double> moved(changed.size());
    for (std::size_t i = 0; i < moved.size(); ++i)
      moved[i] = std::abs(static_cast<double>(changed[i]) - static_cast<double>(as_it_is[i]));
    return {results::effect(macro_auroc(header, changed), macro_auroc(header, as_it_is)),
            probes[p].first, probes[p].second, results::quantile(moved, 0.5),
            results::quantile(moved, 1)};
  }

  stats::Linearized macro_auroc(const results::Header& header, const Scores& scores) const {
    results::Result result;
    result.scores = by_label(scores, networks_.labels());
    return results::macro_auroc(header, result);
  }

  const Networks& networks_;
  const Variant& variant_;
  const Module& trained_;
  const std::vector<float>& pixels_;
  const std::size_t samples_;
  const bool probed_;
  const std::vector<nn::Statistics>& clean_;
  const Sets sets_;
  const std::vector<std::string> layers_;  // batch norms
  std::vector<std::function<void()>> tasks_;
  std::vector<results::LayerShift> shifts_;
  std::vector<Swap> swaps_;
  std::vector<Scores> swap_scores_, probe_scores_;  // of each swap; of each probe, and without
};

std::size_t plain_variant(const Networks& networks, std::size_t model) {
  const auto& all = networks.variants;
  const auto found = std::find_if(all.begin(), all.end(), [&](const Variant& variant) {
    return variant.model == model && variant.adaptation.scheme == Scheme::none;
  });
  return static_cast<std::size_t>(found - all.begin());
}

/// How many tasks a model has: those of a Case, before its pixels are there.
std::size_t count_tasks(const Plan& plan, std::size_t model, bool probed) {
  const auto& network = plan.networks.trained[model];
  const auto layers = nn::batch_norms(network).size();
  const auto n = plan.samples.size(), batch = plan.networks.batch_size();
  const auto sets = mixed_sets(n, swap_set, plan.seed, 0).size();
  return (is_measured(network, probed) ? 1 : 0) + (layers > 0 ? (4 + 2 * layers) * sets : 0) +
         (probed ? (std::size(probes) + 1) * ((n + batch - 1) / batch) : 0);
}

void run_tasks(const Case& one, int threads, Progress& progress) {
  std::size_t next = 0;
  ordered_pipeline(
      threads,
      [&]() -> std::optional<std::size_t> {
        return next < one.tasks().size() ? std::optional<std::size_t>(next++) : std::nullopt;
      },
      [&](std::size_t task) {
        throw_if_stopped();
        nn::configure_thread(1);
        one.tasks()[task]();
        return task;
      },
      [&](std::size_t) { progress.advance(); });
}

}  // namespace

std::vector<std::size_t> explained_conditions(const std::vector<std::string>& names,
                                              const std::vector<results::Condition>& conditions) {
  std::map<std::string, std::size_t> known;
  for (std::size_t c = 0; c < conditions.size(); ++c)
    if (conditions[c].part == results::Part::all) known[results::name(conditions[c])] = c;
  std::set<std::size_t> chosen;
  const auto choose = [&](const std::string& text) {
    const auto found = known.find(text);
    if (found == known.end()) {
      std::vector<std::string> all;
      for (const auto& [name, unused] : known) all.push_back(name);
      throw UsageError("--explain: " + unknown("condition of the grid", text, all));
    }
    chosen.insert(found->second);
  };
  choose(results::name(results::Condition{}));
  for (const auto& text : names) choose(text);
  return {chosen.begin(), chosen.end()};
}

std::vector<std::size_t> choose_explained(const dataset::SampleSet& samples, std::uint64_t seed) {
  return draw_samples(samples.size(), explained_samples, random_key(seed, {"explain"}));
}

dataset::SampleSet subset(const dataset::SampleSet& samples,
                          const std::vector<std::size_t>& chosen) {
  dataset::SampleSet some(samples.label_names());
  for (std::size_t i = 0; i < chosen.size();) {
    const auto image = samples.image_of(chosen[i]);
    auto entry = samples.images()[image];
    entry.samples.clear();
    for (; i < chosen.size() && samples.image_of(chosen[i]) == image; ++i)
      entry.samples.push_back(samples.sample(chosen[i]));
    some.add(std::move(entry));
  }
  return some;
}

void add_explained(Explained& explained, const Json& line, const std::string& name) {
  const auto index = [&](const char* key) {
    return static_cast<std::size_t>(integer_member(line, key, name));
  };
  explained[{index("condition"), index("model")}] =
      results::to_findings(member(line, "findings", name), name);
}

void explain(const Plan& plan, const results::Header& header,
             const std::vector<std::size_t>& conditions, Explained& explained,
             const std::function<void(const Json&)>& finished, const Messages& messages) {
  const auto models = plan.networks.trained.size();
  const auto probed = [&](std::size_t c) {
    return plan.conditions[c].kind == results::Kind::clean;
  };
  std::size_t total = 0;
  for (const auto c : conditions)
    for (std::size_t m = 0; m < models; ++m) total += count_tasks(plan, m, probed(c));
  Progress progress(messages, "explaining", static_cast<std::int64_t>(total));
  std::vector<std::vector<float>> clean_pixels;              // read when the first model needs them
  std::map<std::size_t, std::vector<nn::Statistics>> clean;  // of each model, likewise
  const auto clean_statistics = [&](std::size_t model, const Variant& variant) {
    if (clean.count(model) != 0) return;
    if (clean_pixels.empty()) clean_pixels = pixels_under(plan, conditions.front());
    clean[model] = measure(plan.networks, variant, clean_pixels[variant.preprocess],
                           mixed_sets(plan.samples.size(), swap_set, plan.seed, 0));
  };
  for (const auto c : conditions) {
    std::vector<std::vector<float>> pixels;  // likewise
    for (std::size_t m = 0; m < models; ++m) {
      const auto tasks = count_tasks(plan, m, probed(c));
      if (explained.count({c, m}) != 0) progress.advance(static_cast<std::int64_t>(tasks));
      if (tasks == 0 || explained.count({c, m}) != 0) continue;
      if (pixels.empty()) pixels = pixels_under(plan, c);
      const auto& variant = plan.networks.variants[plain_variant(plan.networks, m)];
      static const std::vector<nn::Statistics> none;
      const bool compared = !probed(c) && is_measured(plan.networks.trained[m], false);
      if (compared) clean_statistics(m, variant);
      Case one(plan, variant, pixels[variant.preprocess], probed(c), compared ? clean[m] : none);
      run_tasks(one, plan.threads, progress);
      const auto& findings = explained[{c, m}] = one.findings(header);
      finished({{"condition", c}, {"model", m}, {"findings", results::to_json(findings)}});
    }
  }
}

}  // namespace mr::eval
