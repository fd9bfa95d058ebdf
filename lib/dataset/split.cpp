#include "dataset/split.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "base/json.h"
#include "base/random.h"
#include "base/text.h"

namespace mr::dataset {
namespace {

/// Lines in a file that vanishes with the program: written, then read once.
class Spool {
 public:
  Spool() {
    auto path = (std::filesystem::temp_directory_path() / "mr-manifest-XXXXXX").string();
    const int descriptor = ::mkstemp(path.data());
    if (descriptor < 0) throw CannotCreateError(path + ": cannot be created");
    ::close(descriptor);
    file_.open(path, std::ios::in | std::ios::out | std::ios::binary);
    ::unlink(path.c_str());
  }
  void append(const std::string& line) {
    file_ << line << '\n';
    require_good();
  }
  void rewind() {
    file_.seekg(0);
    require_good();
  }
  bool next(std::string& line) { return static_cast<bool>(std::getline(file_, line)); }

 private:
  void require_good() const {
    if (!file_) throw IoError("temporary file: cannot be written");
  }
  std::fstream file_;
};

/// How many of n subjects each split gets: largest remainders, the first split where they tie.
std::vector<std::int64_t> quotas(std::int64_t n, const std::vector<SplitRatio>& ratios) {
  std::vector<std::int64_t> quota;
  std::vector<double> remainder;
  for (const auto& r : ratios) {
    const double whole = std::floor(r.ratio * static_cast<double>(n));
    quota.push_back(static_cast<std::int64_t>(whole));
    remainder.push_back(r.ratio * static_cast<double>(n) - whole);
  }
  auto left = n - std::accumulate(quota.begin(), quota.end(), std::int64_t{0});
  for (; left > 0; --left) {
    const auto most = std::max_element(remainder.begin(), remainder.end());
    ++quota[static_cast<std::size_t>(most - remainder.begin())];
    *most = -1;
  }
  for (std::size_t j = 0; j < ratios.size(); ++j)
    if (quota[j] == 0)
      throw DataError("split " + ratios[j].split + " would be empty: its ratio is " +
                      shortest(ratios[j].ratio) + " of " + std::to_string(n) + " subjects");
  return quota;
}

/// The rarest (label, value) among subjects that have no split yet; end() where they have none.
Strata::const_iterator rarest(const Strata& left) {
  return std::min_element(left.begin(), left.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; });
}

/// "scanner=B, site=1"
std::string text_of(const Conditions& conditions) {
  std::string text;
  for (const auto& [name, value] : conditions)
    text += (text.empty() ? "" : ", ") + name + "=" + value;
  return text;
}

}  // namespace

std::vector<SplitRatio> parse_ratios(const std::string& text) {
  std::vector<SplitRatio> ratios;
  double sum = 0;
  for (const auto& part : mr::split(text, ',')) {
    const auto equals = part.find('=');
    const auto ratio = to_number(equals == std::string::npos ? "" : part.substr(equals + 1));
    SplitRatio r{part.substr(0, equals), ratio.value_or(0)};
    const bool known = r.split == "train" || r.split == "val" || r.split == "test";
    const bool is_new = std::none_of(ratios.begin(), ratios.end(),
                                     [&](const auto& other) { return other.split == r.split; });
    if (!known || !is_new || !(r.ratio > 0 && r.ratio <= 1))
      throw UsageError("--ratio: want e.g. train=0.5,val=0.15,test=0.35, each in (0, 1], got '" +
                       part + "'");
    sum += r.ratio;
    ratios.push_back(std::move(r));
  }
  if (std::abs(sum - 1) > 1e-6)
    throw UsageError("--ratio: want ratios that sum to 1, got " + shortest(sum));
  return ratios;
}

std::vector<std::size_t> stratify(const std::map<std::string, Strata>& subjects,
                                  const std::vector<SplitRatio>& ratios, std::uint64_t seed) {
  auto quota = quotas(static_cast<std::int64_t>(subjects.size()), ratios);
  std::vector<const Strata*> strata;
  Strata left;  // samples of subjects that have no split yet
  for (const auto& [name, counts] : subjects) {
    strata.push_back(&counts);
    for (const auto& [stratum, count] : counts) left[stratum] += count;
  }
  std::vector<std::map<Strata::key_type, double>> desired(ratios.size());
  for (std::size_t j = 0; j < ratios.size(); ++j)
    for (const auto& [stratum, count] : left)
      desired[j][stratum] = ratios[j].ratio * static_cast<double>(count);
  std::vector<std::size_t> waiting(subjects.size());
  std::iota(waiting.begin(), waiting.end(), std::size_t{0});
  shuffle(random_key(seed, {"split"}), waiting);

  std::vector<std::size_t> split_of(subjects.size());
  while (!waiting.empty()) {
    const auto rare = rarest(left);
    const bool any = rare != left.end();
    const auto stratum = any ? rare->first : Strata::key_type{};
    std::vector<std::size_t> later;
    for (const auto s : waiting) {
      if (any && !strata[s]->count(stratum)) {
        later.push_back(s);
        continue;
      }
      const auto need = [&](std::size_t j) {
        return std::make_tuple(quota[j] > 0, any ? desired[j][stratum] : 0.0, quota[j]);
      };
      std::size_t best = 0;
      for (std::size_t j = 1; j < ratios.size(); ++j)
        if (need(j) > need(best)) best = j;
      split_of[s] = best;
      --quota[best];
      for (const auto& [key, count] : *strata[s]) {
        desired[best][key] -= static_cast<double>(count);
        left[key] -= count;
        if (left[key] == 0) left.erase(key);
      }
    }
    waiting = std::move(later);
  }
  return split_of;
}

void split(ManifestReader& reader, const std::vector<SplitRatio>& ratios,
           const Conditions& held_out, ManifestOutput& output, const Run& run) {
  Spool spool;
  std::map<std::string, Strata> subjects;
  std::map<std::string, std::string> split_name;  // of each subject
  ImageEntry entry;
  while (reader.next(entry)) {
    throw_if_stopped();
    auto& counts = subjects[entry.subject];
    if (!held_out.empty() && meets(entry.attributes, held_out)) split_name[entry.subject] = "test";
    for (const auto& sample : entry.samples)
      for (std::size_t l = 0; l < sample.labels.size(); ++l)
        if (sample.labels[l] != unknown_label) ++counts[{l, sample.labels[l]}];
    spool.append(to_line(to_json(entry, "")));
  }
  if (!held_out.empty() && split_name.empty())
    throw DataError(reader.name() + ": no image is to be held out: none has " + text_of(held_out));
  for (const auto& [subject, test] : split_name) subjects.erase(subject);
  if (subjects.empty() && !split_name.empty())
    throw DataError(reader.name() + ": every subject is to be held out");
  std::vector<std::size_t> split_of;
  try {
    split_of = stratify(subjects, ratios, run.seed);
  } catch (const DataError& e) {
    throw DataError(reader.name() + ": " + e.what());
  }
  std::size_t s = 0;
  for (const auto& subject : subjects) split_name[subject.first] = ratios[split_of[s++]].split;

  auto writer = output.writer(reader.labels());
  spool.rewind();
  for (std::string line; spool.next(line);) {
    throw_if_stopped();
    entry = entry_from_json(parse_json(line, reader.name()), reader.labels(), "", reader.name());
    entry.split = split_name.at(entry.subject);
    writer.write(entry);
  }
  auto provenance = reader.provenance();
  provenance.push_back(provenance_entry(run, {{file_name(reader.name()), reader.sha256()}}));
  writer.finish(provenance, reader.extra());
  output.commit();
}

}  // namespace mr::dataset
