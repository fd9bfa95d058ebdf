// mr-corrupt: put MR artifacts into images. Only the command line lives here.
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <utility>

#include "artifact/catalogue.h"
#include "artifact/ready_recipes.h"
#include "artifact/recipe.h"
#include "base/json.h"
#include "base/text.h"
#include "base/threads.h"
#include "dataset/calibrate.h"
#include "dataset/corrupt.h"
#include "dataset/series.h"
#include "dataset/sheet.h"
#include "image/image_file.h"
#include "kspace/shots.h"
#include "tool_main.h"

namespace {

struct Options {
  std::string input = "-";
  std::vector<std::string> steps;
  std::string datatype;
  std::vector<std::string> maps, attributes;
  std::string preset, recipe, output, manifest_out, id, root, mode, phase_encode, line_order;
  std::string sequence, gain, ladder, print_recipe, save_kspace;
  int echo_train = 0;
  std::uint64_t seed = 1;
  int threads = 0;
  bool resume = false, force = false, list = false, json = false;
  std::string sheet;
  std::optional<std::int64_t> slice;
  bool seed_given = false;
  bool deidentify = false, bids = false;
  std::string id_key, combine, phase;
  std::vector<double> targets = {5, 10, 17, 25, 40};
  mr::dataset::CalibrateOptions calibrate;
};

void declare(CLI::App& app, Options& o) {
  app.description("Put MR artifacts into an image, or into every image of a manifest.");
  app.add_option(
         "input", o.input,
         "Image (NIfTI, DICOM file, folder or FOLDER#NAME; k-space) or manifest; - is standard "
         "input")
      ->capture_default_str();
  auto* steps =
      app.add_option("-a,--artifact", o.steps,
                     "NAME[:SEVERITY 0..5][,PARAMETER=VALUE...]; repeat to chain, in order")
          ->allow_extra_args(false);
  app.add_option("--recipe", o.recipe,
                 "Recipe file (mr-recipe/1), or the name of a ready one (--list), instead of -a")
      ->excludes(steps);
  app.add_option("--preset", o.preset,
                 "mri-robustness:N: the published parametrisation at N percent of the artifacts "
                 "named by -a");
  app.add_option(
         "--gain", o.gain,
         "keep (default): as simulated; match: divided by the least-squares gain on the clean "
         "image")
      ->check(CLI::IsMember({"keep", "match"}));
  app.add_option("--ladder", o.ladder,
                 "Severities as mr-corrupt calibrate solved them (mr-ladder/1)");
  app.add_option(
      "--print-recipe", o.print_recipe,
      "File for what was drawn for a lone image, as a recipe that gives the same bytes again");
  app.add_option("--save-kspace", o.save_kspace,
                 "File (NIfTI, complex) for the k-space of a lone image's result");
  app.add_option(
      "--sheet", o.sheet,
      "PNG file: a slice of a lone image under the artifacts of -a (default: all) at severities "
      "1 to 5, and what changed; no image is written");
  app.add_option("--slice", o.slice, "Slice of --sheet (default: the middle one)");
  app.add_option("--phase", o.phase,
                 "Phase image of a lone magnitude image: artifacts act on the complex image");
  app.add_option("--combine", o.combine,
                 "How coils of k-space are combined: rss (default) or sense")
      ->check(CLI::IsMember({"rss", "sense"}));
  app.add_flag("--bids", o.bids,
               "The images of a BIDS data set (mr-manifest bids) become a derivative data set");
  app.add_flag("--deidentify", o.deidentify,
               "Take who was imaged out of the headers: DICOM PS3.15 basic profile; pixels are not "
               "looked at");
  app.add_option("--id-key", o.id_key,
                 "Key file for --deidentify, which makes new patient ids and UIDs; made where "
                 "missing");
  app.add_option("-o,--output", o.output,
                 "File for an image (default: standard output), folder for a manifest");
  app.add_option("--datatype", o.datatype, "Type of the numbers in NIfTI files written")
      ->check(CLI::IsMember(mr::image::datatype_names()));
  app.add_option("--manifest-out", o.manifest_out,
                 "Where the manifest goes, with paths relative to it (default for a manifest: "
                 "standard output, with absolute paths)");
  app.add_option("--id", o.id,
                 "Id of a lone image (default: SHA-256 of its voxels); keys the draws");
  app.add_option("--mode", o.mode, "2d or 3d: encoding of a lone image")
      ->check(CLI::IsMember({"2d", "3d"}));
  app.add_option("--phase-encode", o.phase_encode, "i, j or k: phase-encode axis of a lone image")
      ->check(CLI::IsMember({"i", "j", "k", "i-", "j-", "k-"}));
  app.add_option("--line-order", o.line_order, "Order of a lone image's phase-encoding lines")
      ->check(CLI::IsMember(mr::kspace::line_order_names()));
  app.add_option("--echo-train", o.echo_train, "Lines a shot of a lone image")
      ->check(CLI::PositiveNumber);
  app.add_option(
      "--sequence", o.sequence,
      "Name of a lone image's sequence (tse, mprage, epi, gre, ...): sets its timing where "
      "the header does not");
  app.add_option("--map", o.maps,
                 "fat|field|coils|tissue=FILE: a map of a lone image, on its grid; repeat")
      ->allow_extra_args(false);
  app.add_option(
         "--attribute", o.attributes,
         "NAME=VALUE: what a lone image belongs to (scanner=A, ...), for recipes that draw per "
         "NAME; repeat")
      ->allow_extra_args(false);
  app.add_option("--root", o.root, "Where relative paths of a manifest on standard input start");
  app.add_option("--seed", o.seed, "Same seed, same bytes; a printed recipe brings its own")
      ->capture_default_str();
  app.add_option("-t,--threads", o.threads, "Threads (default: what the machine allows)")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--resume", o.resume, "Go on where a stopped run over a manifest ended");
  app.add_flag("-f,--force", o.force, "Replace what exists");
  app.add_flag("--list", o.list, "List the artifacts with their parameters and severities");
  app.add_flag("--json", o.json, "The list as JSON");
  app.footer(
      "Examples:\n"
      "  mr-corrupt -a motion:3 < knee.nii.gz > moved.nii.gz\n"
      "  mr-corrupt -a bias:2 -a rician:4 knee.nii.gz -o noisy.nii.gz\n"
      "  mr-corrupt -a ghosting:3 -o ghosted/ test.json > ghosted.json\n"
      "  mr-corrupt --preset mri-robustness:5 -a rician knee.nii.gz -o published.nii.gz");
}

void declare_calibrate(CLI::App& app, Options& o) {
  app.add_option("manifest", o.input,
                 "Manifest (mr-manifest/1) of clean images; - is standard input")
      ->capture_default_str();
  app.add_option("-a,--artifact", o.calibrate.artifacts, "Name; repeat (default: the study's five)")
      ->allow_extra_args(false);
  app.add_option("--targets", o.targets, "NRMSE in the foreground after gain removal, in percent")
      ->delimiter(',')
      ->expected(5)
      ->allow_extra_args(false)
      ->default_str("5,10,17,25,40");
  app.add_option("--split", o.calibrate.split, "Images of this split alone")->capture_default_str();
  app.add_option("--images", o.calibrate.images, "Images at most, spread over the split")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
}

std::string list_json() {
  mr::Json rows = mr::Json::array();
  for (const auto& row : mr::artifact::catalogue()) rows.push_back(mr::artifact::to_json(row));
  return rows.dump(2) + "\n";
}

std::string list() {
  std::string text;
  for (const auto& row : mr::artifact::catalogue()) {
    text += row.name + " (" + mr::artifact::stage_name(row.stage) + "): " + row.summary + "\n";
    for (const auto& p : row.parameters) {
      text += "  " + p.name + " [" + p.unit + "], " + mr::shortest(p.low) + " to " +
              mr::shortest(p.high) + ": " + p.description + "\n    severities 1 to 5:";
      for (const double level : p.levels) text += " " + mr::shortest(level);
      text += "\n";
    }
    text += "  source: " + row.source + "\n";
  }
  for (const auto& ready : mr::artifact::ready_recipes())
    text += "recipe " + ready.name + ": " + ready.summary + "\n";
  return text;
}

mr::artifact::Recipe steps_of(const Options& o) {
  if (!o.recipe.empty()) return mr::artifact::read_recipe(o.recipe);
  if (o.steps.empty())
    throw mr::UsageError("no artifact: name one with -a (--list shows them), or a --recipe");
  if (!o.preset.empty()) return mr::artifact::parse_preset(o.preset, o.steps);
  mr::artifact::Recipe recipe;
  for (const auto& step : o.steps) recipe.steps.push_back(mr::artifact::parse_step(step));
  return recipe;
}

mr::artifact::Recipe recipe_of(const Options& o) {
  auto recipe = steps_of(o);
  if (!o.gain.empty())
    recipe.gain = o.gain == "match" ? mr::artifact::Gain::match : mr::artifact::Gain::keep;
  if (!o.ladder.empty())
    recipe.ladder = std::make_shared<const mr::artifact::Ladder>(
        mr::artifact::ladder_from_json(mr::read_json(o.ladder), o.ladder));
  return recipe;
}

/// A manifest begins with '{'; no image format does.
bool is_manifest(std::string_view prefix) {
  for (const char c : prefix)
    if (!std::isspace(static_cast<unsigned char>(c))) return c == '{';
  return false;
}

std::string_view voxel_bytes(const mr::image::Volume& v) {
  const auto* bytes = v.is_complex() ? reinterpret_cast<const char*>(v.complex_voxels.data())
                                     : reinterpret_cast<const char*>(v.voxels.data());
  return {bytes, static_cast<std::size_t>(mr::count(v.shape())) * (v.is_complex() ? 8u : 4u)};
}

std::string voxel_hash(const mr::image::Volume& v) {
  return mr::sha256_hex(voxel_bytes(v));
}

/// A JSON document to a file, or to standard output ("" or "-").
void write_text(const std::string& path, const mr::Json& document, mr::Overwrite overwrite) {
  const auto text = document.dump(2) + "\n";
  if (path.empty() || path == "-")
    mr::write_stdout(text);
  else
    mr::write_file(path, text, overwrite);
}

/// "fat=fat.nii" for each map of a lone image.
void set_maps(const std::vector<std::string>& texts, mr::dataset::ImageEntry& entry) {
  using mr::artifact::Map;
  std::vector<std::string> names;
  for (const auto map : {Map::fat, Map::field, Map::coils, Map::tissue})
    names.push_back(mr::artifact::map_name(map));
  for (const auto& text : texts) {
    const auto equals = text.find('=');
    const auto name = text.substr(0, equals);
    if (equals == std::string::npos || equals + 1 == text.size())
      throw mr::UsageError("--map: want NAME=FILE, got '" + text + "'");
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw mr::UsageError("--map: " + mr::unknown("map", name, names));
    entry.maps[name] = mr::resolve(text.substr(equals + 1), "");
  }
}

/// What a lone image's options say of it; `name` is for messages.
mr::dataset::ImageEntry entry_of(const Options& o, mr::image::Volume& volume,
                                 const std::string& name) {
  mr::dataset::ImageEntry entry;
  if (!o.mode.empty()) entry.acquisition["mode"] = o.mode;
  if (!o.phase_encode.empty()) entry.acquisition["phase_encode_axis"] = o.phase_encode;
  if (!o.line_order.empty()) entry.acquisition["line_order"] = o.line_order;
  if (!o.combine.empty()) entry.acquisition["combine"] = o.combine;
  if (!o.sequence.empty()) entry.acquisition["sequence"] = o.sequence;
  if (o.echo_train > 0) entry.acquisition["echo_train"] = o.echo_train;
  volume.acquisition = mr::image::merge_acquisition(volume.acquisition, entry.acquisition, name);
  set_maps(o.maps, entry);
  for (const auto& text : o.attributes) {
    const auto [attribute, value] = mr::name_and_value("--attribute", text);
    entry.attributes[attribute] = value;
  }
  return entry;
}

std::optional<mr::IdKey> key_of(const Options& o) {
  if (o.deidentify != !o.id_key.empty())
    throw mr::UsageError("--deidentify and --id-key go together: the key makes ids and UIDs");
  return o.deidentify ? std::optional(mr::IdKey::read_or_make(o.id_key)) : std::nullopt;
}

int threads_of(const Options& o) {
  return o.threads > 0 ? o.threads : mr::available_threads();
}

void write_sheet(mr::image::Volume volume, const std::string& name, const Options& o,
                 const mr::Messages& messages) {
  const auto overwrite = o.force ? mr::Overwrite::yes : mr::Overwrite::no;
  mr::require_absent(o.sheet, overwrite);
  mr::dataset::SheetOptions options;
  options.slice = o.slice;
  options.seed = o.seed;
  options.threads = threads_of(o);
  mr::artifact::Recipe recipe;
  for (const auto& step : o.steps) recipe.steps.push_back(mr::artifact::parse_step(step));
  if (o.steps.empty())
    for (const auto& row : mr::artifact::catalogue())
      if (row.name.rfind("ref-", 0) != 0) recipe.steps.push_back({row.name, std::nullopt, {}});
  for (const auto& step : recipe.steps) options.artifacts.push_back(step.artifact);
  auto entry = entry_of(o, volume, name);
  entry.file = name;
  const auto id = o.id.empty() ? voxel_hash(volume) : o.id;
  auto maps = mr::dataset::read_maps(entry, mr::artifact::used_maps(recipe));
  const auto png =
      mr::dataset::contact_sheet(mr::dataset::clean_of(std::move(volume), entry, std::move(maps)),
                                 id, options, name, messages);
  mr::write_file(o.sheet, png, overwrite);
}

/// The image of the input, or what is made of its k-space; and what its entry says.
mr::dataset::CleanImage clean_of(std::optional<mr::image::Volume> volume, const std::string& name,
                                 const Options& o, const mr::artifact::Recipe& recipe,
                                 mr::dataset::ImageEntry& entry) {
  const auto used = mr::artifact::used_maps(recipe);
  if (!volume) {
    mr::image::Volume none;
    entry = entry_of(o, none, name);
    entry.file = o.input;
    if (!o.phase.empty()) throw mr::UsageError("--phase: k-space has its own");
    return mr::dataset::read_clean(entry, used);
  }
  if (!o.combine.empty())
    throw mr::UsageError("--combine: " + name + " is no k-space, and has no coils to combine");
  entry = entry_of(o, *volume, name);
  entry.file = name;
  if (!o.phase.empty()) entry.phase = mr::resolve(o.phase, "");
  return mr::dataset::clean_of(std::move(*volume), entry, mr::dataset::read_maps(entry, used));
}

/// A lone image and where its result goes.
struct Lone {
  const std::string& name;  // for messages
  const Options& o;
  const mr::artifact::Recipe& recipe;
  std::optional<mr::IdKey> key = {};
  mr::dataset::ImageEntry entry = {};
  std::string input_hash = {};

  bool to_stdout() const { return o.output.empty() || o.output == "-"; }
  bool compared() const {
    return !o.manifest_out.empty() || recipe.gain == mr::artifact::Gain::match;
  }
  mr::Overwrite overwrite() const { return o.force ? mr::Overwrite::yes : mr::Overwrite::no; }

  /// Before the work: can everything be written? volume  what is written, or one like it
  void check(const mr::image::Volume& volume) {
    if (to_stdout() && isatty(STDOUT_FILENO))
      throw mr::UsageError(
          "an image would go to the terminal: redirect it, or name a file with -o");
    if (!o.manifest_out.empty()) mr::require_absent(o.manifest_out, overwrite());
    if (!to_stdout()) mr::image::require_writable(volume, o.output, overwrite());
    if (!o.save_kspace.empty()) mr::image::require_writable({}, o.save_kspace, overwrite());
    if (!o.print_recipe.empty() && o.print_recipe != "-")
      mr::require_absent(o.print_recipe, overwrite());
    key = key_of(o);
  }

  mr::artifact::Draw draw() {
    entry.id = !o.id.empty() ? o.id : recipe.unit.value_or(input_hash);
    entry.subject = entry.id;
    return mr::dataset::draw_of(entry, recipe, o.seed);
  }

  /// What the header of the result says of it.
  mr::image::Derivation derivation(const mr::Json& artifacts,
                                   const mr::image::Volume& result) const {
    auto derivation = mr::dataset::derivation_of(done(artifacts), result);
    derivation.deidentify = key;
    return derivation;
  }

  void write_recipe(const mr::Json& artifacts) const {
    if (!o.print_recipe.empty())
      write_text(o.print_recipe, mr::artifact::to_json(done(artifacts)), overwrite());
  }

  void write_manifest(const mr::Json& artifacts, const mr::artifact::Fidelity& fidelity,
                      const mr::Run& run) {
    if (o.manifest_out.empty()) return;
    entry.file = to_stdout() ? "-" : mr::resolve(o.output, "");
    entry.source = o.input == "-" ? "" : mr::resolve(o.input, "");
    entry.phase.clear();  // that of the image before
    entry.artifacts = artifacts;
    entry.extra["fidelity"] = mr::artifact::to_json(fidelity);
    entry.samples.push_back({});
    mr::AtomicFile file(o.manifest_out, overwrite());
    mr::dataset::ManifestWriter writer([&](std::string_view bytes) { file.write(bytes); }, {},
                                       mr::parent_folder(mr::resolve(o.manifest_out, "")));
    writer.write(entry);
    writer.finish(mr::Json::array({mr::provenance_entry(
        run, {{o.input == "-" ? "-" : mr::file_name(o.input), input_hash}})}));
    file.commit();
  }

 private:
  mr::artifact::Recipe done(const mr::Json& artifacts) const {
    return mr::artifact::resolved(recipe, artifacts, o.seed, entry.id);
  }
};

/// volume  unset: the input is k-space
void corrupt_whole(Lone lone, std::optional<mr::image::Volume> volume, const mr::Run& run) {
  const auto& o = lone.o;
  const mr::image::Volume of_kspace;
  lone.check(volume ? std::as_const(*volume) : of_kspace);
  auto clean = clean_of(std::move(volume), lone.name, o, lone.recipe, lone.entry);
  if (!o.datatype.empty()) mr::image::set_datatype(clean.volume, o.datatype, lone.name);
  lone.input_hash = voxel_hash(clean.volume);
  const auto draw = lone.draw();
  const auto result =
      lone.compared()
          ? mr::dataset::corrupt_image(clean, lone.recipe, draw, lone.name, false, threads_of(o))
          : mr::dataset::corrupt_in_place(std::move(clean), lone.recipe, draw, lone.name,
                                          threads_of(o));
  const auto derivation = lone.derivation(result.artifacts, result.volume);
  lone.write_recipe(result.artifacts);
  if (!o.save_kspace.empty())
    mr::image::write_image(mr::artifact::kspace_image(result.volume), o.save_kspace,
                           {"mr-corrupt: k-space"}, o.seed, lone.overwrite());
  if (lone.to_stdout())
    mr::image::encode_image(result.volume, derivation,
                            mr::image::natural_extension(result.volume) == ".nii.gz", o.seed,
                            mr::write_stdout);
  else
    mr::image::write_image(result.volume, o.output, derivation, o.seed, lone.overwrite());
  lone.write_manifest(result.artifacts, result.fidelity, run);
}

void corrupt_frames(Lone lone, mr::image::ImageReader& image, const mr::Run& run) {
  const auto& o = lone.o;
  auto like = image.next_frame();
  lone.check(like);
  lone.entry = entry_of(o, like, lone.name);
  lone.entry.file = lone.name;
  if (!o.datatype.empty()) mr::image::set_datatype(like, o.datatype, lone.name);
  mr::Sha256 hash;
  auto facts = mr::dataset::measure_series(
      image, lone.name, threads_of(o),
      [&](const mr::image::Volume& frame) { hash.add(voxel_bytes(frame)); });
  lone.input_hash = hash.hex();
  const auto draw = lone.draw();
  const bool to_file = !lone.to_stdout() && !mr::is_device(o.output);
  bool recipe_written = false;
  auto maps = mr::dataset::read_maps(lone.entry, mr::artifact::used_maps(lone.recipe));
  const auto result = mr::dataset::corrupt_series(
      {image, nullptr, lone.entry, std::move(facts), std::move(maps), o.datatype, lone.compared()},
      lone.recipe, draw, threads_of(o), to_file,
      [&](const mr::image::Volume& first, const mr::image::NextFrame& next,
          const mr::Json& artifacts) {
        const auto derivation = lone.derivation(artifacts, first);
        if (!std::exchange(recipe_written, true)) lone.write_recipe(artifacts);
        if (lone.to_stdout())
          mr::image::encode_series(first, next, derivation,
                                   mr::image::natural_extension(first) == ".nii.gz",
                                   mr::write_stdout);
        else
          mr::image::write_series(first, next, o.output, derivation, lone.overwrite());
      });
  lone.write_manifest(result.artifacts, result.fidelity, run);
}

/// image  unset: the input is k-space
void corrupt_one(mr::image::ImageReader* image, const std::string& name, const Options& o,
                 const mr::artifact::Recipe& recipe, const mr::Run& run) {
  Lone lone{name, o, recipe};
  if (!image) return corrupt_whole(std::move(lone), std::nullopt, run);
  mr::dataset::ImageEntry entry;  // of what decides; no option makes frames coils
  entry.phase = o.phase;
  if (o.save_kspace.empty() && o.combine.empty() &&
      mr::dataset::goes_by_frames(*image, nullptr, entry, recipe))
    return corrupt_frames(std::move(lone), *image, run);
  corrupt_whole(std::move(lone), image->whole(), run);
}

void corrupt_all(mr::dataset::ManifestReader& reader, const Options& o,
                 const mr::artifact::Recipe& recipe, const mr::Run& run,
                 const mr::Messages& messages) {
  for (const auto& [option, value] :
       {std::pair("--print-recipe", o.print_recipe), std::pair("--save-kspace", o.save_kspace)})
    if (!value.empty())
      throw mr::UsageError(std::string(option) + ": for a lone image, not for a manifest");
  if (o.output.empty() || o.output == "-")
    throw mr::UsageError("a manifest's images need a folder: name it with -o");
  mr::dataset::CorruptOptions options;
  options.recipe = recipe;
  options.seed = o.seed;
  options.datatype = o.datatype;
  options.bids = o.bids;
  if (o.bids && o.deidentify)
    throw mr::UsageError(
        "--bids and --deidentify: JSON and participants.tsv of a data set are copied as they are");
  options.deidentify = key_of(o);
  options.folder = o.output;
  options.manifest_out = o.manifest_out;
  options.overwrite = o.force ? mr::Overwrite::yes : mr::Overwrite::no;
  options.resume = o.resume;
  options.threads = threads_of(o);
  mr::dataset::corrupt_manifest(reader, options, run, messages);
}

void calibrate(Options o, const mr::Run& this_run, const mr::Messages& messages) {
  const auto overwrite = o.force ? mr::Overwrite::yes : mr::Overwrite::no;
  if (!o.output.empty() && o.output != "-") mr::require_absent(o.output, overwrite);
  if (o.calibrate.artifacts.empty())
    for (const auto& row : mr::artifact::catalogue())
      if (row.in_study) o.calibrate.artifacts.push_back(row.name);
  for (std::size_t t = 0; t < o.targets.size(); ++t) o.calibrate.targets[t] = o.targets[t] / 100;
  o.calibrate.seed = o.seed;
  o.calibrate.threads = threads_of(o);
  mr::dataset::ManifestReader reader(o.input, o.root);
  auto ladder = mr::dataset::calibrate(reader, o.calibrate, messages);
  ladder["provenance"] = reader.provenance();
  ladder["provenance"].push_back(
      mr::provenance_entry(this_run, {{mr::file_name(reader.name()), reader.sha256()}}));
  write_text(o.output, ladder, overwrite);
}

void run(Options o, mr::Run this_run, const mr::Messages& messages) {
  if (o.list || o.json) {
    mr::write_stdout(o.json ? list_json() : list());
    return;
  }
  if (!o.sheet.empty()) {
    auto volume = o.input == "-" ? mr::image::read_image(mr::read_all("-"), "standard input")
                                 : mr::kspace::read_image(o.input);
    return write_sheet(std::move(volume), o.input == "-" ? "standard input" : o.input, o, messages);
  }
  const auto recipe = recipe_of(o);
  if (!o.seed_given && recipe.seed) this_run.seed = o.seed = *recipe.seed;
  if (o.input != "-") {
    const bool manifest =  // a pipe can be looked at only by reading it, and counts as an image
        mr::exists(o.input) && !mr::is_folder(o.input) && !mr::is_device(o.input) &&
        is_manifest(mr::read_prefix(o.input, 64));
    if (!manifest && mr::image::is_raw(o.input))
      return corrupt_one(nullptr, o.input, o, recipe, this_run);
    if (!manifest) {
      mr::image::ImageReader image(o.input);
      return corrupt_one(&image, o.input, o, recipe, this_run);
    }
    mr::dataset::ManifestReader reader(o.input, o.root);
    return corrupt_all(reader, o, recipe, this_run, messages);
  }
  std::cin >> std::ws;  // no image format begins with white space
  if (std::cin.peek() == '{') {
    mr::dataset::ManifestReader reader(std::make_unique<std::istream>(std::cin.rdbuf()),
                                       "standard input", o.root);
    return corrupt_all(reader, o, recipe, this_run, messages);
  }
  mr::image::ImageReader image({std::istreambuf_iterator<char>(std::cin), {}}, "standard input");
  corrupt_one(&image, "standard input", o, recipe, this_run);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("", "mr-corrupt");
  declare(app, o);
  auto* sub = app.add_subcommand(
      "calibrate", "Solve the strengths at which artifacts damage a data set equally");
  sub->fallthrough();  // to -o, --seed, --threads and the like
  declare_calibrate(*sub, o);
  return mr::tool_main(
      app, argc, argv,
      [&](const mr::Run& this_run, const mr::Messages& messages) {
        if (sub->parsed()) return calibrate(o, this_run, messages);
        o.seed_given = app.count("--seed") > 0;
        run(o, this_run, messages);
      },
      {{"--artifact", mr::artifact::names()}, {"--recipe", mr::artifact::ready_recipe_names()}});
}
