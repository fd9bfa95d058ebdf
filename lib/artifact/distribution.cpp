#include "artifact/distribution.h"

#include <algorithm>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace mr::artifact {
namespace {

constexpr const char* forms =
    ": want a number, {\"uniform\": [low, high]}, {\"choice\": [...]}, {\"lognormal\": "
    "{\"median\", "
    "\"log_sd\"}} or {\"gamma\": {\"mean\", \"shape\"}}, got ";

double positive(const Json& object, const char* name, const std::string& where) {
  const double value = number_member(object, name, where);
  if (!(value > 0))
    throw DataError(where + ": " + name + ": want a number > 0, got " + excerpt(value));
  return value;
}

double deviation(const Json& value, const std::string& where) {
  if (value.is_number() && value.get<double>() >= 0) return value.get<double>();
  throw DataError(where + ": want a standard deviation >= 0, or one for each level, got " +
                  excerpt(value));
}

/// A number, of the recipe's unit, or {"site": 0.25, "scanner": 0.15}.
Spread spread_from_json(const Json& value, const std::string& where) {
  if (!value.is_object()) return {{"", deviation(value, where)}};
  Spread spread;
  for (const auto& [level, sd] : value.items()) spread[level] = deviation(sd, where + ": " + level);
  return spread;
}

Json spread_to_json(const Spread& spread) {
  if (spread.size() == 1 && spread.begin()->first.empty()) return spread.begin()->second;
  return Json(spread);
}

double deviate(const Spread& spread, const LevelKey& key) {
  double sum = 0;
  for (const auto& [level, sd] : spread) sum += sd * normal(key(level), 0);
  return sum;
}

void refuse_other_members(const Json& object, const std::vector<std::string>& known,
                          const std::string& where) {
  for (const auto& [name, unused] : object.items())
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw DataError(where + ": " + unknown("member", name, known));
}

std::vector<double> numbers_of(const Json& list, const std::string& where, const Json& object) {
  if (!list.is_array()) throw DataError(where + forms + excerpt(object));
  std::vector<double> numbers;
  for (const auto& value : list) {
    if (!value.is_number()) throw DataError(where + forms + excerpt(value));
    numbers.push_back(value.get<double>());
  }
  return numbers;
}

}  // namespace

Distribution Distribution::from_json(const Json& object, const std::string& where) {
  if (!object.is_object()) throw DataError(where + forms + excerpt(object));
  Distribution d;
  if (object.contains("per")) d.per = string_member(object, "per", where);
  const auto kinds = object.contains("uniform") + object.contains("choice") +
                     object.contains("lognormal") + object.contains("gamma");
  if (kinds != 1) throw DataError(where + forms + excerpt(object));
  if (object.contains("uniform")) {
    d.numbers = numbers_of(object["uniform"], where, object);
    if (d.numbers.size() != 2 || d.numbers[0] > d.numbers[1])
      throw DataError(where + ": uniform: want [low, high], got " + excerpt(object["uniform"]));
    refuse_other_members(object, {"uniform", "per"}, where);
  } else if (object.contains("choice")) {
    d.kind = Kind::choice;
    d.numbers = numbers_of(object["choice"], where, object);
    if (d.numbers.empty()) throw DataError(where + ": choice: want at least one number");
    refuse_other_members(object, {"choice", "per"}, where);
  } else if (object.contains("lognormal")) {
    d.kind = Kind::lognormal;
    const auto& of = object["lognormal"];
    const auto place = where + ": lognormal";
    d.numbers = {positive(of, "median", place)};
    d.spread = spread_from_json(member(of, "log_sd", place), place + ": log_sd");
    refuse_other_members(of, {"median", "log_sd"}, place);
    refuse_other_members(object, {"lognormal"}, where);
  } else {
    d.kind = Kind::gamma;
    const auto& of = object["gamma"];
    const auto place = where + ": gamma";
    d.numbers = {positive(of, "mean", place), positive(of, "shape", place)};
    refuse_other_members(of, {"mean", "shape"}, place);
    refuse_other_members(object, {"gamma", "per"}, where);
  }
  return d;
}

Json to_json(const Distribution& d) {
  Json json;
  switch (d.kind) {
    case Distribution::Kind::uniform:
      json = {{"uniform", d.numbers}};
      break;
    case Distribution::Kind::choice:
      json = {{"choice", d.numbers}};
      break;
    case Distribution::Kind::lognormal:
      json = {{"lognormal", {{"median", d.numbers[0]}, {"log_sd", spread_to_json(d.spread)}}}};
      break;
    case Distribution::Kind::gamma:
      json = {{"gamma", {{"mean", d.numbers[0]}, {"shape", d.numbers[1]}}}};
      break;
  }
  if (!d.per.empty()) json["per"] = d.per;
  return json;
}

double draw(const Distribution& d, const LevelKey& key) {
  const auto& n = d.numbers;
  switch (d.kind) {
    case Distribution::Kind::uniform:
      return uniform(key(d.per), 0, n[0], n[1]);
    case Distribution::Kind::choice:
      return n[below(key(d.per), 0, n.size())];
    case Distribution::Kind::lognormal:
      return n[0] * std::exp(deviate(d.spread, key));
    case Distribution::Kind::gamma:
      return n[0] / n[1] * boost::math::gamma_p_inv(n[1], uniform(key(d.per), 0));
  }
  throw Error(ExitStatus::internal, "no such distribution");
}

Probability Probability::from_json(const Json& value, const std::string& where) {
  const auto checked = [&](const Json& number) {
    if (number.is_number() && number.get<double>() >= 0 && number.get<double>() <= 1)
      return number.get<double>();
    throw DataError(where + ": want 0..1, got " + excerpt(number));
  };
  if (!value.is_object()) return {checked(value)};
  refuse_other_members(value, {"median", "logit_sd"}, where);
  return {checked(member(value, "median", where)),
          spread_from_json(member(value, "logit_sd", where), where + ": logit_sd")};
}

Json to_json(const Probability& p) {
  if (p.logit_spread.empty()) return p.median;
  return {{"median", p.median}, {"logit_sd", spread_to_json(p.logit_spread)}};
}

double draw(const Probability& p, const LevelKey& key) {
  if (p.logit_spread.empty() || p.median == 0 || p.median == 1) return p.median;
  const double odds = p.median / (1 - p.median) * std::exp(deviate(p.logit_spread, key));
  return odds / (1 + odds);
}

}  // namespace mr::artifact
