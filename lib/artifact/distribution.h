// Numbers that a recipe draws instead of stating them.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/random.h"

namespace mr::artifact {

/// Key of a draw that all images of one unit of a level share: "image", "subject" or an attribute
/// such as "scanner"; "" stands for the recipe's own unit.
using LevelKey = std::function<RandomKey(const std::string& level)>;

/// A sum of independent normal deviates, one for each level of the hierarchy: its standard
/// deviation there. The variance of a level's share is its square over the sum of squares, and two
/// images that share units down to a level correlate by the sum of the shares down to it.
using Spread = std::map<std::string, double>;

/// One of four kinds:
///   uniform    in [numbers[0], numbers[1]]
///   choice     one of the numbers, all alike
///   lognormal  median numbers[0], standard deviation of the logarithm by level: `spread`
///   gamma      mean numbers[0], shape numbers[1] (the variance is mean^2 / shape)
struct Distribution {
  enum class Kind { uniform, choice, lognormal, gamma } kind = Kind::uniform;
  std::vector<double> numbers;
  Spread spread = {};
  std::string per = {};  // level that shares the draw, but for lognormal, whose spread names them

  /// throws DataError "WHERE: ..."
  static Distribution from_json(const Json& object, const std::string& where);
};
Json to_json(const Distribution& distribution);

/// Source for gamma: the inverse of its cumulative distribution at a uniform deviate.
double draw(const Distribution& distribution, const LevelKey& key);

/// That a unit gets a step: logit(p) = logit(median) + normal deviates of the levels.
struct Probability {
  double median = 1;
  Spread logit_spread = {};

  static Probability from_json(const Json& value, const std::string& where);
};
Json to_json(const Probability& probability);

/// p, from the deviates of the levels.
double draw(const Probability& probability, const LevelKey& key);

}  // namespace mr::artifact
