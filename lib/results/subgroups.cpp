#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "results/contrasts.h"

namespace mr::results {
namespace {

constexpr std::size_t most_values = 20;

std::string text_of(const Json& image, const std::string& attribute) {
  const auto found = image.find(attribute);
  if (found == image.end() || found->is_null()) return "";
  if (found->is_string()) return found->get<std::string>();
  return found->is_number_float() ? shortest(found->get<double>()) : to_line(*found);
}

Subgroup make_subgroup(const Header& header, const std::string& attribute, const std::string& value,
                       const std::vector<std::string>& of_sample) {
  Subgroup group{attribute, value, header.truth, {}, 0, 0};
  std::set<std::int32_t> subjects;
  for (std::size_t i = 0; i < of_sample.size(); ++i) {
    if (of_sample[i] == value) {
      ++group.samples;
      subjects.insert(header.sample_subject[i]);
      continue;
    }
    for (auto& truth : group.truth) truth[i] = -1;
  }
  group.subjects = subjects.size();
  for (const auto& truth : group.truth)
    group.counts.push_back(stats::count(truth, header.sample_subject,
                                        static_cast<std::int32_t>(header.subjects.size())));
  return group;
}

}  // namespace

std::vector<Subgroup> make_subgroups(const Header& header, const std::vector<std::string>& by) {
  std::vector<Subgroup> groups;
  if (by.empty()) return groups;
  const auto images = header.attributes.value("images", Json::array());
  const auto image_of = header.attributes.value("sample_image", std::vector<std::size_t>());
  std::set<std::string> known;
  for (const auto& image : images)
    for (const auto& [attribute, value] : image.items()) known.insert(attribute);
  for (const auto& attribute : by) {
    if (!known.count(attribute))
      throw UsageError("--by: " + unknown("attribute", attribute, {known.begin(), known.end()}));
    std::vector<std::string> of_sample;
    for (std::size_t i = 0; i < header.sample_ids.size(); ++i)
      of_sample.push_back(text_of(images.at(image_of.at(i)), attribute));
    const std::set<std::string> values(of_sample.begin(), of_sample.end());
    if (values.size() > most_values)
      throw UsageError("--by: " + attribute + " has " + std::to_string(values.size()) +
                       " values; want at most " + std::to_string(most_values));
    for (const auto& value : values)
      groups.push_back(make_subgroup(header, attribute, value, of_sample));
  }
  return groups;
}

}  // namespace mr::results
