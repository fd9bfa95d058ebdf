#include "dataset/slices.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/text.h"
#include "base/threads.h"
#include "dataset/check.h"
#include "dataset/table.h"
#include "image/image_file.h"
#include "kspace/coil_images.h"

namespace mr::dataset {
namespace {

/// Calls visit(slice, offset) for every voxel of the first frame, in the order of storage.
template <typename Visit>
void for_each_voxel(const image::Volume& volume, int axis, Visit visit) {
  const auto nx = volume.length(0), ny = volume.length(1), nz = volume.length(2);
  std::int64_t offset = 0;
  for (std::int64_t z = 0; z < nz; ++z)
    for (std::int64_t y = 0; y < ny; ++y)
      for (std::int64_t x = 0; x < nx; ++x, ++offset)
        visit(static_cast<std::size_t>(axis == 0 ? x : axis == 1 ? y : z), offset);
}

/// Per slice: not all of its voxels are equal.
std::vector<bool> nonempty_slices(const image::Volume& volume, int axis) {
  const auto value = [&](std::int64_t offset) {
    return volume.is_complex() ? volume.complex_voxels[offset]
                               : image::Complex(volume.voxels[offset]);
  };
  const auto n = static_cast<std::size_t>(volume.length(axis));
  std::vector<bool> nonempty(n, false), seen(n, false);
  std::vector<image::Complex> first(n);
  for_each_voxel(volume, axis, [&](std::size_t slice, std::int64_t offset) {
    if (!seen[slice]) first[slice] = value(offset);
    seen[slice] = true;
    if (value(offset) != first[slice]) nonempty[slice] = true;
  });
  return nonempty;
}

/// The labels of slices, by image id and slice index.
class SliceTable {
 public:
  using Rows = std::map<std::int64_t, std::vector<int>>;  // slice index to labels

  explicit SliceTable(const SlicesOptions& options) : name_(options.table) {
    if (name_.empty()) return;
    const auto table = read_table(name_);
    const auto slice = table.column(options.slice_column);
    std::vector<std::size_t> columns;
    for (const auto& rule : options.labels) columns.push_back(table.column(rule.column));
    for (const auto& row : table.rows) {
      const auto index = slice_of(table, row, slice);
      const auto id = filled_in(options.id_format, table, row);
      const auto [added, is_new] = rows_[options.key.id(id)].try_emplace(index);
      if (!is_new)
        throw DataError(name_ + ": line " + std::to_string(row.line) + ": slice " +
                        std::to_string(index) + " of " + id + " is there twice");
      for (std::size_t i = 0; i < columns.size(); ++i)
        added->second.push_back(label_of(options.labels[i], table, row, columns[i]));
    }
  }

  const std::string& name() const { return name_; }
  const Rows& of(const std::string& id) const {
    static const Rows none;
    const auto found = rows_.find(id);
    return found == rows_.end() ? none : found->second;
  }
  void forget(const std::string& id) { rows_.erase(id); }
  std::size_t images() const { return rows_.size(); }
  const std::string& first_id() const { return rows_.begin()->first; }

 private:
  std::string name_;
  std::map<std::string, Rows> rows_;
};

std::vector<Label> declared_labels(const ManifestReader& reader, const SlicesOptions& options) {
  auto labels = reader.labels();
  for (const auto& label : options.mask_labels) labels.push_back({label.name});
  for (const auto& rule : options.labels) labels.push_back({rule.name});
  for (const auto& label : options.findings) labels.push_back({label.name});
  std::set<std::string> names;
  for (const auto& label : labels)
    if (!names.insert(label.name).second)
      throw UsageError("label " + label.name + " would be there twice");
  return labels;
}

/// Sets the labels from the mask, [samples][mask labels], of the slices that are kept.
void label_from_mask(std::vector<Sample>& samples, const ImageEntry& entry,
                     const image::Header& header, const SlicesOptions& options) {
  const auto mask = image::read_image(entry.mask);
  const auto difference = grid_difference(header.shape, header.affine, mask.shape(), mask.affine);
  if (!difference.empty())
    throw DataError(entry.mask + ": " + difference + " (" + entry.file + ")");
  if (mask.is_complex()) throw DataError(entry.mask + ": is complex; want a mask");
  for (const auto& label : options.mask_labels) {
    const auto voxels = count_by_slice(mask, samples.front().slice->axis, label.value);
    for (auto& sample : samples)
      sample.labels.push_back(
          voxels[static_cast<std::size_t>(sample.slice->index)] >= label.min_voxels ? 1 : 0);
  }
}

/// Returns how many slices have no row.
std::int64_t label_from_table(std::vector<Sample>& samples, const std::string& id,
                              std::int64_t slices_in_image, const SliceTable& table,
                              const SlicesOptions& options) {
  const auto& rows = table.of(id);
  if (!rows.empty() && rows.rbegin()->first >= slices_in_image)
    throw DataError(table.name() + ": slice " + std::to_string(rows.rbegin()->first) + " of " + id +
                    ": the image has " + std::to_string(slices_in_image));
  std::int64_t missing = 0;
  for (auto& sample : samples) {
    const auto row = rows.find(sample.slice->index);
    if (row == rows.end() && !options.allow_unmatched)
      throw DataError(table.name() + ": slice " + std::to_string(sample.slice->index) + " of " +
                      id + " has no row; --allow-unmatched takes its labels as unknown");
    missing += row == rows.end() ? 1 : 0;
    const auto values =
        row == rows.end() ? std::vector<int>(options.labels.size(), unknown_label) : row->second;
    sample.labels.insert(sample.labels.end(), values.begin(), values.end());
  }
  return missing;
}

void label_from_annotations(std::vector<Sample>& samples, const std::string& id,
                            std::int64_t slices_in_image, const Annotations& annotations,
                            const SlicesOptions& options) {
  if (const auto last = annotations.last_slice(id); last >= slices_in_image)
    throw DataError(options.annotations + ": slice " + std::to_string(last) + " of " + id +
                    ": the image has " + std::to_string(slices_in_image));
  if (!annotations.looked_at(id) && !options.allow_unmatched)
    throw DataError(options.annotations + ": image " + id +
                    " was not looked at; --allow-unmatched takes its labels as unknown");
  for (auto& sample : samples) {
    const auto values = annotations.of(id, sample.slice->index);
    sample.labels.insert(sample.labels.end(), values.begin(), values.end());
  }
}

struct Sliced {
  ImageEntry entry;
  std::int64_t without_row = 0;
};

Sliced slice_image(ImageEntry entry, const std::string& manifest, const SlicesOptions& options,
                   const SliceTable& table, const Annotations& annotations) {
  if (entry.samples.size() != 1 || entry.samples[0].slice)
    throw DataError(manifest + ": image " + entry.id +
                    ": want one sample of the whole image, found " +
                    (entry.samples.empty() ? "none" : "slices"));
  const auto header = kspace::read_header(entry.file);
  const int axis = stored_axis(options.axis, header.affine);
  const auto n = header.shape[static_cast<std::size_t>(3 - axis)];
  const auto whole = entry.samples[0];
  std::vector<bool> keep(static_cast<std::size_t>(n), true);
  if (!options.keep_empty) keep = nonempty_slices(kspace::read_image(entry.file), axis);
  entry.samples.clear();
  for (std::int64_t i = 0; i < n; i += options.every)
    if (keep[static_cast<std::size_t>(i)]) entry.samples.push_back({Slice{axis, i}, whole.labels});
  if (entry.samples.empty()) throw DataError(entry.file + ": every slice is empty");
  Sliced sliced;
  if (!options.mask_labels.empty() && entry.mask.empty())
    throw DataError(manifest + ": image " + entry.id + ": has no mask");
  if (!options.mask_labels.empty()) label_from_mask(entry.samples, entry, header, options);
  if (!options.table.empty())
    sliced.without_row = label_from_table(entry.samples, entry.id, n, table, options);
  if (!options.annotations.empty())
    label_from_annotations(entry.samples, entry.id, n, annotations, options);
  sliced.entry = std::move(entry);
  return sliced;
}

}  // namespace

MaskLabel parse_mask_label(const std::string& text) {
  const auto equals = text.rfind('=');
  const auto comma = equals == std::string::npos ? equals : text.find(',', equals);
  std::int64_t value = 0, min_voxels = 1;
  const bool good =
      equals != std::string::npos && equals > 0 &&
      parse_integer(text.substr(equals + 1, comma - std::min(comma, equals + 1)), value) &&
      (comma == std::string::npos || parse_integer(text.substr(comma + 1), min_voxels)) &&
      min_voxels >= 1 && std::abs(value) <= (1 << 24);
  if (!good)
    throw UsageError("--mask-label: want NAME=VALUE or NAME=VALUE,MIN_VOXELS, got '" + text + "'");
  return {text.substr(0, equals), static_cast<int>(value), min_voxels};
}

int stored_axis(const std::string& axis, const image::Affine& affine) {
  if (axis == "sagittal") return image::axis_along(affine, 0);
  if (axis == "coronal") return image::axis_along(affine, 1);
  if (axis == "axial") return image::axis_along(affine, 2);
  const auto letter = std::string("ijk").find(axis);
  if (axis.size() != 1 || letter == std::string::npos)
    throw UsageError("axis: want i, j, k, sagittal, coronal or axial, got '" + axis + "'");
  return static_cast<int>(letter);
}

std::vector<std::int64_t> count_by_slice(const image::Volume& mask, int axis, int value) {
  constexpr float tolerance = 1e-3F;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(mask.length(axis)), 0);
  for_each_voxel(mask, axis, [&](std::size_t slice, std::int64_t offset) {
    if (std::abs(mask.voxels[offset] - static_cast<float>(value)) <= tolerance) ++counts[slice];
  });
  return counts;
}

void slices(ManifestReader& reader, const SlicesOptions& options, ManifestOutput& output,
            const Run& run, const Messages& messages) {
  auto writer = output.writer(declared_labels(reader, options));
  SliceTable table(options), unused = table;
  Annotations annotations;
  if (!options.annotations.empty())
    annotations = {options.annotations, options.annotated, options.findings, options.key};
  std::int64_t without_row = 0, not_looked_at = 0;
  Progress progress(messages, "slicing", 0);
  ordered_pipeline(
      options.threads,
      [&]() -> std::optional<ImageEntry> {
        throw_if_stopped();
        ImageEntry entry;
        if (!reader.next(entry)) return std::nullopt;
        return entry;
      },
      [&](ImageEntry entry) {
        return slice_image(std::move(entry), reader.name(), options, table, annotations);
      },
      [&](Sliced sliced) {
        not_looked_at += annotations.looked_at(sliced.entry.id) ? 0 : 1;
        unused.forget(sliced.entry.id);
        without_row += sliced.without_row;
        writer.write(sliced.entry);
        progress.advance();
      });
  if (unused.images() > 0) {
    const auto text = options.table + ": image ids that are not in " + reader.name() + ": " +
                      std::to_string(unused.images()) + " (the first: " + unused.first_id() + ")";
    if (!options.allow_unmatched) throw DataError(text + "; --allow-unmatched ignores them");
    messages.warn(text);
  }
  if (without_row > 0)
    messages.warn(options.table + ": " + std::to_string(without_row) +
                  " slices have no row; their labels are unknown");
  if (!options.annotations.empty() && not_looked_at > 0)
    messages.warn(options.annotations + ": images that were not looked at: " +
                  std::to_string(not_looked_at) + "; their labels are unknown");
  auto provenance = reader.provenance();
  std::vector<std::pair<std::string, std::string>> inputs = {
      {file_name(reader.name()), reader.sha256()}};
  if (!options.table.empty())
    inputs.emplace_back(file_name(options.table), sha256_file(options.table));
  for (const auto& path : {options.annotations, options.annotated})
    if (!path.empty()) inputs.emplace_back(file_name(path), sha256_file(path));
  provenance.push_back(provenance_entry(run, inputs));
  writer.finish(provenance, reader.extra());
  output.commit();
}

}  // namespace mr::dataset
