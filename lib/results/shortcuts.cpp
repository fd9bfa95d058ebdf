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

constexpr std::size_t most_values = 20;
constexpr float unknown_fact = std::numeric_limits<float>::quiet_NaN();

/// value  [L], or one for all labels
Shortcut rank_labels(const Header& header, const std::string& fact,
                     const std::vector<std::vector<float>>& value) {
  Shortcut shortcut{fact, {}};
  for (std::size_t l = 0; l < header.truth.size(); ++l) {
    auto truth = header.truth[l];
    auto scores = value[value.size() > 1 ? l : 0];
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

std::vector<std::string> texts_of(const std::vector<Json>& values) {
  std::vector<std::string> texts;
  for (const auto& value : values) texts.push_back(attribute_text(value));
  return texts;
}

/// Of an attribute with several texts: how common each label is where it has this value among the
/// clean validation samples. [L][N]; empty where it is no such attribute, or validation lacks it.
std::vector<std::vector<float>> as_shares(const Header& header, const std::string& attribute) {
  const auto known = attribute_names(header.validation);
  const auto texts = texts_of(attribute_of_samples(header, attribute));
  const std::size_t values = std::set<std::string>(texts.begin(), texts.end()).size();
  if (values > most_values || std::find(known.begin(), known.end(), attribute) == known.end())
    return {};
  const auto of_validation = texts_of(attribute_of_samples(header.validation, attribute));
  std::vector<std::vector<float>> shares;
  for (const auto& truth : header.validation.truth) {
    std::map<std::string, std::pair<float, float>> counts;  // positives, all
    for (std::size_t i = 0; i < truth.size(); ++i) {
      if (truth[i] < 0 || of_validation[i].empty()) continue;
      auto& [positives, all] = counts[of_validation[i]];
      positives += truth[i];
      ++all;
    }
    shares.emplace_back();
    for (const auto& text : texts) {
      const auto found = counts.find(text);
      shares.back().push_back(found == counts.end() ? unknown_fact
                                                    : found->second.first / found->second.second);
    }
  }
  return shares;
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
    if (varies(value)) found.push_back(rank_labels(header, fact, {value}));
  };
  if (const auto pooled = header.attributes.find("sample_counts");
      pooled != header.attributes.end())
    count = pooled->get<std::vector<float>>();
  add("slice position", position);
  add("distance from the middle slice", off_middle);
  add("slices of the image", count);
  add("mean intensity", header.attributes.value("sample_intensity", std::vector<float>()));
  for (const auto& attribute : attribute_names(header)) {
    const auto [fact, numbers] = as_numbers(attribute, attribute_of_samples(header, attribute));
    add(fact, numbers);
    if (!numbers.empty()) continue;
    const auto shares = as_shares(header, attribute);
    if (std::any_of(shares.begin(), shares.end(), varies))
      found.push_back(rank_labels(header, attribute, shares));
  }
  return found;
}

}  // namespace mr::results
