// Recipes: from the command line, from JSON, and back.
#include "artifact/recipe.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace mr::artifact {
namespace {

double parse_number(const std::string& text, const std::string& what) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || std::isnan(value))
    throw UsageError(what + ": want a number, got '" + text + "'");
  return value;
}

/// Numbers that a distribution is sure to stay between or to take. What has no bounds is kept
/// within the parameter's range when it is drawn; its median or mean must lie there.
std::vector<double> bounds(const Distribution& d) {
  const bool bounded =
      d.kind == Distribution::Kind::uniform || d.kind == Distribution::Kind::choice;
  return bounded ? d.numbers : std::vector<double>{d.numbers[0]};
}

/// Names, severity and values of a step; throws UsageError.
void check(const Step& step) {
  const auto& row = find(step.artifact);
  if (step.severity) at_severity(row, *step.severity);
  check_values(row, step.parameters);
  for (const auto& [name, distribution] : step.distributions)
    for (const double value : bounds(distribution)) {
      if (name == "severity")
        at_severity(row, value);
      else
        check_values(row, {{name, value}});
    }
}

/// A fixed number, or a distribution kept under `name`.
std::optional<double> value_or_distribution(const Json& value, const std::string& name,
                                            const std::string& where, Step& step) {
  if (value.is_number()) return value.get<double>();
  step.distributions[name] = Distribution::from_json(value, where + ": " + name);
  return std::nullopt;
}

Step step_from_json(const Json& object, const std::string& where) {
  Step step;
  step.artifact = string_member(object, "artifact", where);
  for (const auto& [key, value] : object.items()) {
    if (key == "severity") {
      step.severity = value_or_distribution(value, "severity", where, step);
    } else if (key == "parameters") {
      if (!value.is_object())
        throw DataError(where + ": parameters: want an object, got " + excerpt(value));
      for (const auto& [name, parameter] : value.items())
        if (const auto number = value_or_distribution(parameter, name, where, step))
          step.parameters[name] = *number;
    } else if (key == "probability") {
      step.probability = Probability::from_json(value, where + ": probability");
    } else if (key != "artifact") {
      throw DataError(
          where + ": " +
          unknown("member", key, {"artifact", "severity", "parameters", "probability"}));
    }
  }
  try {
    check(step);
  } catch (const UsageError& e) {
    throw DataError(where + ": " + e.what());
  }
  return step;
}

Gain parse_gain(const std::string& text, const std::string& name) {
  if (text == "keep") return Gain::keep;
  if (text == "match") return Gain::match;
  throw DataError(name + ": gain: " + unknown("policy", text, {"keep", "match"}));
}

}  // namespace

Step parse_step(const std::string& text) {
  const auto parts = split(text, ',');
  const auto colon = parts[0].find(':');
  Step step;
  step.artifact = parts[0].substr(0, colon);
  find(step.artifact);
  if (colon != std::string::npos)
    step.severity = parse_number(parts[0].substr(colon + 1), step.artifact + ": severity");
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto equals = parts[i].find('=');
    if (equals == std::string::npos)
      throw UsageError(step.artifact + ": want PARAMETER=VALUE, got '" + parts[i] + "'");
    const auto name = parts[i].substr(0, equals);
    step.parameters[name] = parse_number(parts[i].substr(equals + 1), step.artifact + ": " + name);
  }
  if (!step.severity && step.parameters.empty()) step.severity = 2;
  check(step);
  return step;
}

Recipe parse_preset(const std::string& text, const std::vector<std::string>& artifacts) {
  const std::string name = "mri-robustness", usage =
                                                 "--preset: want mri-robustness:N, N a whole "
                                                 "number of percent >= 0, got '" +
                                                 text + "'";
  const auto colon = text.find(':');
  if (colon == std::string::npos || text.substr(0, colon) != name) throw UsageError(usage);
  const double percent = parse_number(text.substr(colon + 1), "--preset " + name);
  if (percent < 0 || percent != std::floor(percent)) throw UsageError(usage);
  const std::vector<std::string> published = {"rician", "motion", "ghosting", "spike", "bias"};
  Recipe recipe;
  for (const auto& artifact : artifacts) {
    if (std::find(published.begin(), published.end(), artifact) == published.end())
      throw UsageError("--preset " + name + ": " + unknown("artifact", artifact, published));
    recipe.steps.push_back({"ref-" + artifact, std::nullopt, {{"percent", percent}}});
    check(recipe.steps.back());
  }
  return recipe;
}

Recipe recipe_from_json(const Json& document, const std::string& name) {
  require_schema(document, "mr-recipe/1", name);
  const auto& steps = member(document, "steps", name);
  if (!steps.is_array()) throw DataError(name + ": steps: want a list, got " + excerpt(steps));
  Recipe recipe;
  for (std::size_t i = 0; i < steps.size(); ++i)
    recipe.steps.push_back(step_from_json(steps[i], name + ": steps[" + std::to_string(i) + "]"));
  if (document.contains("per")) recipe.per = string_member(document, "per", name);
  if (document.contains("unit")) recipe.unit = string_member(document, "unit", name);
  if (document.contains("seed")) {
    const auto seed = integer_member(document, "seed", name);
    if (seed < 0) throw DataError(name + ": seed: want 0 or more, got " + std::to_string(seed));
    recipe.seed = static_cast<std::uint64_t>(seed);
  }
  if (document.contains("gain"))
    recipe.gain = parse_gain(string_member(document, "gain", name), name);
  return recipe;
}

Json to_json(const Recipe& recipe) {
  Json steps = Json::array();
  for (const auto& step : recipe.steps) {
    Json object = {{"artifact", step.artifact}};
    if (step.severity) object["severity"] = *step.severity;
    for (const auto& [name, value] : step.parameters) object["parameters"][name] = value;
    for (const auto& [name, distribution] : step.distributions)
      (name == "severity" ? object["severity"] : object["parameters"][name]) =
          to_json(distribution);
    if (step.probability) object["probability"] = to_json(*step.probability);
    steps.push_back(object);
  }
  Json document = {{"schema", "mr-recipe/1"}, {"per", recipe.per}};
  if (recipe.seed) document["seed"] = *recipe.seed;
  if (recipe.unit) document["unit"] = *recipe.unit;
  if (recipe.gain == Gain::match) document["gain"] = "match";
  document["steps"] = std::move(steps);
  return document;
}

std::vector<std::string> levels(const Recipe& recipe) {
  std::set<std::string> all = {recipe.per};
  const auto add = [&](const Spread& spread) {
    for (const auto& [level, unused] : spread) all.insert(level);
  };
  for (const auto& step : recipe.steps) {
    for (const auto& [unused, distribution] : step.distributions) {
      all.insert(distribution.per);
      add(distribution.spread);
    }
    if (step.probability) add(step.probability->logit_spread);
  }
  all.erase("");
  all.erase("image");
  return {all.begin(), all.end()};
}

Recipe resolved(const Recipe& recipe, const Json& record, std::uint64_t seed,
                const std::string& unit) {
  Recipe done;
  done.gain = recipe.gain;
  done.seed = seed;
  done.unit = unit;
  for (std::size_t i = 0; i < recipe.steps.size(); ++i) {
    Step step{recipe.steps[i].artifact, std::nullopt, {}};
    if (record[i].contains("severity")) step.severity = record[i]["severity"].get<double>();
    for (const auto& [name, value] : record[i]["parameters"].items())
      if (value.is_number() && std::isfinite(value.get<double>()))
        step.parameters[name] = value.get<double>();
    if (record[i]["slices"] == "none") step.probability = Probability{0};
    done.steps.push_back(std::move(step));
  }
  return done;
}

}  // namespace mr::artifact
