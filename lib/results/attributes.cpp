#include "results/attributes.h"

#include <set>

#include "base/error.h"
#include "base/text.h"

namespace mr::results {

std::vector<std::string> attribute_names(const Samples& samples) {
  std::set<std::string> names;
  for (const auto& image : samples.attributes.value("images", Json::array()))
    for (const auto& [name, value] : image.items()) names.insert(name);
  return {names.begin(), names.end()};
}

std::vector<Json> attribute_of_samples(const Samples& samples, const std::string& attribute) {
  std::vector<Json> values;
  try {
    const auto images = samples.attributes.value("images", Json::array());
    for (const auto image : samples.attributes.value("sample_image", std::vector<std::size_t>()))
      values.push_back(images.at(image).value(attribute, Json()));
  } catch (const Json::exception&) {
    values.clear();
  }
  if (values.size() != samples.sample_ids.size())
    throw DataError("attributes: want the index of an image for each sample in sample_image");
  return values;
}

std::string attribute_text(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_float() ? shortest(value.get<double>()) : to_line(value);
}

}  // namespace mr::results
