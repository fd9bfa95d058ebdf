#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "results/attributes.h"
#include "results/contrasts.h"

namespace mr::results {
namespace {

constexpr std::size_t most_values = 20;

Subgroup make_subgroup(const Header& header, const std::string& attribute, const std::string& value,
                       const std::vector<std::string>& of_sample) {
  Subgroup group{attribute, value, header.truth, {}, 0, {}};
  std::set<std::int32_t> subjects;
  for (std::size_t i = 0; i < of_sample.size(); ++i) {
    if (of_sample[i] == value) {
      ++group.samples;
      subjects.insert(header.sample_subject[i]);
      continue;
    }
    for (auto& truth : group.truth) truth[i] = -1;
  }
  group.subjects.assign(subjects.begin(), subjects.end());
  for (const auto& truth : group.truth)
    group.counts.push_back(stats::count(truth, header.sample_subject,
                                        static_cast<std::int32_t>(header.subjects.size())));
  return group;
}

}  // namespace

std::vector<Subgroup> make_subgroups(const Header& header, const std::vector<std::string>& by) {
  std::vector<Subgroup> groups;
  if (by.empty()) return groups;
  const auto known = attribute_names(header);
  if (known.empty()) throw UsageError("--by: the images have no attributes");
  for (const auto& attribute : by) {
    if (std::find(known.begin(), known.end(), attribute) == known.end())
      throw UsageError("--by: " + unknown("attribute", attribute, known));
    std::vector<std::string> of_sample;
    for (const auto& value : attribute_of_samples(header, attribute))
      of_sample.push_back(attribute_text(value));
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
