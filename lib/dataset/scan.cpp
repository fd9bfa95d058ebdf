#include "dataset/scan.h"

#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "base/threads.h"
#include "dataset/table.h"
#include "image/image_file.h"
#include "kspace/coil_images.h"

namespace mr::dataset {
namespace fs = std::filesystem;
namespace {

const std::vector<std::string> nifti_endings = {".nii", ".nii.gz", ".hdr", ".hdr.gz"};
const std::vector<std::string> dicom_endings = {".dcm", ".ima"};
const std::vector<std::string> png_endings = {".png"};
const std::vector<std::string> kspace_endings = {".h5", ".hdf5", ".cfl", ".npy"};

/// The image ending of a name, "" where it has none.
std::string ending_of(const std::string& name, const std::vector<std::string>& endings) {
  std::string longest;
  for (const auto& ending : endings)
    if (ends_with(lower(name), ending) && ending.size() > longest.size()) longest = ending;
  return longest;
}

std::string without_ending(const std::string& path) {
  std::size_t size = 0;
  for (const auto* endings : {&nifti_endings, &dicom_endings, &png_endings, &kspace_endings})
    size = std::max(size, ending_of(path, *endings).size());
  return path.substr(0, path.size() - size);
}

bool is_dicom(const fs::path& path) {
  const auto name = path.filename().string();
  if (name == "DICOMDIR") return false;
  if (!ending_of(name, dicom_endings).empty()) return true;
  return image::looks_like_dicom(read_prefix(path.string(), 132));
}

/// NAME.hdr of NAME.cfl: no image of its own.
bool is_bart_header(fs::path path) {
  return path.extension() == ".hdr" && exists(path.replace_extension(".cfl").string());
}

/// Paths of images and DICOM series below `root`.
std::set<fs::path> image_paths(const fs::path& root, const ScanOptions& options) {
  std::set<fs::path> paths;
  try {
    for (auto at = fs::recursive_directory_iterator(root); at != fs::end(at); ++at) {
      const auto& path = at->path();
      const auto name = path.filename().string();
      if (name.front() == '.') {
        if (at->is_directory()) at.disable_recursion_pending();
      } else if (at->is_regular_file()) {
        if (is_bart_header(path)) continue;
        if (!ending_of(name, nifti_endings).empty() ||
            (options.png && !ending_of(name, png_endings).empty()) ||
            (options.kspace && !ending_of(name, kspace_endings).empty()))
          paths.insert(path);
        else if (is_dicom(path))
          paths.insert(path.parent_path());
      }
    }
  } catch (const fs::filesystem_error& e) {
    throw IoError(e.path1().string() + ": cannot be read: " + e.code().message());
  }
  return paths;
}

/// "2 rows match no image (line 4, line 9)": the first few, and how many there are.
std::string counted(const std::vector<std::string>& items, const std::string& one,
                    const std::string& many) {
  constexpr std::size_t shown = 5;
  std::string text = std::to_string(items.size()) + " " + (items.size() == 1 ? one : many) + " (";
  for (std::size_t i = 0; i < std::min(shown, items.size()); ++i)
    text += (i ? ", " : "") + items[i];
  return text + (items.size() > shown ? ", ...)" : ")");
}

using Rows = std::map<std::string, const Table::Row*>;  // by image id

Rows rows_by_id(const Table& table, const ScanOptions& options) {
  const bool by_file = !options.file_column.empty();
  const auto format = by_file ? "{" + options.file_column + "}" : options.id_format;
  Rows rows;
  for (const auto& row : table.rows) {
    const auto field = filled_in(format, table, row);
    const auto id = by_file ? without_ending(fs::path(field).lexically_normal().string()) : field;
    const auto [first, is_new] = rows.emplace(id, &row);
    if (!is_new)
      throw DataError(table.name + ": line " + std::to_string(row.line) + ": '" + field +
                      "' is there twice; first in line " + std::to_string(first->second->line));
  }
  return rows;
}

std::string mask_path(const FoundImage& image, const ScanOptions& options) {
  return resolve(image.relative, options.masks);
}

/// Leaves out images without a row or a mask, in silence never: an error, or a warning.
std::vector<FoundImage> matched(std::vector<FoundImage> images, const Rows& rows,
                                const ScanOptions& options, const Messages& messages) {
  std::vector<std::string> without_row, without_mask, without_image;
  std::set<std::string> ids;
  for (const auto& image : images) ids.insert(image.id);
  for (const auto& [id, row] : rows)
    if (!ids.count(id)) without_image.push_back("line " + std::to_string(row->line) + ": " + id);
  const auto is_unmatched = [&](const FoundImage& image) {
    const bool no_row = !options.table.empty() && !rows.count(image.id);
    const bool no_mask = !options.masks.empty() && !exists(mask_path(image, options));
    if (no_row) without_row.push_back(image.relative);
    if (no_mask) without_mask.push_back(image.relative);
    return no_row || no_mask;
  };
  images.erase(std::remove_if(images.begin(), images.end(), is_unmatched), images.end());

  std::vector<std::string> parts;
  if (!without_image.empty())
    parts.push_back(options.table + ": " +
                    counted(without_image, "row matches no image", "rows match no image"));
  if (!without_row.empty())
    parts.push_back(options.table + ": " +
                    counted(without_row, "image has no row", "images have no row"));
  if (!without_mask.empty())
    parts.push_back(options.masks + ": " +
                    counted(without_mask, "image has no mask", "images have no mask"));
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : "; ") + part;
  if (!text.empty() && !options.allow_unmatched)
    throw DataError(text + "; --allow-unmatched leaves them out");
  if (!text.empty()) messages.warn(text + "; left out");
  if (images.empty()) throw DataError(options.folder + ": no image is left");
  return images;
}

/// Where the table has what an image wants.
struct Columns {
  std::optional<std::size_t> subject;
  std::vector<std::size_t> labels, attributes;
};

Columns find_columns(const Table& table, const ScanOptions& options) {
  Columns columns;
  if (!options.subject_column.empty()) columns.subject = table.column(options.subject_column);
  for (const auto& rule : options.labels) columns.labels.push_back(table.column(rule.column));
  for (const auto& title : options.attribute_columns)
    columns.attributes.push_back(table.column(title));
  return columns;
}

void add_row(ImageEntry& entry, const Table& table, const Table::Row& row, const Columns& columns,
             const std::vector<LabelRule>& labels) {
  if (columns.subject) entry.subject = row.fields[*columns.subject];
  if (entry.subject.empty())
    throw DataError(table.name + ": line " + std::to_string(row.line) + ": the subject is empty");
  for (std::size_t i = 0; i < labels.size(); ++i)
    entry.samples[0].labels.push_back(label_of(labels[i], table, row, columns.labels[i]));
  for (const auto column : columns.attributes)
    if (auto value = attribute_of(row, column); !value.is_null())
      entry.attributes[table.columns[column]] = std::move(value);
}

/// What one path of image_paths gives.
struct FoundAt {
  std::string path;  // "": is not for the journal
  std::vector<FoundImage> images, phases, localizers;
  std::map<std::string, int> others;
};

/// Name and id by the path relative to the root; that of an image "FOLDER#NAME" of the root or a
/// DICOMDIR is its NAME.
FoundImage found_image(const std::string& path, const fs::path& root, bool is_list) {
  FoundImage image;
  image.path = path;
  image.relative = fs::path(path).lexically_relative(root).string();
  const auto hash = path.rfind('#');
  if ((is_list || path.compare(0, hash, root.string()) == 0) && hash != std::string::npos)
    image.relative = path.substr(hash + 1);
  image.id = image.relative == "." ? root.filename().string() : image.relative;
  if (hash == std::string::npos && !is_folder(path)) image.id = without_ending(image.relative);
  return image;
}

FoundAt images_at(const fs::path& path, const fs::path& root, bool is_list, const IdKey& key) {
  FoundAt found;
  if (!is_list && !is_folder(path.string())) {
    auto image = found_image(path.string(), root, is_list);
    try {
      auto header = kspace::read_header(image.path);
      image.attributes = std::move(header.attributes);
      if (!header.subject.empty()) image.subject = key.id(sha256_hex(header.subject).substr(0, 16));
    } catch (const DataError& e) {
      image.unreadable = e.what();
    } catch (const MissingInputError& e) {  // the other half of a pair
      image.unreadable = e.what();
    }
    found.images.push_back(std::move(image));
    return found;
  }
  image::Listing listing;
  try {
    listing = image::list_images(path.string());
  } catch (const DataError& e) {
    auto image = found_image(path.string(), root, is_list);
    image.unreadable = e.what();
    found.images.push_back(std::move(image));
    return found;
  }
  found.others = std::move(listing.others);
  for (auto& listed : listing.images) {
    auto image = found_image(listed.path, root, is_list);
    image.unreadable = std::move(listed.unreadable);
    image.attributes = std::move(listed.header.attributes);
    image.phase = std::move(listed.phase);
    auto& those = listed.is_phase       ? found.phases
                  : listed.is_localizer ? found.localizers
                                        : found.images;
    those.push_back(std::move(image));
  }
  return found;
}

Json to_json(const std::vector<FoundImage>& images) {
  Json list = Json::array();
  for (const auto& image : images)
    list.push_back({{"id", image.id},
                    {"relative", image.relative},
                    {"path", image.path},
                    {"attributes", image.attributes},
                    {"subject", image.subject},
                    {"unreadable", image.unreadable},
                    {"phase", image.phase}});
  return list;
}

Json to_json(const FoundAt& found) {
  return {{"images", to_json(found.images)},
          {"phases", to_json(found.phases)},
          {"localizers", to_json(found.localizers)},
          {"others", found.others}};
}

/// Of a journal that this program wrote.
std::vector<FoundImage> images_from_json(const Json& list) {
  std::vector<FoundImage> images;
  for (const auto& one : list)
    images.push_back({one.at("id"), one.at("relative"), one.at("path"), one.at("attributes"),
                      one.at("subject"), one.at("unreadable"), one.at("phase")});
  return images;
}

FoundAt found_from_json(const Json& object) {
  FoundAt found;
  found.images = images_from_json(object.at("images"));
  found.phases = images_from_json(object.at("phases"));
  found.localizers = images_from_json(object.at("localizers"));
  found.others = object.at("others").get<std::map<std::string, int>>();
  return found;
}

/// What is left out of a folder without an error, and why.
struct LeftOut {
  std::map<std::string, int> others;
  std::vector<std::string> phases, localizers;

  void warn(const std::string& folder, const Messages& messages) const {
    std::string kinds;
    for (const auto& [kind, count] : others)
      kinds += (kinds.empty() ? "" : ", ") + std::to_string(count) + " " + kind;
    if (!kinds.empty())
      messages.warn(folder + ": left out: DICOM objects that are no MR images: " + kinds);
    if (!phases.empty())
      messages.warn(folder + ": left out: phase images: " + counted(phases, "image", "images"));
    if (!localizers.empty())
      messages.warn(folder +
                    ": left out: of several planes, as localizers are (--localizers "
                    "takes them): " +
                    counted(localizers, "image", "images"));
  }
};

}  // namespace

std::vector<FoundImage> find_images(const ScanOptions& options, KeyedJournal& journal,
                                    const Messages& messages) {
  const auto& folder = options.folder;
  if (!exists(folder)) throw MissingInputError(folder + ": no such folder");
  const bool is_list = !is_folder(folder) && image::looks_like_dicom(read_prefix(folder, 132));
  if (!is_folder(folder) && !is_list)
    throw DataError(folder + ": is neither a folder nor a DICOMDIR");
  const fs::path whole = resolve(folder, "");
  const auto root = is_list ? whole.parent_path() : whole;
  auto paths = is_list ? std::set<fs::path>{whole} : image_paths(root, options);
  const auto is_wanted = [&](const FoundImage& image) {
    return options.pattern.empty() ||
           fnmatch(options.pattern.c_str(), image.relative.c_str(), 0) == 0;
  };
  std::vector<FoundImage> images;
  LeftOut left_out;
  Progress progress(messages, "scanning", static_cast<std::int64_t>(paths.size()));
  ordered_pipeline(
      options.threads,
      [&]() -> std::optional<fs::path> {
        throw_if_stopped();
        if (paths.empty()) return std::nullopt;
        return paths.extract(paths.begin()).value();
      },
      [&](const fs::path& path) {
        if (const auto* known = journal.find(path.string())) return found_from_json(*known);
        if (!is_list && !is_folder(path.string()) &&
            !is_wanted(found_image(path.string(), root, is_list)))
          return FoundAt{};
        auto found = images_at(path, root, is_list, options.key);
        found.path = path.string();
        return found;
      },
      [&](FoundAt found) {
        progress.advance();
        if (!found.path.empty()) journal.append(found.path, to_json(found));
        for (auto& image : found.images)
          if (is_wanted(image)) images.push_back(std::move(image));
        for (auto& image : found.localizers) {
          if (!is_wanted(image)) continue;
          if (options.localizers)
            images.push_back(std::move(image));
          else
            left_out.localizers.push_back(image.relative);
        }
        for (const auto& image : found.phases)
          if (is_wanted(image)) left_out.phases.push_back(image.relative);
        for (const auto& [kind, count] : found.others) left_out.others[kind] += count;
      });
  left_out.warn(folder, messages);
  if (images.empty())
    throw DataError(folder + ": holds no NIfTI" + (options.png ? ", PNG" : "") +
                    (options.kspace ? ", k-space" : "") + " or DICOM image" +
                    (options.pattern.empty() ? "" : " that matches '" + options.pattern + "'"));
  std::sort(images.begin(), images.end());
  std::map<std::string, std::string> by_id;
  for (const auto& image : images) {
    const auto [first, is_new] = by_id.emplace(image.id, image.relative);
    if (!is_new)
      throw DataError(folder + ": " + first->second + " and " + image.relative +
                      " would both have the id " + image.id + "; --pattern takes one of them");
  }
  return images;
}

namespace {

void write_manifest(const ScanOptions& options, KeyedJournal& journal, ManifestOutput& output,
                    const Run& run, const Messages& messages) {
  const bool has_table = !options.table.empty();
  const auto table = has_table ? read_table(options.table) : Table{};
  const auto columns = find_columns(table, options);
  const auto rows = has_table ? rows_by_id(table, options) : Rows{};
  const auto images = matched(find_images(options, journal, messages), rows, options, messages);

  std::vector<Label> labels;
  for (const auto& rule : options.labels) labels.push_back({rule.name});
  auto writer = output.writer(labels);
  std::size_t left = images.size();
  for (const auto& image : images) {
    if (!image.unreadable.empty()) {
      if (!options.allow_unreadable)
        throw DataError(image.unreadable + "; --allow-unreadable leaves such images out");
      messages.warn(image.unreadable + "; left out");
      --left;
      continue;
    }
    ImageEntry entry;
    entry.id = entry.subject = image.id;
    entry.file = image.path;
    entry.attributes = image.attributes;
    entry.phase = image.phase;
    if (!options.masks.empty()) entry.mask = mask_path(image, options);
    entry.acquisition = options.acquisition;
    entry.samples.resize(1);
    if (has_table) add_row(entry, table, *rows.at(image.id), columns, options.labels);
    for (const auto& [name, value] : options.attributes) entry.attributes[name] = value;
    entry.id = options.key.id(entry.id);  // after the table was joined
    entry.subject =
        image.subject.empty() || columns.subject ? options.key.id(entry.subject) : image.subject;
    writer.write(entry);
  }
  if (left == 0) throw DataError(options.folder + ": no image is left");
  std::vector<std::pair<std::string, std::string>> inputs;
  if (has_table) inputs.emplace_back(file_name(options.table), sha256_file(options.table));
  writer.finish(Json::array({provenance_entry(run, inputs)}));
  output.commit();
}

}  // namespace

void scan(const ScanOptions& options, ManifestOutput& output, const Run& run,
          const Messages& messages) {
  KeyedJournal journal(
      options.journal,
      {{"command", run.command}, {"version", version()}, {"folder", resolve(options.folder, "")}},
      options.resume);
  try {
    write_manifest(options, journal, output, run, messages);
  } catch (const InterruptedError&) {
    throw;
  } catch (const IoError&) {  // of a network, say
    throw;
  } catch (const Error&) {
    journal.remove();  // reading again changes nothing
    throw;
  }
  journal.remove();
}

}  // namespace mr::dataset
