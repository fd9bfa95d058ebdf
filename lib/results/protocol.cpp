#include "results/protocol.h"

#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "stats/decision.h"

namespace mr::results {
namespace {

constexpr const char* schema = "mr-protocol/1";

void require(bool holds, const std::string& name, const std::string& what, double got) {
  if (!holds) throw DataError(name + ": want " + what + ", got " + shortest(got));
}

}  // namespace

Json to_json(const Rule& rule) {
  return {{"margin", rule.margin},
          {"guard", rule.guard},
          {"alpha", rule.alpha},
          {"sensitivity_floor", rule.sensitivity_floor},
          {"alarm_rate_cap", rule.alarm_rate_cap},
          {"up_to_severity", rule.up_to_severity}};
}

void check(const Protocol& protocol, const std::string& name) {
  const auto& r = protocol.rule;
  require(r.margin > 0 && r.margin < 0.5, name, "a margin above 0 and below 0.5", r.margin);
  require(r.guard > 0 && r.guard < 0.5, name, "a guard above 0 and below 0.5", r.guard);
  require(r.alpha > 0 && r.alpha < 0.5, name, "an alpha above 0 and below 0.5", r.alpha);
  require(r.sensitivity_floor >= 0 && r.sensitivity_floor <= 1, name,
          "a sensitivity floor of 0 to 1", r.sensitivity_floor);
  require(r.alarm_rate_cap >= 0 && r.alarm_rate_cap <= 1, name, "an alarm rate cap of 0 to 1",
          r.alarm_rate_cap);
  require(r.up_to_severity >= 0 && r.up_to_severity <= 5, name, "a severity of 0 to 5",
          r.up_to_severity);
  require(protocol.standard_error > 0 && protocol.standard_error < 0.5, name,
          "a standard error above 0 and below 0.5", protocol.standard_error);
  require(protocol.difference > 0 && protocol.difference < 0.5, name,
          "a difference above 0 and below 0.5", protocol.difference);
  for (const double s : protocol.severities)
    require(s > 0 && s <= 5, name, "severities above 0, to 5", s);
  if (protocol.baseline.empty()) throw DataError(name + ": want a baseline");
  if (protocol.artifacts.empty() || protocol.severities.empty())
    throw DataError(name + ": want artifacts and severities");
  if (std::set<std::string>(protocol.artifacts.begin(), protocol.artifacts.end()).size() !=
      protocol.artifacts.size())
    throw DataError(name + ": an artifact is named twice");
}

double non_inferiority_power(const Protocol& protocol) {
  return stats::power(protocol.rule.margin, protocol.standard_error, protocol.rule.alpha);
}

double superiority_power(const Protocol& protocol) {
  return stats::power(protocol.difference, protocol.standard_error, protocol.rule.alpha);
}

Json to_json(const Protocol& protocol) {
  return {{"schema", schema},
          {"endpoint",
           {{"metric", "auroc"},
            {"unit", name(protocol.level)},
            {"pool", name(protocol.pool)},
            {"mean_over", {"severities", "artifacts", "labels", "runs"}},
            {"artifacts", protocol.artifacts},
            {"severities", protocol.severities}}},
          {"baseline", protocol.baseline},
          {"rule", to_json(protocol.rule)},
          {"plan",
           {{"standard_error", protocol.standard_error},
            {"difference", protocol.difference},
            {"power_non_inferiority", non_inferiority_power(protocol)},
            {"power_superiority", superiority_power(protocol)}}}};
}

Protocol read_protocol(const std::string& path) {
  const auto text = read_all(path);
  if (text.find("\"mr-protocol/") == std::string::npos)
    throw DataError(path + ": not a protocol (" + schema + ")");
  const auto json = parse_json(text, path);
  require_schema(json, schema, path);
  const auto& endpoint = member(json, "endpoint", path);
  const auto& rule = member(json, "rule", path);
  const auto& plan = member(json, "plan", path);
  Protocol p;
  p.baseline = string_member(json, "baseline", path);
  try {
    p.artifacts = member(endpoint, "artifacts", path).get<std::vector<std::string>>();
    p.severities = member(endpoint, "severities", path).get<std::vector<double>>();
  } catch (const Json::exception&) {
    throw DataError(path + ": endpoint: want artifacts (texts) and severities (numbers)");
  }
  if (string_member(endpoint, "metric", path) != "auroc")
    throw DataError(path + ": endpoint: want metric auroc, which is all there is");
  try {
    p.level = parse_level(string_member(endpoint, "unit", path));
    p.pool = parse_pool(string_member(endpoint, "pool", path));
  } catch (const UsageError& e) {
    throw DataError(path + ": endpoint: " + e.what());
  }
  p.rule.margin = number_member(rule, "margin", path);
  p.rule.guard = number_member(rule, "guard", path);
  p.rule.alpha = number_member(rule, "alpha", path);
  p.rule.sensitivity_floor = number_member(rule, "sensitivity_floor", path);
  p.rule.alarm_rate_cap = number_member(rule, "alarm_rate_cap", path);
  p.rule.up_to_severity = number_member(rule, "up_to_severity", path);
  p.standard_error = number_member(plan, "standard_error", path);
  p.difference = number_member(plan, "difference", path);
  check(p, path);
  return p;
}

}  // namespace mr::results
