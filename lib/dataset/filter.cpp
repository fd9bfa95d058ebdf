#include "dataset/filter.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "dataset/check.h"

namespace mr::dataset {
namespace {

using Alternatives = std::map<std::string, std::set<std::string>>;  // values by name

Alternatives by_name(const Conditions& conditions) {
  Alternatives wanted;
  for (const auto& [name, value] : conditions) wanted[name].insert(value);
  return wanted;
}

/// Wanted values of each label of the manifest, empty where any will do.
std::vector<std::set<int>> label_values(const std::vector<Label>& labels,
                                        const Conditions& conditions) {
  std::vector<std::set<int>> wanted(labels.size());
  std::vector<std::string> names;
  for (const auto& label : labels) names.push_back(label.name);
  for (const auto& [name, value] : conditions) {
    const auto l =
        static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
    if (l == names.size()) throw UsageError("--label: " + unknown("label", name, names));
    auto values = labels[l].values;
    const auto v = std::find(values.begin(), values.end(), value);
    if (v == values.end() && value != "unknown") {
      values.emplace_back("unknown");
      throw UsageError("--label: " + name + ": " + unknown("value", value, values));
    }
    wanted[l].insert(v == values.end() ? unknown_label : static_cast<int>(v - values.begin()));
  }
  return wanted;
}

/// A number is compared as one, so that field_t=3 finds 3.0.
bool equals(const Json& attribute, const std::string& text) {
  if (attribute.is_string()) return attribute.get<std::string>() == text;
  const auto parsed = Json::parse(text, nullptr, false);
  return !parsed.is_discarded() && parsed == attribute;
}

bool attributes_match(const Json& attributes, const Alternatives& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& condition) {
    const auto found = attributes.find(condition.first);
    if (found == attributes.end()) return false;
    const auto& [name, values] = condition;
    return std::any_of(values.begin(), values.end(),
                       [&](const auto& value) { return equals(*found, value); });
  });
}

bool labels_match(const Sample& sample, const std::vector<std::set<int>>& wanted) {
  for (std::size_t l = 0; l < wanted.size(); ++l)
    if (!wanted[l].empty() && !wanted[l].count(sample.labels[l])) return false;
  return true;
}

std::pair<std::string, std::string> input_of(const ManifestReader& reader) {
  return {file_name(reader.name()), reader.sha256()};
}

}  // namespace

bool meets(const Json& attributes, const Conditions& conditions) {
  return attributes_match(attributes, by_name(conditions));
}

void filter(ManifestReader& reader, const FilterOptions& options, ManifestOutput& output,
            const Run& run) {
  const auto attributes = by_name(options.attributes);
  const auto labels = label_values(reader.labels(), options.labels);
  const auto in_split = [&](const ImageEntry& entry) {
    return options.splits.empty() || std::find(options.splits.begin(), options.splits.end(),
                                               entry.split) != options.splits.end();
  };
  auto writer = output.writer(reader.labels());
  std::int64_t kept = 0;
  ImageEntry entry;
  // The rest is read beyond the limit too: the document must have its end, and its provenance.
  while (reader.next(entry)) {
    throw_if_stopped();
    if (options.limit > 0 && kept == options.limit) continue;
    if (!in_split(entry) || !attributes_match(entry.attributes, attributes)) continue;
    if (!options.labels.empty()) {
      auto& samples = entry.samples;
      samples.erase(std::remove_if(samples.begin(), samples.end(),
                                   [&](const auto& s) { return !labels_match(s, labels); }),
                    samples.end());
      if (samples.empty()) continue;
    }
    writer.write(entry);
    ++kept;
  }
  if (kept == 0) throw DataError(reader.name() + ": no image is left");
  auto provenance = reader.provenance();
  provenance.push_back(provenance_entry(run, {input_of(reader)}));
  writer.finish(provenance, reader.extra());
  output.commit();
}

void merge(const std::vector<std::string>& paths, const std::string& root, ManifestOutput& output,
           const Run& run) {
  std::optional<ManifestWriter> writer;
  std::vector<Label> labels;
  Consistency consistency;
  Json provenance = Json::array(), extra = Json::object();
  std::vector<std::pair<std::string, std::string>> inputs;
  for (const auto& path : paths) {
    ManifestReader reader(path, root);
    if (!writer) {
      labels = reader.labels();
      writer.emplace(output.writer(labels));
    }
    if (!(reader.labels() == labels))
      throw DataError(reader.name() + ": its labels are not those of " + paths.front());
    ImageEntry entry;
    while (reader.next(entry)) {
      throw_if_stopped();
      const auto problems = consistency.add(entry);
      if (!problems.empty()) throw DataError(reader.name() + ": " + problems.front());
      writer->write(entry);
    }
    for (const auto& [key, value] : reader.extra().items()) {
      if (extra.contains(key) && extra[key] != value)
        throw DataError(reader.name() + ": \"" + key + "\" is not that of another manifest");
      extra[key] = value;
    }
    for (const auto& step : reader.provenance()) provenance.push_back(step);
    inputs.push_back(input_of(reader));
  }
  provenance.push_back(provenance_entry(run, inputs));
  writer->finish(provenance, extra);
  output.commit();
}

}  // namespace mr::dataset
