#include "eval/foreign.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "dataset/preprocess.h"
#include "stats/threshold.h"

namespace mr::eval {
namespace {

Output parse_output(const std::string& text, const std::string& path) {
  if (text == "logit") return Output::logit;
  if (text == "probability") return Output::probability;
  if (text == "two_logit") return Output::two_logit;
  throw DataError(path + ": " + unknown("output", text, {"logit", "probability", "two_logit"}));
}

}  // namespace

Foreign read_foreign(const std::string& path, const std::string& model,
                     const std::vector<std::string>& labels) {
  const auto json = read_json(path);
  require_schema(json, "mr-foreign/1", path);
  Foreign foreign;
  foreign.output = parse_output(string_member(json, "output", path), path);
  if (json.contains("channels"))
    foreign.channels = static_cast<int>(integer_member(json, "channels", path));
  if (foreign.channels < 1 || foreign.channels > 64)
    throw DataError(path + ": channels: want 1 to 64, got " + std::to_string(foreign.channels));
  const auto preprocess =
      dataset::preprocess_from_json(member(json, "preprocessing", path), path + ": preprocessing");
  if (foreign.channels > 1 && (preprocess.neighbours > 1 || preprocess.depth))
    throw DataError(path + ": channels: only of single slices");
  std::string rule = "sens>=0.90";
  if (json.contains("operating_rule")) rule = string_member(json, "operating_rule", path);
  try {
    rule = stats::name(stats::parse_operating_rule(rule));
  } catch (const UsageError& e) {
    throw DataError(path + ": " + e.what());
  }
  Json points = Json::array();
  for (const auto& label : labels)
    points.push_back({{"label", label}, {"rule", rule}, {"threshold", nullptr}});
  foreign.info = {
      {"normalization", json.contains("normalization") ? string_member(json, "normalization", path)
                                                       : file_stem(model)},
      {"labels", labels},
      {"preprocessing", dataset::to_json(preprocess)},
      {"training", {{"seed", json.contains("run") ? integer_member(json, "run", path) : 0}}},
      {"operating_points", std::move(points)},
      {"foreign", json}};
  return foreign;
}

}  // namespace mr::eval
