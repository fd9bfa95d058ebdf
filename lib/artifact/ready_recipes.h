// Recipes by name: simulated scanners, patients and sequences.
#pragma once
#include <string>
#include <vector>

#include "artifact/recipe.h"

namespace mr::artifact {

struct ReadyRecipe {
  std::string name;     // "restless-patient"
  std::string summary;  // one line
  std::string text;     // mr-recipe/1
};
const std::vector<ReadyRecipe>& ready_recipes();
std::vector<std::string> ready_recipe_names();

/// A file of that path, else a ready recipe of that name.
/// throws MissingInputError that names the ready recipes; DataError as recipe_from_json
Recipe read_recipe(const std::string& path_or_name);

}  // namespace mr::artifact
