#include "dataset/annotations.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "dataset/manifest.h"
#include "dataset/table.h"

namespace mr::dataset {

FindingLabel parse_finding_label(const std::string& text) {
  const auto [name, part] = name_and_value("--finding", text);
  return {name, lower(part)};
}

Annotations::Annotations(const std::string& path, const std::string& images,
                         const std::vector<FindingLabel>& labels, const IdKey& key)
    : labels_(labels.size()) {
  const auto table = read_table(path);
  const auto file = table.column("file"), slice = table.column("slice"),
             label = table.column("label");
  const auto study_level = table.find("study_level");
  for (const auto& row : table.rows) {
    const auto id = key.id(row.fields[file]);
    auto& found = findings_[id];
    found.anywhere.resize(labels_);
    looked_at_.insert(id);
    const bool somewhere = study_level && lower(row.fields[*study_level]) == "yes";
    auto* marks = &found.anywhere;
    if (!somewhere)
      marks = &found.slices.try_emplace(slice_of(table, row, slice), labels_).first->second;
    const auto finding = lower(row.fields[label]);
    for (std::size_t l = 0; l < labels_; ++l)
      if (finding.find(labels[l].text) != std::string::npos) (*marks)[l] = true;
  }
  if (images.empty()) return;
  for (auto line : split(read_all(images), '\n')) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) looked_at_.insert(key.id(line));
  }
}

std::vector<int> Annotations::of(const std::string& id, std::int64_t slice) const {
  if (!looked_at(id)) return std::vector<int>(labels_, unknown_label);
  std::vector<int> values(labels_, 0);
  const auto found = findings_.find(id);
  if (found == findings_.end()) return values;
  const auto marks = found->second.slices.find(slice);
  for (std::size_t l = 0; l < labels_; ++l)
    if (marks != found->second.slices.end() && marks->second[l])
      values[l] = 1;
    else if (found->second.anywhere[l])
      values[l] = unknown_label;
  return values;
}

std::int64_t Annotations::last_slice(const std::string& id) const {
  const auto found = findings_.find(id);
  if (found == findings_.end() || found->second.slices.empty()) return -1;
  return found->second.slices.rbegin()->first;
}

}  // namespace mr::dataset
