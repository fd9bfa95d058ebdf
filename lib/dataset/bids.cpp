#include "dataset/bids.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/run.h"
#include "base/text.h"
#include "base/threads.h"
#include "dataset/table.h"
#include "image/image_file.h"

namespace mr::dataset {
namespace fs = std::filesystem;
namespace {

bool is_label(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return std::isalnum(c) != 0; });
}

/// "sub-01_T1w" as entities and a suffix.
bool parse_file(const std::string& stem, BidsName& name) {
  const auto parts = split(stem, '_');
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    const auto dash = parts[i].find('-');
    if (dash == std::string::npos || !is_label(parts[i].substr(0, dash)) ||
        !is_label(parts[i].substr(dash + 1)))
      return false;
    name.entities.emplace_back(parts[i].substr(0, dash), parts[i].substr(dash + 1));
  }
  name.suffix = parts.back();
  return is_label(name.suffix);
}

std::string without_nifti_ending(const std::string& path) {
  for (const char* ending : {".nii.gz", ".nii"})
    if (ends_with(path, ending)) return path.substr(0, path.size() - std::string(ending).size());
  return "";
}

/// Does the JSON file `stem` say something of the image? Its entities are among those of the image.
bool applies(const std::string& stem, const BidsName& image) {
  BidsName name;
  if (!parse_file(stem, name) || name.suffix != image.suffix) return false;
  return std::all_of(name.entities.begin(), name.entities.end(),
                     [&](const auto& entity) { return image.of(entity.first) == entity.second; });
}

/// JSON files of one folder, those with fewer entities first.
std::vector<fs::path> sidecars_in(const std::string& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".json") found.push_back(entry.path());
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a.native().size(), a.native()) < std::pair(b.native().size(), b.native());
  });
  return found;
}

/// What the JSON files of a data set say of its images. Its root, which has a folder for every
/// subject, is listed once.
class Metadata {
 public:
  explicit Metadata(std::string root) : root_(std::move(root)), of_root_(sidecars_in(root_)) {}

  /// By the inheritance principle: from the root down. throws DataError
  Json of(const std::string& relative) const {
    Json metadata = Json::object();
    const auto name = parse_bids_name(relative);
    if (!name) return metadata;
    add(of_root_, *name, metadata);
    for (auto at = relative.find('/'); at != std::string::npos; at = relative.find('/', at + 1))
      add(sidecars_in(root_ + "/" + relative.substr(0, at)), *name, metadata);
    return metadata;
  }

 private:
  static void add(const std::vector<fs::path>& sidecars, const BidsName& image, Json& metadata) {
    for (const auto& path : sidecars) {
      if (!applies(path.stem().string(), image)) continue;
      const auto own = read_json(path.string());
      if (!own.is_object()) throw DataError(path.string() + ": want an object");
      metadata.update(own);
    }
  }

  std::string root_;
  std::vector<fs::path> of_root_;
};

/// A table of the data set by the value of its first column; absent ones are empty.
class KeyedTable {
 public:
  KeyedTable() = default;
  explicit KeyedTable(const std::string& path) {
    if (!exists(path)) return;
    table_ = read_table(path);
    for (const auto& row : table_.rows)
      if (!rows_.emplace(row.fields[0], &row).second)
        throw DataError(path + ": line " + std::to_string(row.line) + ": '" + row.fields[0] +
                        "' is there twice");
  }
  KeyedTable(const KeyedTable&) = delete;
  KeyedTable& operator=(const KeyedTable&) = delete;

  const Table& table() const { return table_; }
  const Table::Row* row(const std::string& key) const {
    const auto found = rows_.find(key);
    return found == rows_.end() ? nullptr : found->second;
  }
  const std::map<std::string, const Table::Row*>& rows() const { return rows_; }

 private:
  Table table_;
  std::map<std::string, const Table::Row*> rows_;
};

/// The tables that say something of one image, nearest first, and the row of each.
struct Rows {
  std::vector<std::pair<const KeyedTable*, const Table::Row*>> all;

  int label(const LabelRule& rule) const {
    for (const auto& [table, row] : all)
      if (const auto column = table->table().find(rule.column); row && column)
        return label_of(rule, table->table(), *row, *column);
    return unknown_label;
  }
};

/// Columns that are no property of the subject.
const std::set<std::string> no_attributes = {"participant_id", "session_id", "filename",
                                             "acq_time"};

void add_columns(const KeyedTable& table, const Table::Row* row, Json& attributes) {
  if (!row) return;
  for (std::size_t c = 0; c < table.table().columns.size(); ++c)
    if (const auto& title = table.table().columns[c]; no_attributes.count(title) == 0)
      if (auto value = attribute_of(*row, c); !value.is_null())
        attributes[title] = std::move(value);
}

/// What BIDS says in seconds and our acquisition in milliseconds, and the like.
void add_metadata(const Json& metadata, ImageEntry& entry) {
  const auto number = [&](const char* key) -> std::optional<double> {
    const auto found = metadata.find(key);
    return found != metadata.end() && found->is_number() && found->get<double>() > 0
               ? std::optional(found->get<double>())
               : std::nullopt;
  };
  const auto text = [&](const char* key) {
    const auto found = metadata.find(key);
    return found != metadata.end() && found->is_string() ? found->get<std::string>() : "";
  };
  auto& a = entry.acquisition;
  for (const auto& [key, ours] :
       {std::pair("RepetitionTime", "tr_ms"), std::pair("EchoTime", "te_ms"),
        std::pair("InversionTime", "ti_ms"), std::pair("EffectiveEchoSpacing", "echo_spacing_ms")})
    if (const auto seconds = number(key)) a[ours] = *seconds * 1000;
  if (const auto flip = number("FlipAngle")) a["flip_deg"] = *flip;
  if (const auto field = number("MagneticFieldStrength"))
    a["field_t"] = entry.attributes["field_t"] = *field;
  if (const auto train = number("EchoTrainLength"); train && *train == static_cast<int>(*train))
    a["echo_train"] = static_cast<int>(*train);
  if (const auto mode = lower(text("MRAcquisitionType")); mode == "2d" || mode == "3d")
    a["mode"] = mode;
  const auto phase = text("PhaseEncodingDirection");
  if (!phase.empty() && phase.find_first_of("ijk") == 0 &&
      (phase.size() == 1 || phase.substr(1) == "-"))
    a["phase_encode_axis"] = phase;
  for (const auto& [key, ours] :
       {std::pair("Manufacturer", "manufacturer"), std::pair("ManufacturersModelName", "model")})
    if (const auto value = text(key); !value.empty()) entry.attributes[ours] = value;
  for (const char* key : {"PulseSequenceType", "SequenceName", "ScanningSequence"})
    if (const auto value = text(key); !value.empty()) {
      a["sequence"] = entry.attributes["sequence"] = value;
      break;
    }
}

struct BidsImage {
  std::string relative;  // without ending
  std::string path;
  BidsName name;
  std::string phase = {};  // path of its phase image; "": none
};

std::vector<BidsImage> bids_images(const BidsOptions& options) {
  const auto root = resolve(options.folder, "");
  std::vector<BidsImage> images;
  std::map<std::string, std::string> phases;  // by stem
  std::error_code error;
  for (const auto& subject : fs::directory_iterator(root, error)) {
    if (!subject.is_directory() || subject.path().filename().string().rfind("sub-", 0) != 0)
      continue;
    for (const auto& file : fs::recursive_directory_iterator(subject.path(), error)) {
      const auto path = file.path().string();
      const auto stem = without_nifti_ending(fs::path(path).lexically_relative(root).string());
      if (stem.empty() || !file.is_regular_file()) continue;
      auto name = parse_bids_name(stem);
      const bool wanted =
          name && name->datatype == options.datatype &&
          (options.suffixes.empty() || std::find(options.suffixes.begin(), options.suffixes.end(),
                                                 name->suffix) != options.suffixes.end());
      if (wanted && name->of("part") == "phase")
        phases[stem] = path;
      else if (wanted)
        images.push_back({stem, path, std::move(*name)});
    }
  }
  std::sort(images.begin(), images.end(),
            [](const auto& a, const auto& b) { return a.relative < b.relative; });
  for (auto& image : images)
    if (const auto at = image.relative.find("_part-mag_"); at != std::string::npos) {
      auto phase = image.relative;
      phase.replace(at, 10, "_part-phase_");
      if (const auto found = phases.find(phase); found != phases.end()) image.phase = found->second;
    }
  if (images.empty())
    throw DataError(options.folder + ": holds no image sub-*/" + options.datatype +
                    (options.suffixes.empty() ? "" : " of these suffixes"));
  return images;
}

/// The tables of a data set, read when they are first asked for.
class BidsTables {
 public:
  explicit BidsTables(std::string root)
      : root_(std::move(root)), participants_(root_ + "/participants.tsv") {}
  const KeyedTable& participants() const { return participants_; }

  Rows rows(const BidsImage& image) {
    const auto subject = "sub-" + image.name.of("sub"), session = image.name.of("ses");
    const auto stem = session.empty() ? subject : subject + "_ses-" + session;
    const auto folder = root_ + "/" + subject + (session.empty() ? "" : "/ses-" + session);
    Rows rows;
    const auto& scans = table(folder + "/" + stem + "_scans.tsv");
    const auto inside = image.path.substr(folder.size() + 1);
    rows.all.emplace_back(&scans, scans.row(inside));
    const auto& sessions = table(root_ + "/" + subject + "/" + subject + "_sessions.tsv");
    rows.all.emplace_back(&sessions, session.empty() ? nullptr : sessions.row("ses-" + session));
    rows.all.emplace_back(&participants_, participants_.row(subject));
    return rows;
  }

 private:
  const KeyedTable& table(const std::string& path) {
    auto& kept = tables_[path];
    if (!kept) kept = std::make_unique<KeyedTable>(path);
    return *kept;
  }
  std::string root_;
  KeyedTable participants_;
  std::map<std::string, std::unique_ptr<KeyedTable>> tables_;
};

void require_columns(const BidsOptions& options, const std::vector<Rows>& rows) {
  for (const auto& rule : options.labels) {
    const bool found = std::any_of(rows.begin(), rows.end(), [&](const Rows& r) {
      return std::any_of(r.all.begin(), r.all.end(), [&](const auto& one) {
        return one.first->table().find(rule.column).has_value();
      });
    });
    if (!found)
      throw UsageError(options.folder + ": no column '" + rule.column +
                       "' in participants.tsv, sessions.tsv or scans.tsv");
  }
}

/// Subjects without a row in participants.tsv, and rows without an image.
void report_unmatched(const BidsOptions& options, const std::vector<BidsImage>& images,
                      const KeyedTable& participants, const Messages& messages) {
  if (participants.table().name.empty()) return;
  std::set<std::string> subjects;
  for (const auto& image : images) subjects.insert("sub-" + image.name.of("sub"));
  std::size_t without_image = 0, without_row = 0;
  std::string first_row, first_subject;
  for (const auto& [subject, row] : participants.rows())
    if (subjects.count(subject) == 0 && without_image++ == 0) first_row = subject;
  for (const auto& subject : subjects)
    if (!participants.row(subject) && without_row++ == 0) first_subject = subject;
  const auto& name = participants.table().name;
  if (without_image > 0)
    messages.warn(name + ": " + std::to_string(without_image) +
                  " participants have no such image (" + first_row +
                  (without_image > 1 ? ", ...)" : ")"));
  if (without_row == 0) return;
  const auto text = name + ": " + std::to_string(without_row) + " subjects have no row (" +
                    first_subject + (without_row > 1 ? ", ...)" : ")");
  if (!options.allow_unmatched)
    throw DataError(text + "; --allow-unmatched takes their labels as unknown");
  messages.warn(text);
}

}  // namespace

std::string BidsName::of(const std::string& entity) const {
  for (const auto& [key, value] : entities)
    if (key == entity) return value;
  return "";
}

std::string BidsName::with_description(const std::string& label) const {
  std::string file, folder = "sub-" + of("sub") + "/";
  if (!of("ses").empty()) folder += "ses-" + of("ses") + "/";
  for (const auto& [key, value] : entities)
    if (key != "desc") file += key + "-" + value + "_";
  return folder + datatype + "/" + file + "desc-" + label + "_" + suffix;
}

std::optional<BidsName> parse_bids_name(const std::string& relative) {
  const auto parts = split(relative, '/');
  if (parts.size() != 3 && parts.size() != 4) return std::nullopt;
  BidsName name;
  if (!parse_file(parts.back(), name)) return std::nullopt;
  name.datatype = parts[parts.size() - 2];
  const bool sessions = parts.size() == 4;
  const auto subject = "sub-" + name.of("sub"), session = "ses-" + name.of("ses");
  if (parts[0] != subject || (sessions ? parts[1] != session : !name.of("ses").empty()))
    return std::nullopt;
  return name;
}

void scan_bids(const BidsOptions& options, ManifestOutput& output, const Run& run,
               const Messages& messages) {
  const auto root = resolve(options.folder, "");
  if (!exists(options.folder)) throw MissingInputError(options.folder + ": no such folder");
  const auto description = options.folder + "/dataset_description.json";
  if (!exists(description))
    throw DataError(options.folder + ": no BIDS data set: lacks dataset_description.json");
  const auto images = bids_images(options);
  const Metadata metadata(root);
  BidsTables tables(root);
  std::vector<Rows> rows;
  for (const auto& image : images) rows.push_back(tables.rows(image));
  require_columns(options, rows);
  report_unmatched(options, images, tables.participants(), messages);
  std::vector<Label> labels;
  for (const auto& rule : options.labels) labels.push_back({rule.name});
  auto writer = output.writer(labels);
  Progress progress(messages, "scanning", static_cast<std::int64_t>(images.size()));
  std::size_t next = 0;
  ordered_pipeline(
      options.threads,
      [&]() -> std::optional<std::size_t> {
        throw_if_stopped();
        return next < images.size() ? std::optional(next++) : std::nullopt;
      },
      [&](std::size_t i) {
        const auto& image = images[i];
        ImageEntry entry;
        entry.id = options.key.id(image.relative);
        entry.subject = options.key.id("sub-" + image.name.of("sub"));
        entry.file = image.path;
        entry.phase = image.phase;
        entry.attributes = image::read_header(image.path).attributes;
        for (const auto& [key, value] : image.name.entities)
          if (key != "sub") entry.attributes[key == "ses" ? "session" : key] = value;
        entry.attributes["suffix"] = image.name.suffix;
        add_metadata(metadata.of(image.relative), entry);
        for (auto from = rows[i].all.rbegin(); from != rows[i].all.rend(); ++from)
          if (from->first != rows[i].all.front().first)  // of scans.tsv only what is a label
            add_columns(*from->first, from->second, entry.attributes);
        entry.samples.resize(1);
        for (const auto& rule : options.labels)
          entry.samples[0].labels.push_back(rows[i].label(rule));
        return entry;
      },
      [&](const ImageEntry& entry) {
        progress.advance();
        writer.write(entry);
      });
  std::vector<std::pair<std::string, std::string>> inputs = {
      {file_name(description), sha256_file(description)}};
  if (const auto& table = tables.participants().table().name; !table.empty())
    inputs.emplace_back(file_name(table), sha256_file(table));
  writer.finish(Json::array({provenance_entry(run, inputs)}));
  output.commit();
}

void write_bids_description(const std::string& folder, const std::string& source, const Run& run) {
  const auto of_source = source + "/dataset_description.json";
  const auto raw = exists(of_source) ? read_json(of_source) : Json();
  const auto name = raw.is_object() && raw.contains("Name") && raw["Name"].is_string()
                        ? raw["Name"].get<std::string>()
                        : std::string("data set");
  Json description = {
      {"Name", "Simulated artifacts of: " + name},
      {"BIDSVersion", "1.8.0"},
      {"DatasetType", "derivative"},
      {"GeneratedBy",
       {{{"Name", run.tool}, {"Version", version()}, {"Description", run.command}}}}};
  if (raw.is_object() && raw.contains("DatasetDOI") && raw["DatasetDOI"].is_string()) {
    description["SourceDatasets"] = {{{"DOI", raw["DatasetDOI"]}}};
    description["DatasetLinks"] = {{"raw", raw["DatasetDOI"]}};
  } else if (!run.redact_paths) {
    description["DatasetLinks"] = {
        {"raw", fs::path(source).lexically_relative(resolve(folder, "")).string()}};
  }
  if (raw.is_object() && raw.contains("License")) description["License"] = raw["License"];
  write_file(folder + "/dataset_description.json", description.dump(2) + "\n", Overwrite::yes);
  const auto participants = source + "/participants.tsv";
  if (exists(participants))
    write_file(folder + "/participants.tsv", read_all(participants), Overwrite::yes);
}

Json bids_derivative_metadata(const std::string& root, const std::string& file,
                              const std::string& description) {
  const auto relative = file.substr(root.size() + 1);
  auto metadata = Metadata(root).of(without_nifti_ending(relative));
  metadata["Description"] = description;
  metadata["Sources"] = {"bids:raw:" + relative};
  if (!metadata.contains("SkullStripped")) metadata["SkullStripped"] = false;
  return metadata;
}

}  // namespace mr::dataset
