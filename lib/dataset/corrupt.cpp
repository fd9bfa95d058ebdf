#include "dataset/corrupt.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <unordered_set>

#include "base/error.h"
#include "base/journal.h"
#include "base/json.h"
#include "base/text.h"
#include "base/threads.h"
#include "dataset/bids.h"
#include "dataset/series.h"
#include "image/jpeg.h"
#include "kspace/phase.h"

namespace mr::dataset {
namespace {

struct Done {
  ImageEntry entry;
  Json line;  // with absolute paths; null where the journal has it
};

/// The steps of a recipe as a BIDS label: letters and digits.
std::string bids_label(const artifact::Recipe& recipe) {
  std::string label;
  for (const auto& step : recipe.steps)
    label += step.artifact + (step.severity ? shortest(*step.severity) : "");
  label.erase(std::remove_if(label.begin(), label.end(),
                             [](unsigned char c) { return std::isalnum(c) == 0; }),
              label.end());
  return label;
}

BidsName bids_name(const ImageEntry& entry) {
  if (auto name = parse_bids_name(entry.id)) return std::move(*name);
  throw DataError("image '" + entry.id + "': the id is no BIDS name, as mr-manifest bids gives it");
}

/// Of the derived image, without ending.
std::string bids_path(const CorruptOptions& options, const ImageEntry& entry) {
  return options.folder + "/" + bids_name(entry).with_description(bids_label(options.recipe));
}

/// The data set that an image is of.
std::string bids_root(const ImageEntry& entry) {
  const auto at = entry.file.rfind("/" + entry.id);
  if (at == std::string::npos)
    throw DataError(entry.file + ": does not lie in its data set as " + entry.id);
  return entry.file.substr(0, at);
}

/// What became of the image of an entry, and where it lies.
struct Written {
  std::string path;
  image::Derivation derivation;
  CorruptedSeries done;
};

/// stem  its path without the ending
Written write_corrupted(const ImageEntry& entry, const CorruptOptions& options,
                        const std::string& stem) {
  Written out;
  const auto& recipe = options.recipe;
  const auto draw = draw_of(entry, recipe, options.seed);
  const auto overwrite =
      options.overwrite == Overwrite::yes || options.resume ? Overwrite::yes : Overwrite::no;
  const auto describe_as = [&](const image::Volume& volume, const Json& artifacts) {
    const auto done = artifact::resolved(recipe, artifacts, options.seed, entry.id);
    out.path = stem + image::natural_extension(volume);
    make_folders(parent_folder(out.path));
    out.derivation = derivation_of(done, volume);
    out.derivation.deidentify = options.deidentify;
  };
  const auto write_whole = [&](CleanImage clean) {
    if (!options.datatype.empty()) image::set_datatype(clean.volume, options.datatype, entry.file);
    const auto result = corrupt_image(clean, recipe, draw, entry.file);
    out.done = {result.artifacts, result.fidelity};
    describe_as(result.volume, result.artifacts);
    image::write_image(result.volume, out.path, out.derivation, options.seed, overwrite);
    return out;
  };
  const auto used = artifact::used_maps(recipe);
  if (image::is_raw(entry.file)) return write_whole(read_clean(entry, used));
  image::ImageReader reader(entry.file);
  std::optional<image::ImageReader> source;
  if (reader.has_frames() && !entry.source.empty() && !image::is_raw(entry.source))
    source.emplace(entry.source);
  auto* clean = source ? &*source : nullptr;
  if (source.has_value() != entry.source.empty() && goes_by_frames(reader, clean, entry, recipe)) {
    out.done = corrupt_series(
        {reader, clean, entry,
         clean ? measure_series(*clean, entry.source, 1) : measure_series(reader, entry.file, 1),
         read_maps(entry, used), options.datatype, true},
        recipe, draw, 1, true,
        [&](const image::Volume& first, const image::NextFrame& next, const Json& artifacts) {
          describe_as(first, artifacts);
          image::write_series(first, next, out.path, out.derivation, overwrite);
        });
    return out;
  }
  return write_whole(
      clean_of(with_acquisition(reader.whole(), entry), entry, read_maps(entry, used)));
}

ImageEntry corrupt_entry(ImageEntry entry, const CorruptOptions& options) {
  throw_if_stopped();
  const auto stem =
      options.bids ? bids_path(options, entry) : image_path(options.folder, entry.id, "");
  const auto [path, derivation, result] = write_corrupted(entry, options, stem);
  if (options.bids)
    write_file(
        stem + ".json",
        bids_derivative_metadata(bids_root(entry), entry.file, derivation.text).dump(2) + "\n",
        Overwrite::yes);
  if (entry.source.empty()) entry.source = entry.file;
  entry.file = resolve(path, "");
  if (!entry.phase.empty()) entry.extra["measured_phase"] = true;
  entry.phase.clear();  // that of the image before
  for (const auto& step : result.artifacts) entry.artifacts.push_back(step);
  entry.extra["fidelity"] = artifact::to_json(result.fidelity);
  return entry;
}

}  // namespace

artifact::Maps read_maps(const ImageEntry& entry, const std::vector<artifact::Map>& wanted) {
  artifact::Maps maps;
  for (const auto kind : wanted) {
    const auto name = artifact::map_name(kind);
    if (entry.maps.contains(name))
      maps[kind] = image::read_image(string_member(entry.maps, name.c_str(), entry.file));
  }
  return maps;
}

namespace {

kspace::CoilImages read_coils(const ImageEntry& entry) {
  auto raw = image::read_raw(entry.file);
  auto& acquisition = raw.kspace.acquisition;
  acquisition = image::merge_acquisition(acquisition, entry.acquisition, entry.file);
  acquisition.dim4 = "coil";
  return kspace::coil_images(std::move(raw));
}

void read_measured(const ImageEntry& entry, CleanImage& clean) {
  clean.measured.emplace();
  clean.measured->coils = read_coils(entry);
  clean.volume = kspace::combine(clean.measured->coils);
  clean.facts = artifact::measure_facts(clean.volume);
  clean.measured->facts = artifact::measure_facts(clean.measured->coils.images);
  clean.measured->facts.signal = clean.facts.signal;
}

/// Did any step do something? Else an image stays bit for bit.
bool acted(const Json& record) {
  return std::any_of(record.begin(), record.end(),
                     [](const Json& step) { return step["slices"] != "none"; });
}

/// The steps before the export, and those of it.
std::array<artifact::Recipe, 2> divided(const artifact::Recipe& recipe) {
  std::array<artifact::Recipe, 2> parts = {recipe, recipe};
  for (auto& part : parts) part.steps.clear();
  for (const auto& step : recipe.steps) {
    const bool exported = artifact::find(step.artifact).stage == artifact::Stage::export_;
    if (!exported && !parts[1].steps.empty())
      throw DataError(step.artifact + " acts on measured complex data, but stands behind " +
                      parts[1].steps[0].artifact + ", which acts on the finished image");
    parts[exported ? 1 : 0].steps.push_back(step);
  }
  return parts;
}

/// `out` holds the clean voxels; those of `clean` are not looked at.
Json apply_to(image::Volume& out, const CleanImage& clean, const artifact::Recipe& recipe,
              const artifact::Draw& draw, int threads) {
  threads = useful_threads(threads, out.shape());
  if (!clean.measured && !clean.complex_image)
    return artifact::corrupt(out, recipe, clean.facts, draw, threads, clean.maps);
  const auto parts = divided(recipe);
  Json record;
  if (clean.measured) {
    auto coils = clean.measured->coils;
    record =
        artifact::corrupt(coils.images, parts[0], clean.measured->facts, draw, threads, clean.maps);
    const auto storage = out.storage;
    out = kspace::combine(coils);
    out.storage = storage;
  } else {
    auto image = *clean.complex_image;
    record = artifact::corrupt(image, parts[0], clean.facts, draw, threads, clean.maps);
    if (acted(record))
      for (std::int64_t i = 0; i < out.voxels.size(); ++i)
        out.voxels[i] = std::abs(image.complex_voxels[i]);
  }
  for (auto& step : artifact::corrupt(out, parts[1], clean.facts, draw, threads, clean.maps))
    record.push_back(std::move(step));
  return record;
}

}  // namespace

Json apply_recipe(const CleanImage& clean, const artifact::Recipe& recipe,
                  const artifact::Draw& draw, image::Volume& out, int threads) {
  out = clean.volume;
  return apply_to(out, clean, recipe, draw, threads);
}

CorruptedImage corrupt_in_place(CleanImage clean, const artifact::Recipe& recipe,
                                const artifact::Draw& draw, const std::string& name, int threads) {
  CorruptedImage result;
  result.volume = std::move(clean.volume);
  try {
    result.artifacts = apply_to(result.volume, clean, recipe, draw, threads);
    image::quantise(result.volume);
  } catch (const DataError& e) {
    throw DataError(name + ": " + e.what());
  }
  return result;
}

void add_phase(CleanImage& clean, const std::string& path) {
  clean.complex_image = kspace::with_phase(clean.volume, image::read_phase(path), path);
}

image::Volume with_acquisition(image::Volume volume, const ImageEntry& entry) {
  volume.acquisition = image::merge_acquisition(volume.acquisition, entry.acquisition, entry.file);
  return volume;
}

image::Volume read_finished(const ImageEntry& entry) {
  if (image::is_raw(entry.file)) return kspace::combine(read_coils(entry));
  return with_acquisition(image::read_image(entry.file), entry);
}

image::Volume read_seen(const ImageEntry& entry) {
  if (image::is_raw(entry.file)) return read_finished(entry);
  image::ImageReader reader(entry.file);
  if (reader.has_frames()) {
    auto first = with_acquisition(reader.next_frame(), entry);
    if (first.acquisition.dim4 != "coil") return first;
  }
  return read_finished(entry);
}

int useful_threads(int threads, const Shape& shape) {
  constexpr std::int64_t voxels_of_thread = 1 << 16;
  const auto worth = count(shape) / shape[0] / voxels_of_thread + 1;
  return static_cast<int>(std::min<std::int64_t>(threads, worth));
}

CleanImage read_clean(const ImageEntry& entry, const std::vector<artifact::Map>& maps) {
  if (!image::is_raw(entry.file))
    return clean_of(read_finished(entry), entry, read_maps(entry, maps));
  if (!entry.phase.empty())
    throw DataError(entry.phase + ": a phase image of k-space, which has its own");
  CleanImage clean;
  clean.maps = read_maps(entry, maps);
  read_measured(entry, clean);
  return clean;
}

CleanImage clean_of(image::Volume volume, const ImageEntry& entry, artifact::Maps maps) {
  CleanImage clean;
  clean.maps = std::move(maps);
  clean.volume = std::move(volume);
  if (!entry.phase.empty()) add_phase(clean, entry.phase);
  if (!entry.source.empty()) {
    auto source = entry;
    source.file = entry.source;
    clean.source = read_finished(source);
    if (clean.source->shape() != clean.volume.shape())
      throw DataError(entry.file + ": its size differs from its source's, " + entry.source);
  }
  try {
    clean.facts = artifact::measure_facts(clean.source ? *clean.source : clean.volume);
  } catch (const DataError& e) {
    throw DataError((clean.source ? entry.source : entry.file) + ": " + e.what());
  }
  return clean;
}

CorruptedImage corrupt_image(const CleanImage& clean, const artifact::Recipe& recipe,
                             const artifact::Draw& draw, const std::string& name, bool parts,
                             int threads) {
  CorruptedImage result;
  const auto& source = clean.source ? *clean.source : clean.volume;
  try {
    result.artifacts = apply_recipe(clean, recipe, draw, result.volume, threads);
    if (recipe.gain == artifact::Gain::match)
      result.artifacts.push_back(artifact::match_gain_step(source, result.volume, clean.facts));
    if (parts) {
      result.structure = result.volume;
      const auto gains = artifact::match_gain(source, *result.structure, clean.facts);
      image::quantise(*result.structure);
      result.gain = source;
      artifact::apply_gain(*result.gain, gains);
      image::quantise(*result.gain);
    }
    image::quantise(result.volume);
    result.fidelity = artifact::compare(source, result.volume, clean.facts);
  } catch (const DataError& e) {
    throw DataError(name + ": " + e.what());
  }
  return result;
}

artifact::Draw draw_of(const ImageEntry& entry, const artifact::Recipe& recipe,
                       std::uint64_t seed) {
  artifact::Draw draw{seed, entry.id, std::nullopt, {}};
  for (const auto& level : artifact::levels(recipe)) {
    if (level != "subject" && !entry.attributes.contains(level))
      throw DataError("image '" + entry.id + "': the recipe draws per " + level +
                      ", but it has no such attribute: give it as attributes." + level +
                      " in the manifest, or --attribute " + level + "=VALUE");
    draw.ids[level] =
        level + " " + (level == "subject" ? entry.subject : to_line(entry.attributes[level]));
  }
  return draw;
}

namespace {

/// Of a resolved recipe: its probabilities are 1 or 0.
bool was_done(const artifact::Step& step) {
  return !step.probability || step.probability->median != 0;
}

}  // namespace

std::string describe(const artifact::Recipe& recipe) {
  std::string text;
  for (const auto& step : recipe.steps) {
    if (!was_done(step)) continue;
    text += (text.empty() ? "" : " ") + step.artifact;
    if (step.severity) text += ":" + shortest(*step.severity);
    const auto usual = artifact::at_severity(artifact::find(step.artifact),
                                             step.severity.value_or(2), recipe.ladder.get());
    for (const auto& [name, value] : step.parameters)
      if (usual.at(name) != value) text += "," + name + "=" + shortest(value);
    for (const auto& [name, unused] : step.distributions) text += "," + name + "=drawn";
  }
  if (recipe.gain == artifact::Gain::match) text += " match-gain";
  return text;
}

namespace {

double value_of(const artifact::Step& step, const std::string& parameter) {
  const auto own = step.parameters.find(parameter);
  if (own != step.parameters.end()) return own->second;
  return artifact::at_severity(artifact::find(step.artifact), step.severity.value_or(2))
      .at(parameter);
}

/// Pixels / bytes of the volume's slices as JPEG files: as good as measured on the way, since an
/// image that was a JPEG file becomes one of the same size.
double jpeg_ratio(const image::Volume& volume, double quality) {
  const auto width = volume.length(0), height = volume.length(1), n = width * height;
  float most = 0;
  for (const float value : volume.voxels) most = std::max(most, value);
  if (!(most > 0)) return 1;
  image::GreyPixels grey;
  grey.width = static_cast<int>(width);
  grey.height = static_cast<int>(height);
  grey.pixels.resize(static_cast<std::size_t>(n));
  double bytes = 0;
  for (std::int64_t first = 0; first < volume.voxels.size(); first += n) {
    for (std::int64_t i = 0; i < n; ++i)
      grey.pixels[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(
          std::lround(std::max(0.0f, volume.voxels[first + i]) * 255 / most));
    bytes += static_cast<double>(
        image::encode_jpeg(grey, static_cast<int>(std::clamp(quality, 1.0, 100.0))).size());
  }
  return static_cast<double>(volume.voxels.size()) / bytes;
}

}  // namespace

image::Derivation derivation_of(const artifact::Recipe& recipe, const image::Volume& volume) {
  const auto done = describe(recipe);
  image::Derivation derivation{done.empty() ? "" : "mr-corrupt: " + done};
  for (const auto& step : recipe.steps) {
    if (!was_done(step)) continue;
    if (step.artifact == "jpeg")
      derivation.lossy.push_back({"ISO_10918_1", jpeg_ratio(volume, value_of(step, "quality"))});
    if (step.artifact == "jpeg2000")
      derivation.lossy.push_back({"ISO_15444_1", value_of(step, "ratio")});
    derivation.burned_in = derivation.burned_in || step.artifact == "burnt-in-text";
  }
  return derivation;
}

std::string image_path(const std::string& folder, const std::string& id,
                       const std::string& extension) {
  std::string name;
  for (const char c : id) {
    const auto u = static_cast<unsigned char>(c);
    const bool plain = std::isalnum(u) || c == '-' || c == '_' || c == '/' ||
                       (c == '.' && !name.empty() && name.back() != '/');
    if (plain && u < 128 && !(c == '/' && (name.empty() || name.back() == '/'))) {
      name += c;
    } else {
      static const char* hex = "0123456789ABCDEF";
      name += {'%', hex[u >> 4], hex[u & 15]};
    }
  }
  return folder + "/" + name + extension;
}

void corrupt_manifest(ManifestReader& reader, const CorruptOptions& options, const Run& run,
                      const Messages& messages) {
  const bool to_file = !options.manifest_out.empty() && options.manifest_out != "-";
  if (to_file) require_absent(options.manifest_out, options.overwrite);
  if (!options.resume) require_absent(options.folder, options.overwrite);
  make_folders(options.folder);
  KeyedJournal journal(
      options.folder + "/.mr-corrupt.jsonl",
      {{"command", run.command}, {"version", version()}, {"manifest", reader.name()}},
      options.resume);
  std::optional<AtomicFile> file;
  if (to_file) file.emplace(options.manifest_out, options.overwrite);
  const auto sink = [&](std::string_view bytes) {
    if (file)
      file->write(bytes);
    else
      write_stdout(bytes);
  };
  ManifestWriter writer(sink, reader.labels(),
                        to_file ? parent_folder(resolve(options.manifest_out, "")) : "");
  Progress progress(messages, "corrupting", 0);
  std::unordered_set<std::string> ids;
  std::string root;  // of the BIDS data set
  ordered_pipeline(
      options.threads,
      [&]() -> std::optional<ImageEntry> {
        throw_if_stopped();
        ImageEntry entry;
        if (!reader.next(entry)) return std::nullopt;
        if (!ids.insert(entry.id).second)
          throw DataError(reader.name() + ": image id '" + entry.id + "' stands twice");
        if (options.bids) {
          const auto own = bids_root(entry);
          if (!root.empty() && own != root)
            throw DataError(reader.name() + ": images of two BIDS data sets, " + root + " and " +
                            own + "; want one");
          root = own;
        }
        return entry;
      },
      [&](ImageEntry entry) {
        if (const auto* finished = journal.find(entry.id))
          return Done{entry_from_json(*finished, reader.labels(), "", reader.name()), nullptr};
        auto corrupted = corrupt_entry(std::move(entry), options);
        auto line = to_json(corrupted, "");
        return Done{std::move(corrupted), std::move(line)};
      },
      [&](Done done) {
        if (!done.line.is_null()) journal.append(done.entry.id, done.line);
        writer.write(done.entry);
        progress.advance();
      });
  if (!root.empty()) write_bids_description(options.folder, root, run);
  auto provenance = reader.provenance();
  provenance.push_back(provenance_entry(run, {{file_name(reader.name()), reader.sha256()}}));
  writer.finish(provenance, reader.extra());
  if (file) file->commit();
  journal.remove();
}

}  // namespace mr::dataset
