#include "dataset/summary.h"

#include <algorithm>

#include "base/json.h"

namespace mr::dataset {
namespace {

const std::vector<std::string> split_order = {"train", "val", "test", ""};

std::string value_name(const Label& label, std::size_t value) {
  return value < label.values.size() ? label.values[value] : "unknown";
}

/// Lines of cells; the first column to the left, numbers to the right.
class TextTable {
 public:
  void add(std::vector<std::string> cells) { lines_.push_back(std::move(cells)); }
  std::string text() const {
    std::vector<std::size_t> widths;
    for (const auto& cells : lines_)
      for (std::size_t c = 0; c < cells.size(); ++c) {
        if (c == widths.size()) widths.push_back(0);
        widths[c] = std::max(widths[c], cells[c].size());
      }
    std::string out;
    for (const auto& cells : lines_) {
      std::string line = cells[0];
      for (std::size_t c = 1; c < cells.size(); ++c) {
        line.resize(line.size() + (c == 1 ? widths[0] - cells[0].size() : 0), ' ');
        line += std::string(2 + widths[c] - cells[c].size(), ' ') + cells[c];
      }
      out += line + "\n";
    }
    return out;
  }

 private:
  std::vector<std::vector<std::string>> lines_;
};

/// The splits that are there, in their order.
std::vector<std::string> present(const Summary& summary) {
  std::vector<std::string> names;
  for (const auto& name : split_order)
    if (summary.splits.count(name)) names.push_back(name);
  return names;
}

}  // namespace

Summary summarise(ManifestReader& reader) {
  Summary summary;
  summary.labels = reader.labels();
  ImageEntry entry;
  while (reader.next(entry)) {
    throw_if_stopped();
    auto& counts = summary.splits[entry.split];
    if (counts.labels.empty())
      for (const auto& label : summary.labels) counts.labels.emplace_back(label.values.size() + 1);
    counts.subjects.insert(entry.subject);
    ++counts.images;
    counts.samples += static_cast<std::int64_t>(entry.samples.size());
    for (const auto& sample : entry.samples)
      for (std::size_t l = 0; l < sample.labels.size(); ++l) {
        auto& values = counts.labels[l];
        ++values[sample.labels[l] == unknown_label ? values.size() - 1
                                                   : static_cast<std::size_t>(sample.labels[l])];
      }
    for (const auto& [name, value] : entry.attributes.items())
      ++counts.attributes[name][value.is_string() ? value.get<std::string>() : to_line(value)];
  }
  return summary;
}

std::string to_text(const Summary& summary) {
  constexpr std::size_t values_shown = 12;
  const auto splits = present(summary);
  TextTable table;
  const auto add = [&](const std::string& title, const auto& count_of) {
    std::vector<std::string> cells = {title};
    std::int64_t sum = 0;
    for (const auto& split : splits) {
      const std::int64_t n = count_of(summary.splits.at(split));
      sum += n;
      cells.push_back(std::to_string(n));
    }
    cells.push_back(std::to_string(sum));
    table.add(std::move(cells));
  };
  std::vector<std::string> head = {""};
  for (const auto& split : splits) head.push_back(split.empty() ? "no split" : split);
  head.emplace_back("all");
  table.add(std::move(head));
  add("subjects", [](const auto& c) { return static_cast<std::int64_t>(c.subjects.size()); });
  add("images", [](const auto& c) { return c.images; });
  add("samples", [](const auto& c) { return c.samples; });
  if (!summary.labels.empty()) table.add({"samples by label"});
  for (std::size_t l = 0; l < summary.labels.size(); ++l)
    for (std::size_t v = 0; v <= summary.labels[l].values.size(); ++v)
      add("  " + summary.labels[l].name + " = " + value_name(summary.labels[l], v),
          [&](const auto& c) { return c.labels[l][v]; });

  std::map<std::string, std::set<std::string>> attributes;
  for (const auto& [split, counts] : summary.splits)
    for (const auto& [name, values] : counts.attributes)
      for (const auto& [value, n] : values) attributes[name].insert(value);
  if (!attributes.empty()) table.add({"images by attribute"});
  for (const auto& [name, values] : attributes) {
    std::size_t shown = 0;
    for (const auto& value : values) {
      if (shown++ == values_shown) {
        table.add({"  " + name + " = ... (" + std::to_string(values.size()) + " values)"});
        break;
      }
      add("  " + name + " = " + value, [&, n = name](const auto& c) {
        const auto found = c.attributes.find(n);
        if (found == c.attributes.end() || !found->second.count(value)) return std::int64_t{0};
        return found->second.at(value);
      });
    }
  }
  return table.text();
}

Json to_json(const Summary& summary, const Json& provenance) {
  Json document = {{"schema", "mr-manifest-summary/1"}, {"splits", Json::array()}};
  for (const auto& split : present(summary)) {
    const auto& counts = summary.splits.at(split);
    Json object = {{"split", split.empty() ? Json() : Json(split)},
                   {"subjects", counts.subjects.size()},
                   {"images", counts.images},
                   {"samples", counts.samples},
                   {"labels", Json::object()},
                   {"attributes", Json::object()}};
    for (std::size_t l = 0; l < summary.labels.size(); ++l)
      for (std::size_t v = 0; v <= summary.labels[l].values.size(); ++v)
        object["labels"][summary.labels[l].name][value_name(summary.labels[l], v)] =
            counts.labels[l][v];
    for (const auto& [name, values] : counts.attributes)
      for (const auto& [value, n] : values) object["attributes"][name][value] = n;
    document["splits"].push_back(std::move(object));
  }
  document["provenance"] = provenance;
  return document;
}

}  // namespace mr::dataset
