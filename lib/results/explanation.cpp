#include "results/explanation.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "results/measure.h"

namespace mr::results {
namespace {

constexpr Swap::Kind swap_kinds[] = {Swap::Kind::none,     Swap::Kind::all,  Swap::Kind::mean,
                                     Swap::Kind::variance, Swap::Kind::only, Swap::Kind::all_but};

Spread spread(const std::vector<double>& values) {
  return {quantile(values, 0.5), quantile(values, 0.95)};
}

Json to_json(const Spread& spread) {
  return {{"median", or_null(spread.median)}, {"p95", or_null(spread.p95)}};
}

std::optional<double> optional_number(const Json& object, const char* key,
                                      const std::string& where) {
  if (member(object, key, where).is_null()) return {};
  return number_member(object, key, where);
}

Spread to_spread(const Json& object, const char* key, const std::string& where) {
  const auto& json = member(object, key, where);
  return {optional_number(json, "median", where), optional_number(json, "p95", where)};
}

Json to_json(const LayerShift& layer) {
  return {{"name", layer.name},
          {"reference", name(layer.reference)},
          {"channels", layer.channels},
          {"below_eps", layer.below_eps},
          {"below_10_eps", layer.below_10_eps},
          {"shift", to_json(layer.shift)},
          {"log_gain", to_json(layer.log_gain)},
          {"kl", to_json(layer.kl)},
          {"w2", to_json(layer.w2)}};
}

LayerShift to_layer(const Json& json, const std::string& where) {
  using Reference = LayerShift::Reference;
  const bool clean = json.contains("reference") && json["reference"] == name(Reference::clean);
  return {string_member(json, "name", where),
          clean ? Reference::clean : Reference::running,
          integer_member(json, "channels", where),
          integer_member(json, "below_eps", where),
          integer_member(json, "below_10_eps", where),
          to_spread(json, "shift", where),
          to_spread(json, "log_gain", where),
          to_spread(json, "kl", where),
          to_spread(json, "w2", where)};
}

stats::Estimate to_estimate(const Json& object, const char* key, const std::string& where) {
  const auto& json = member(object, key, where);
  stats::Estimate estimate;
  estimate.value = optional_number(json, "value", where);
  estimate.low = optional_number(json, "low", where);
  estimate.high = optional_number(json, "high", where);
  if (json.contains("reason")) estimate.reason = string_member(json, "reason", where);
  return estimate;
}

void put(Json& json, const Effect& effect) {
  json["auroc"] = interval_json(effect.auroc);
  json["change"] = interval_json(effect.change);
}

Effect to_effect(const Json& json, const std::string& where) {
  return {to_estimate(json, "auroc", where), to_estimate(json, "change", where)};
}

Json to_json(const Swap& swap) {
  Json json{{"swap", name(swap.kind)}};
  if (!swap.layer.empty()) json["layer"] = swap.layer;
  put(json, swap);
  return json;
}

Swap to_swap(const Json& json, const std::string& where) {
  const auto text = string_member(json, "swap", where);
  for (const auto kind : swap_kinds) {
    if (text != name(kind)) continue;
    Swap swap{to_effect(json, where), kind, ""};
    if (json.contains("layer")) swap.layer = string_member(json, "layer", where);
    return swap;
  }
  throw DataError(where + ": unknown swap '" + text + "'");
}

Json to_json(const Probe& probe) {
  Json json{{"gain", probe.gain},
            {"offset", probe.offset},
            {"median", or_null(probe.median)},
            {"maximum", or_null(probe.maximum)}};
  put(json, probe);
  return json;
}

Probe to_probe(const Json& json, const std::string& where) {
  return {to_effect(json, where), number_member(json, "gain", where),
          number_member(json, "offset", where), optional_number(json, "median", where),
          optional_number(json, "maximum", where)};
}

template <typename Part>
Json array(const std::vector<Part>& parts) {
  Json json = Json::array();
  for (const auto& part : parts) json.push_back(to_json(part));
  return json;
}

}  // namespace

std::optional<double> quantile(std::vector<double> values, double share) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const auto above = std::min(below + 1, values.size() - 1);
  const double part = place - static_cast<double>(below);
  // Not a weighted sum of both: 0 times infinity is no number.
  const double value =
      part > 0 ? values[below] + part * (values[above] - values[below]) : values[below];
  return std::isfinite(value) ? std::optional<double>(value) : std::nullopt;
}

const char* name(LayerShift::Reference reference) {
  return reference == LayerShift::Reference::running ? "running" : "clean";
}

LayerShift compare_statistics(const std::string& layer, const ChannelStatistics& condition,
                              LayerShift::Reference reference,
                              const ChannelStatistics& of_reference, double eps) {
  LayerShift result;
  result.name = layer;
  result.reference = reference;
  result.channels = static_cast<std::int64_t>(of_reference.mean.size());
  std::vector<double> shift, log_gain, kl, w2;
  for (std::size_t c = 0; c < of_reference.mean.size(); ++c) {
    const double v_s = of_reference.variance[c], v_t = condition.variance[c];
    const double moved = condition.mean[c] - of_reference.mean[c];
    shift.push_back(std::abs(moved) / std::sqrt(v_s + eps));
    log_gain.push_back(std::abs(0.5 * std::log((v_t + eps) / (v_s + eps))));
    result.below_eps += v_s < eps;
    result.below_10_eps += v_s < 10 * eps;
    if (v_s < 10 * eps) continue;
    const double widened = std::sqrt(v_t) - std::sqrt(v_s);
    kl.push_back(0.5 * (std::log(v_s / v_t) + (v_t + moved * moved) / v_s - 1));
    w2.push_back((moved * moved + widened * widened) / v_s);
  }
  result.shift = spread(shift);
  result.log_gain = spread(log_gain);
  result.kl = spread(kl);
  result.w2 = spread(w2);
  return result;
}

Effect effect(const stats::Linearized& changed, const stats::Linearized& as_it_is) {
  auto difference = changed;
  if (changed.value && as_it_is.value) {
    *difference.value -= *as_it_is.value;
    for (std::size_t p = 0; p < difference.influence.size(); ++p)
      difference.influence[p] -= as_it_is.influence[p];
  }
  return {estimate(changed, stats::Scale::logit), estimate(difference, stats::Scale::plain)};
}

const char* name(Swap::Kind kind) {
  static constexpr const char* names[] = {"none", "all", "mean", "variance", "only", "all_but"};
  return names[static_cast<std::size_t>(kind)];
}

Json to_json(const Findings& findings) {
  return {{"samples", findings.samples},
          {"layers", array(findings.layers)},
          {"swaps", array(findings.swaps)},
          {"probes", array(findings.probes)}};
}

Findings to_findings(const Json& json, const std::string& where) {
  Findings findings;
  findings.samples = integer_member(json, "samples", where);
  for (const auto& layer : member(json, "layers", where))
    findings.layers.push_back(to_layer(layer, where));
  for (const auto& swap : member(json, "swaps", where))
    findings.swaps.push_back(to_swap(swap, where));
  for (const auto& probe : member(json, "probes", where))
    findings.probes.push_back(to_probe(probe, where));
  return findings;
}

}  // namespace mr::results
