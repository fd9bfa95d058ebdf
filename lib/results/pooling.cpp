#include "results/pooling.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "results/measure.h"
#include "stats/calibration.h"

namespace mr::results {
namespace {

constexpr Level levels[] = {Level::sample, Level::volume, Level::subject};
constexpr Pool pools[] = {Pool::top3, Pool::max, Pool::noisy_or};

template <typename Choice, std::size_t n>
std::vector<std::string> names_of(const Choice (&choices)[n]) {
  std::vector<std::string> names;
  for (const auto choice : choices) names.emplace_back(name(choice));
  return names;
}

template <typename Choice, std::size_t n>
Choice parse(const char* what, const std::string& text, const Choice (&choices)[n]) {
  for (const auto choice : choices)
    if (text == name(choice)) return choice;
  throw UsageError(unknown(what, text, names_of(choices)));
}

struct Images {
  std::vector<std::size_t> of_sample;  // [N]
  std::vector<std::string> ids;
  Json attributes;  // [images]
};

bool names_images(const Samples& samples) {
  return samples.attributes.contains("sample_image") && samples.attributes.contains("image_ids");
}

Images images_of(const Samples& samples) {
  if (!names_images(samples))
    throw DataError("the evaluation does not name the images of its samples: nothing to pool");
  Images images;
  try {
    images.of_sample = samples.attributes["sample_image"].get<std::vector<std::size_t>>();
    images.ids = samples.attributes["image_ids"].get<std::vector<std::string>>();
    images.attributes = samples.attributes.value("images", Json::array());
  } catch (const Json::exception& e) {
    throw DataError(std::string("attributes: ") + e.what());
  }
  if (images.of_sample.size() != samples.sample_ids.size())
    throw DataError("attributes: sample_image: want one image per sample");
  for (const auto image : images.of_sample)
    if (image >= images.ids.size() || image >= images.attributes.size())
      throw DataError("attributes: sample_image: image " + std::to_string(image) + " of " +
                      std::to_string(images.ids.size()));
  return images;
}

std::int8_t pooled_truth(const std::vector<std::int8_t>& truth,
                         const std::vector<std::size_t>& members) {
  bool known = true;
  for (const auto i : members) {
    if (truth[i] == 1) return 1;
    known &= truth[i] == 0;
  }
  return known ? 0 : -1;
}

/// What all of these images say alike.
Json shared_attributes(const Images& images, const std::vector<std::size_t>& members) {
  Json shared = images.attributes[images.of_sample[members[0]]];
  for (const auto i : members) {
    const auto& other = images.attributes[images.of_sample[i]];
    Json kept = Json::object();
    for (const auto& [key, value] : shared.items())
      if (other.contains(key) && other[key] == value) kept[key] = value;
    shared = std::move(kept);
  }
  return shared;
}

double top3(std::vector<double>& logits) {
  const auto k = std::min<std::size_t>(3, logits.size());
  std::partial_sort(logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(k), logits.end(),
                    std::greater<>());
  double sum = 0;
  for (std::size_t i = 0; i < k; ++i) sum += logits[i];
  return sum / static_cast<double>(k);
}

/// With s = sum log(1 + exp(z)) = -log prod(1 - p): logit(1 - exp(-s)) = log(exp(s) - 1).
double noisy_or(const std::vector<double>& logits) {
  double s = 0;
  for (const double z : logits) s += stats::softplus(z);
  return s + std::log(-std::expm1(-s));
}

}  // namespace

const char* name(Level level) {
  return level == Level::sample ? "sample" : level == Level::volume ? "volume" : "subject";
}

Level parse_level(const std::string& text) {
  return parse("level", text, levels);
}

std::vector<std::string> level_names() {
  return names_of(levels);
}

const char* name(Pool pool) {
  return pool == Pool::top3 ? "top3" : pool == Pool::max ? "max" : "noisy-or";
}

Pool parse_pool(const std::string& text) {
  return parse("way of pooling", text, pools);
}

std::vector<std::string> pool_names() {
  return names_of(pools);
}

Pooling::Pooling(const Samples& samples, Level level, Pool pool)
    : pool_(pool), as_they_are_(level == Level::sample), samples_(samples.sample_ids.size()) {
  if (as_they_are_) {
    units_ = samples;
    return;
  }
  const auto images = images_of(samples);
  const bool by_volume = level == Level::volume;
  std::vector<std::size_t> unit_of(by_volume ? images.ids.size() : samples.subjects.size(),
                                   samples_);
  for (std::size_t i = 0; i < samples_; ++i) {
    auto& unit = unit_of[by_volume ? images.of_sample[i]
                                   : static_cast<std::size_t>(samples.sample_subject[i])];
    if (unit == samples_) {  // its first sample
      unit = members_.size();
      members_.emplace_back();
    }
    members_[unit].push_back(i);
  }
  if (pool == Pool::noisy_or)
    for (const auto& members : members_)
      if (members.size() != members_[0].size())
        throw DataError("noisy-or: wants as many samples in each " + std::string(name(level)) +
                        ", got " + std::to_string(members_[0].size()) + " and " +
                        std::to_string(members.size()));
  units_.subjects = samples.subjects;
  units_.truth.resize(samples.truth.size());
  Json image_of = Json::array(), ids = Json::array(), attributes = Json::array();
  Json counts = Json::array();
  for (const auto& members : members_) {
    const auto subject = samples.sample_subject[members[0]];
    units_.sample_subject.push_back(subject);
    units_.sample_ids.push_back(by_volume ? images.ids[images.of_sample[members[0]]]
                                          : samples.subjects[static_cast<std::size_t>(subject)]);
    for (std::size_t l = 0; l < samples.truth.size(); ++l)
      units_.truth[l].push_back(pooled_truth(samples.truth[l], members));
    image_of.push_back(ids.size());
    ids.push_back(units_.sample_ids.back());
    attributes.push_back(shared_attributes(images, members));
    counts.push_back(members.size());
  }
  units_.attributes = {{"sample_image", std::move(image_of)},
                       {"image_ids", std::move(ids)},
                       {"images", std::move(attributes)},
                       {"sample_counts", std::move(counts)}};
  const auto intensity = samples.attributes.value("sample_intensity", std::vector<float>());
  if (intensity.size() == samples_) units_.attributes["sample_intensity"] = averaged(intensity);
}

std::vector<float> Pooling::pooled(const std::vector<float>& scores) const {
  if (as_they_are_) return scores;
  std::vector<float> result;
  std::vector<double> logits;
  for (std::size_t l = 0; l < units_.truth.size(); ++l)
    for (const auto& members : members_) {
      logits.clear();
      for (const auto i : members)
        logits.push_back(static_cast<double>(scores.at(l * samples_ + i)));
      result.push_back(static_cast<float>(pool_ == Pool::top3 ? top3(logits)
                                          : pool_ == Pool::max
                                              ? *std::max_element(logits.begin(), logits.end())
                                              : noisy_or(logits)));
    }
  return result;
}

std::vector<float> Pooling::averaged(const std::vector<float>& values) const {
  if (as_they_are_ || values.empty()) return values;
  std::vector<float> means;
  for (const auto& members : members_) {
    double sum = 0;
    for (const auto i : members) sum += static_cast<double>(values.at(i));
    means.push_back(static_cast<float>(sum / static_cast<double>(members.size())));
  }
  return means;
}

Level choose_level(const Samples& samples, const std::vector<std::string>& labels,
                   std::string& why) {
  if (!names_images(samples)) return Level::sample;
  const Pooling volumes(samples, Level::volume, Pool::top3);
  const auto& units = volumes.units();
  if (units.sample_ids.size() == samples.sample_ids.size()) return Level::sample;
  for (std::size_t l = 0; l < labels.size(); ++l) {
    const auto n = count(units, l);
    const auto fewest = std::min(n.positive_subjects, n.negative_subjects);
    if (fewest >= stats::fewest_subjects_for_p) continue;
    why =
        "Slices are not pooled to volumes: " + std::to_string(fewest) + " subjects have volumes " +
        (n.positive_subjects < n.negative_subjects ? "with " : "without ") + labels[l] + ", and " +
        std::to_string(stats::fewest_subjects_for_p) + " are the fewest that are tested.";
    return Level::sample;
  }
  return Level::volume;
}

}  // namespace mr::results
