#include "eval/adaptation.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace mr::eval {
namespace {

const std::vector<std::pair<std::string, Scheme>> scheme_words = {
    {"batch-stats", Scheme::batch_stats},
    {"n-prior", Scheme::n_prior},
    {"tent", Scheme::tent},
    {"recalibrate", Scheme::recalibrate}};

const std::vector<std::pair<std::string, Policy>> policy_words = {{"slice", Policy::slice},
                                                                  {"volume", Policy::volume},
                                                                  {"mixed", Policy::mixed},
                                                                  {"all", Policy::all},
                                                                  {"crossfit", Policy::crossfit}};

template <typename Value>
Value find_word(const std::string& what, const std::string& word,
                const std::vector<std::pair<std::string, Value>>& words) {
  std::vector<std::string> known;
  for (const auto& [name, value] : words) {
    if (name == word) return value;
    known.push_back(name);
  }
  throw UsageError("--adapt: " + unknown(what, word, known));
}

template <typename Value>
std::string word_of(Value wanted, const std::vector<std::pair<std::string, Value>>& words) {
  for (const auto& [name, value] : words)
    if (value == wanted) return name;
  return "";
}

double number(const std::string& whole, const std::string& text) {
  const auto value = to_number(text);
  if (!value || *value <= 0 || *value > 1e9)
    throw UsageError("--adapt " + whole + ": want a number above 0, got '" + text + "'");
  return *value;
}

void set_value(Adaptation& adaptation, const std::string& whole, const std::string& text) {
  if (adaptation.scheme == Scheme::n_prior)
    adaptation.prior = number(whole, text);
  else if (adaptation.scheme == Scheme::tent)
    adaptation.learning_rate = number(whole, text);
  else
    throw UsageError("--adapt " + whole + ": n-prior and tent have a value, this has none");
}

/// 0 .. n - 1 in an order that the key gives.
std::vector<std::size_t> shuffled(std::size_t n, const RandomKey& key) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  shuffle(key, order);
  return order;
}

}  // namespace

bool Adaptation::within_image() const {
  return scheme != Scheme::none && scheme != Scheme::recalibrate &&
         (policy == Policy::slice || policy == Policy::volume);
}

bool Adaptation::over_images() const {
  return scheme != Scheme::none && scheme != Scheme::recalibrate && !within_image();
}

Adaptation parse_adaptation(const std::string& text) {
  Adaptation adaptation;
  const auto words = split(text, ':');
  const auto equals = words[0].find('=');
  adaptation.scheme = find_word("scheme", words[0].substr(0, equals), scheme_words);
  if (equals != std::string::npos) set_value(adaptation, text, words[0].substr(equals + 1));
  if (words.size() == 1) return adaptation;
  if (adaptation.scheme == Scheme::recalibrate)
    throw UsageError("--adapt " + text +
                     ": recalibrate has no policy: its images are those of split train");
  adaptation.policy = find_word("policy", words[1], policy_words);
  const bool sized = adaptation.policy == Policy::mixed && words.size() == 3;
  if (words.size() > 2 && !sized)
    throw UsageError("--adapt " + text +
                     ": want SCHEME[=VALUE][:POLICY], with a size after mixed alone");
  if (sized) {
    const double size = number(text, words[2]);
    adaptation.mixed = static_cast<std::int64_t>(size);
    if (static_cast<double>(adaptation.mixed) != size || adaptation.mixed < 2)
      throw UsageError("--adapt " + text + ": want a set of 2 samples or more, got '" + words[2] +
                       "'");
  }
  if (adaptation.scheme == Scheme::tent &&
      (adaptation.policy == Policy::all || adaptation.policy == Policy::crossfit))
    throw UsageError("--adapt " + text +
                     ": TENT takes its step on one batch: want slice, volume or mixed");
  return adaptation;
}

std::string name(const Adaptation& a) {
  if (a.scheme == Scheme::none) return "";
  auto text = word_of(a.scheme, scheme_words);
  if (a.scheme == Scheme::recalibrate) return text;
  if (a.scheme == Scheme::n_prior) text += "=" + shortest(a.prior);
  if (a.scheme == Scheme::tent && a.learning_rate != Adaptation().learning_rate)
    text += "=" + shortest(a.learning_rate);
  text += ":" + word_of(a.policy, policy_words);
  return a.policy == Policy::mixed ? text + ":" + std::to_string(a.mixed) : text;
}

Json to_json(const Adaptation& a) {
  if (a.scheme == Scheme::none) return nullptr;
  Json object = {{"scheme", word_of(a.scheme, scheme_words)}};
  if (a.scheme != Scheme::recalibrate) object["policy"] = word_of(a.policy, policy_words);
  if (a.scheme == Scheme::n_prior) object["prior_images"] = a.prior;
  if (a.scheme == Scheme::tent) {
    object["learning_rate"] = a.learning_rate;
    object["steps"] = a.steps;
  }
  if (a.policy == Policy::mixed) {
    object["set"] = a.mixed;
    object["partitions"] = mixed_partitions;
  }
  return object;
}

std::vector<std::string> adaptation_names() {
  std::vector<std::string> names;
  for (const auto& [scheme, s] : scheme_words) {
    if (s == Scheme::recalibrate) {
      names.push_back(scheme);
      continue;
    }
    for (const auto& [policy, p] : policy_words)
      if (s != Scheme::tent || (p != Policy::all && p != Policy::crossfit))
        names.push_back(scheme + ":" + policy);
  }
  return names;
}

std::vector<std::size_t> draw_samples(std::size_t n, std::size_t at_most, const RandomKey& key) {
  auto order = shuffled(n, key);
  order.resize(std::min(n, at_most));
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<std::vector<std::size_t>> mixed_sets(std::size_t samples, std::int64_t size,
                                                 std::uint64_t seed, int partition) {
  const auto order = shuffled(samples, random_key(seed, {"adapt", std::to_string(partition)}));
  const auto each = static_cast<std::size_t>(size);
  std::vector<std::vector<std::size_t>> sets;
  for (std::size_t i = 0; i < samples; i += each) {
    const auto begin = order.begin() + static_cast<std::ptrdiff_t>(i);
    const auto end = order.begin() + static_cast<std::ptrdiff_t>(std::min(samples, i + each));
    if (end - begin < size && !sets.empty())
      sets.back().insert(sets.back().end(), begin, end);
    else
      sets.emplace_back(begin, end);
  }
  for (auto& set : sets) std::sort(set.begin(), set.end());
  return sets;
}

std::vector<int> subject_folds(const dataset::SampleSet& samples, std::uint64_t seed) {
  const auto n = samples.subjects().size();
  if (n < 2)
    throw DataError("--adapt crossfit: want two subjects at least, got " + std::to_string(n));
  const auto order = shuffled(n, random_key(seed, {"adapt", "crossfit"}));
  std::vector<int> fold_of_subject(n);
  for (std::size_t i = 0; i < n; ++i) fold_of_subject[order[i]] = i < n / 2 ? 0 : 1;
  std::vector<int> folds(samples.size());
  for (std::size_t i = 0; i < folds.size(); ++i)
    folds[i] = fold_of_subject[static_cast<std::size_t>(samples.subject(i))];
  return folds;
}

}  // namespace mr::eval
