#include "results/shortcuts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "results/attributes.h"
#include "results/measure.h"

namespace mr::results {
namespace {

constexpr float unknown_fact = std::numeric_limits<float>::quiet_NaN();

Shortcut rank_labels(const Header& header, const std::string& fact,
                     const std::vector<float>& value) {
  Shortcut shortcut{fact, {}};
  for (auto truth : header.truth) {
    auto scores = value;
    for (std::size_t i = 0; i < scores.size(); ++i)
      if (std::isnan(scores[i])) {
        scores[i] = 0;
        truth[i] = -1;
      }
    const auto a = stats::linearize(
        stats::Metric::auroc,
        {scores, truth, header.sample_subject, static_cast<std::int32_t>(header.subjects.size())});
    shortcut.auroc.push_back(estimate(a, stats::Scale::logit));
  }
  return shortcut;
}

bool varies(const std::vector<float>& value) {
  std::set<float> known;
  for (const float v : value)
    if (!std::isnan(v)) known.insert(v);
  return known.size() > 1;
}

/// An attribute as numbers: its own, or 1 for the second of two texts. Empty where it is neither.
std::pair<std::string, std::vector<float>> as_numbers(const std::string& attribute,
                                                      const std::vector<Json>& values) {
  std::set<std::string> texts;
  bool numbers = true;
  for (const auto& value : values) {
    if (value.is_null()) continue;
    numbers = numbers && value.is_number();
    texts.insert(attribute_text(value));
  }
  if (!numbers && texts.size() != 2) return {attribute, {}};
  std::vector<float> result;
  for (const auto& value : values) {
    if (value.is_null())
      result.push_back(unknown_fact);
    else if (numbers)
      result.push_back(value.get<float>());
    else
      result.push_back(attribute_text(value) == *texts.rbegin() ? 1.f : 0.f);
  }
  return {numbers ? attribute : attribute + " = " + *texts.rbegin(), result};
}

}  // namespace

std::vector<Shortcut> shortcuts(const Header& header) {
  std::vector<Shortcut> found;
  const auto image_of = header.attributes.value("sample_image", std::vector<std::size_t>());
  if (image_of.size() != header.sample_ids.size()) return found;
  std::map<std::size_t, std::size_t> samples_of;
  std::vector<std::size_t> place;
  for (const auto image : image_of) place.push_back(samples_of[image]++);
  std::vector<float> position, off_middle, count;
  for (std::size_t i = 0; i < place.size(); ++i) {
    const auto last = static_cast<std::int64_t>(samples_of[image_of[i]]) - 1;
    const auto at = static_cast<std::int64_t>(place[i]);
    // Of whole numbers, so that both sides of the middle are equal to the bit.
    const auto of_last = [&](std::int64_t n) {
      return last > 0 ? static_cast<float>(n) / static_cast<float>(last) : unknown_fact;
    };
    position.push_back(of_last(at));
    off_middle.push_back(of_last(std::abs(2 * at - last)));
    count.push_back(static_cast<float>(last + 1));
  }
  const auto add = [&](const std::string& fact, const std::vector<float>& value) {
    if (varies(value)) found.push_back(rank_labels(header, fact, value));
  };
  if (const auto pooled = header.attributes.find("sample_counts");
      pooled != header.attributes.end())
    count = pooled->get<std::vector<float>>();
  add("slice position", position);
  add("distance from the middle slice", off_middle);
  add("slices of the image", count);
  for (const auto& attribute : attribute_names(header)) {
    const auto [fact, numbers] = as_numbers(attribute, attribute_of_samples(header, attribute));
    add(fact, numbers);
  }
  return found;
}

}  // namespace mr::results
