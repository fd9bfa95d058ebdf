// results/: why a model fails under a condition: what its batch norms are given, what is repaired
// when they normalise with it, and how its scores answer to exact changes of the input.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "stats/contrast.h"
#include "stats/influence.h"

namespace mr::results {

/// Of the channels of a layer; absent where none counts, or where it is infinite.
struct Spread {
  std::optional<double> median, p95;  // percentiles of type 7 of Hyndman and Fan 1996
};

/// The input of one norm layer under a condition (t) against a reference (s): mean mu, variance v
/// of each channel, over samples and positions.
///   shift     |mu_t - mu_s| / sqrt(v_s + eps)
///   log_gain  |ln r|, r = sqrt((v_t + eps) / (v_s + eps)): the layer's output has mean weight x
///             shift + bias and standard deviation |weight| r
///   kl        [ln(v_s / v_t) + (v_t + (mu_t - mu_s)^2) / v_s - 1] / 2, of normal distributions, t
///             from s (Kullback and Leibler 1951)
///   w2        [(mu_t - mu_s)^2 + (sqrt v_t - sqrt v_s)^2] / v_s: the squared 2-Wasserstein
///   distance
///             of normal distributions (Dowson and Landau 1982, eq. 4) in units of v_s
/// Channels with v_s < 10 eps are left out of kl and w2, which v_s divides.
struct LayerShift {
  /// running: what a batch norm normalises with. clean: the input from the same samples without the
  /// condition, of norms that take their statistics from each image
  enum class Reference { running, clean };
  std::string name;
  Reference reference = Reference::running;
  std::int64_t channels = 0;
  std::int64_t below_eps = 0, below_10_eps = 0;  // channels with v_s < eps, < 10 eps
  Spread shift, log_gain, kl, w2;
};

/// The channels' means and variances of one layer.
struct ChannelStatistics {
  std::vector<double> mean, variance;
};

const char* name(LayerShift::Reference reference);  // "running", "clean"

/// condition, of_reference  as many channels each
LayerShift compare_statistics(const std::string& layer, const ChannelStatistics& condition,
                              LayerShift::Reference reference,
                              const ChannelStatistics& of_reference, double eps);

/// A macro AUROC and its difference from that of the network as it is, on the same samples; with
/// 95 % intervals over subjects, given this network.
struct Effect {
  stats::Estimate auroc, change;
};

/// On the same subjects; paired.
Effect effect(const stats::Linearized& changed, const stats::Linearized& as_it_is);

/// Which batch norms normalise with the condition's own statistics in place of the running ones.
struct Swap : Effect {
  enum class Kind { none, all, mean, variance, only, all_but };
  Kind kind = Kind::none;
  std::string layer;  // of only and all_but
};
const char* name(Swap::Kind kind);  // "none", "all", "mean", "variance", "only", "all_but"

/// x -> gain x + offset of the network's input.
struct Probe : Effect {
  double gain = 1, offset = 0;
  /// Of |change of the logit|, over samples and labels; absent where it is infinite.
  std::optional<double> median, maximum;
};

struct Findings {
  std::int64_t samples = 0;        // that they rest on
  std::vector<LayerShift> layers;  // in the order in which they are run; of clean images those of
                                   // batch norms alone
  std::vector<Swap> swaps;         // none without batch norm
  std::vector<Probe> probes;       // of clean images alone
};

/// Percentile `share` (0..1) of values; type 7 of Hyndman and Fan 1996. None where there are no
/// values, or where it is infinite.
std::optional<double> quantile(std::vector<double> values, double share);

Json to_json(const Findings& findings);
/// throws DataError that begins with `where`
Findings to_findings(const Json& json, const std::string& where);

}  // namespace mr::results
