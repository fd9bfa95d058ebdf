// mr-manifest: make, check and reshape manifests. Only the command line lives here.
#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "base/threads.h"
#include "dataset/bids.h"
#include "dataset/check.h"
#include "dataset/filter.h"
#include "dataset/scan.h"
#include "dataset/slices.h"
#include "dataset/split.h"
#include "dataset/summary.h"
#include "image/volume.h"
#include "tool_main.h"

namespace {

struct Options {
  std::vector<std::string> inputs = {"-"};
  std::string root, manifest_out;
  bool force = false;
  int threads = 0;
  mr::dataset::ScanOptions scan;
  std::vector<std::string> attributes, labels, mask_labels, findings,
      acquisition;  // as typed, NAME=VALUE
  std::string mode, phase_encode, keep = "all", id_key, id_column;
  mr::dataset::SlicesOptions slices;
  mr::dataset::BidsOptions bids;
  std::string ratio;
  std::uint64_t seed = 1;
  mr::dataset::CheckOptions check;
  mr::dataset::FilterOptions filter;
  bool json = false;

  mr::dataset::ManifestReader reader() const { return {inputs.front(), root}; }
  mr::dataset::ManifestOutput output() const {
    return {manifest_out, force ? mr::Overwrite::yes : mr::Overwrite::no};
  }
  int thread_count() const { return threads > 0 ? threads : mr::available_threads(); }
};

using Command = std::function<void(const mr::Run&, const mr::Messages&)>;

mr::dataset::Conditions conditions(const std::string& option,
                                   const std::vector<std::string>& texts) {
  mr::dataset::Conditions list;
  for (const auto& text : texts) list.push_back(mr::name_and_value(option, text));
  return list;
}

/// "tr_ms=2300" as a member of the manifest's acquisition: a number where it reads as one.
void set_acquisition(mr::Json& acquisition, const std::string& text) {
  const std::string option = "--acquisition";
  const auto [key, value] = mr::name_and_value(option, text);
  const auto known = mr::image::acquisition_members();
  if (std::find(known.begin(), known.end(), key) == known.end())
    throw mr::UsageError(option + ": " + mr::unknown("member", key, known));
  const auto number = mr::Json::parse(value, nullptr, false);
  const mr::Json member = {{key, number.is_number() ? number : mr::Json(value)}};
  try {
    mr::image::merge_acquisition({}, member, option);
  } catch (const mr::DataError& e) {
    throw mr::UsageError(e.what());
  }
  acquisition.update(member);
}

/// An option that is given once for each of its values.
CLI::Option* add_each(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                      const std::string& help) {
  return app.add_option(name, values, help)->allow_extra_args(false);
}

void add_input(CLI::App& app, Options& o) {
  app.add_option("manifest", o.inputs, "Manifest; - (default) is standard input")->expected(1);
  app.add_option("--root", o.root, "Where relative paths on standard input start (default: .)");
}

void add_output(CLI::App& app, Options& o) {
  app.add_option("--manifest-out", o.manifest_out,
                 "File for the manifest, with paths relative to it (default: standard output, "
                 "with absolute paths)");
  app.add_flag("-f,--force", o.force, "Replace what exists");
}

void add_threads(CLI::App& app, Options& o) {
  app.add_option("-t,--threads", o.threads, "Threads (default: what the machine allows)")
      ->check(CLI::Range(1, 1024));
}

void add_id_key(CLI::App& app, Options& o) {
  app.add_option("--id-key", o.id_key,
                 "File with a key, made where there is none: ids and subjects become keyed hashes");
}

mr::IdKey key_of_scan(const Options& o) {
  return o.id_key.empty() ? mr::IdKey() : mr::IdKey::read_or_make(o.id_key);
}

constexpr const char* label_help =
    "NAME, a column that holds 0, 1, or nothing or NA; NAME=COLUMN; or NAME=COLUMN>=VALUE (==, !=, "
    "<=, >, <): a label";

std::vector<mr::dataset::LabelRule> label_rules(const std::vector<std::string>& texts) {
  std::vector<mr::dataset::LabelRule> rules;
  for (const auto& text : texts) rules.push_back(mr::dataset::parse_label_rule("--label", text));
  return rules;
}

Command declare_scan(CLI::App& app, Options& o) {
  auto& scan = o.scan;
  app.add_option("folder", scan.folder,
                 "Folder with NIfTI files and DICOM series, at any depth; or a DICOMDIR")
      ->required();
  app.add_option("--pattern", scan.pattern, "Glob that an image's relative path must match");
  app.add_flag("--localizers", scan.localizers,
               "Also take localizers: DICOM series whose images lie in several planes");
  app.add_flag("--kspace", scan.kspace,
               "Also take measured k-space: fastMRI and ISMRMRD (.h5), BART (.cfl), NumPy (.npy)");
  app.add_flag("--png", scan.png, "Also take grey PNG files, which may be but previews");
  app.add_option("--masks", scan.masks, "Folder with a mask at each image's relative path");
  auto* table = app.add_option("--table", scan.table, "CSV or TSV table, one row an image");
  auto* id = app.add_option("--id-column", o.id_column,
                            "Column with the image's id, its relative path without extension "
                            "(default: id)")
                 ->needs(table);
  auto* id_format = app.add_option("--id-format", scan.id_format,
                                   "The image's id of several columns: {COLUMN} is a row's field")
                        ->needs(table)
                        ->excludes(id);
  app.add_option("--file-column", scan.file_column,
                 "Column with the image's relative path, instead of its id")
      ->needs(table)
      ->excludes(id)
      ->excludes(id_format);
  app.add_option("--subject-column", scan.subject_column,
                 "Column with the subject (default: each image is a subject of its own)")
      ->needs(table);
  add_each(app, "--label", o.labels, label_help)->needs(table);
  add_each(app, "--attribute", scan.attribute_columns, "Column to take as an attribute")
      ->needs(table);
  add_each(app, "--attribute-value", o.attributes, "NAME=VALUE: an attribute of every image");
  app.add_option("--mode", o.mode, "2d or 3d: encoding of every image")
      ->check(CLI::IsMember({"2d", "3d"}));
  app.add_option("--phase-encode", o.phase_encode,
                 "Phase-encode axis of every image: i, j or k, "
                 "with a trailing - where it runs backwards")
      ->check(CLI::IsMember({"i", "j", "k", "i-", "j-", "k-"}));
  add_each(app, "--acquisition", o.acquisition,
           "NAME=VALUE: what is known of every image's acquisition: sequence, tr_ms, te_ms, ti_ms, "
           "flip_deg, field_t, "
           "echo_train, line_order, ...");
  app.add_flag("--allow-unmatched", scan.allow_unmatched,
               "Leave out images without a row or a mask, and rows without an image");
  add_id_key(app, o);
  app.add_flag("--allow-unreadable", scan.allow_unreadable,
               "Leave out images that cannot be read, with a warning for each");
  app.add_flag("--resume", scan.resume,
               "Go on where a stopped scan ended; it keeps what it read in MANIFEST_OUT.partial");
  add_threads(app, o);
  add_output(app, o);
  app.footer(
      "Examples:\n"
      "  mr-manifest scan images --masks labels --mode 3d > all.json\n"
      "  mr-manifest scan knees --table knees.csv --subject-column patient --label acl");
  return [&o](const mr::Run& run, const mr::Messages& messages) {
    if (o.scan.id_format.empty())
      o.scan.id_format = "{" + (o.id_column.empty() ? "id" : o.id_column) + "}";
    o.scan.labels = label_rules(o.labels);
    const bool to_file = !o.manifest_out.empty() && o.manifest_out != "-";
    if (to_file) o.scan.journal = o.manifest_out + ".partial";
    if (o.scan.resume && !to_file)
      throw mr::UsageError("--resume: goes with --manifest-out FILE, beside which a scan is kept");
    o.scan.attributes = conditions("--attribute-value", o.attributes);
    for (const auto& text : o.acquisition) set_acquisition(o.scan.acquisition, text);
    if (!o.mode.empty()) o.scan.acquisition["mode"] = o.mode;
    if (!o.phase_encode.empty()) o.scan.acquisition["phase_encode_axis"] = o.phase_encode;
    o.scan.threads = o.thread_count();
    o.scan.key = key_of_scan(o);
    auto output = o.output();
    mr::dataset::scan(o.scan, output, run, messages);
  };
}

Command declare_bids(CLI::App& app, Options& o) {
  auto& bids = o.bids;
  app.add_option("folder", bids.folder, "BIDS data set")->required();
  app.add_option("--datatype", bids.datatype, "anat, func, dwi, ...: folder of the images")
      ->capture_default_str();
  add_each(app, "--suffix", bids.suffixes, "Only images of this suffix, such as T1w; repeatable");
  add_each(app, "--label", o.labels, label_help);
  add_id_key(app, o);
  app.add_flag("--allow-unmatched", bids.allow_unmatched,
               "Images of subjects without a row in participants.tsv have unknown labels");
  add_threads(app, o);
  add_output(app, o);
  app.footer(
      "Example:\n"
      "  mr-manifest bids ds004173 --suffix T1w --label 'motion=score>=2' > all.json");
  return [&o](const mr::Run& run, const mr::Messages& messages) {
    o.bids.labels = label_rules(o.labels);
    o.bids.threads = o.thread_count();
    o.bids.key = key_of_scan(o);
    auto output = o.output();
    mr::dataset::scan_bids(o.bids, output, run, messages);
  };
}

Command declare_slices(CLI::App& app, Options& o) {
  auto& slices = o.slices;
  add_input(app, o);
  app.add_option("--axis", slices.axis,
                 "What slices are stacked along: stored axis i, j or k, or the one closest to "
                 "sagittal, coronal or axial slices")
      ->required()
      ->check(CLI::IsMember({"i", "j", "k", "sagittal", "coronal", "axial"}));
  app.add_option("--every", slices.every, "Take slices 0, N, 2N, ...")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--keep", o.keep, "all slices, or nonempty: those whose voxels are not all equal")
      ->check(CLI::IsMember({"all", "nonempty"}))
      ->capture_default_str();
  add_each(app, "--mask-label", o.mask_labels,
           "NAME=VALUE[,MIN_VOXELS]: a label that is 1 where the mask has the value in at least "
           "that many voxels of the slice (default: 1)");
  auto* table = app.add_option("--table", slices.table, "CSV or TSV table, a row a slice");
  app.add_option("--id-format", slices.id_format,
                 "The image's id of the table's columns: {COLUMN} is a row's field")
      ->needs(table)
      ->capture_default_str();
  app.add_option("--slice-column", slices.slice_column, "Column with the slice, from 0")
      ->needs(table)
      ->capture_default_str();
  add_each(app, "--label", o.labels, label_help)->needs(table);
  auto* annotations = app.add_option("--annotations", slices.annotations,
                                     "CSV or TSV table of findings with columns file (an image's "
                                     "id), slice (from 0) and label, as fastMRI+ has it");
  add_each(app, "--finding", o.findings,
           "NAME=TEXT: a label that is 1 where a finding of the slice holds the text, in any case")
      ->needs(annotations);
  app.add_option("--annotated", slices.annotated,
                 "File of the ids that were looked at, one a line: without a row they have no "
                 "finding")
      ->needs(annotations);
  app.add_option("--id-key", o.id_key,
                 "The key that mr-manifest scan had: ids in tables are those before hashing");
  app.add_flag("--allow-unmatched", slices.allow_unmatched,
               "Slices without a row have unknown labels; rows without an image are ignored");
  add_threads(app, o);
  add_output(app, o);
  app.footer(
      "Example:\n"
      "  mr-manifest slices --axis coronal --mask-label lesion=1,20 all.json > slices.json");
  return [&o](const mr::Run& run, const mr::Messages& messages) {
    o.slices.keep_empty = o.keep == "all";
    o.slices.labels = label_rules(o.labels);
    for (const auto& text : o.mask_labels)
      o.slices.mask_labels.push_back(mr::dataset::parse_mask_label(text));
    for (const auto& text : o.findings)
      o.slices.findings.push_back(mr::dataset::parse_finding_label(text));
    if (o.slices.findings.empty() != o.slices.annotations.empty())
      throw mr::UsageError("--annotations: want a label of them with --finding NAME=TEXT");
    o.slices.threads = o.thread_count();
    if (!o.id_key.empty() && o.slices.table.empty() && o.slices.annotations.empty())
      throw mr::UsageError("--id-key: there is no table whose ids to hash");
    if (!o.id_key.empty()) o.slices.key = mr::IdKey(o.id_key);
    auto output = o.output();
    auto reader = o.reader();
    mr::dataset::slices(reader, o.slices, output, run, messages);
  };
}

Command declare_split(CLI::App& app, Options& o) {
  add_input(app, o);
  app.add_option("--ratio", o.ratio, "Parts of the subjects, e.g. train=0.5,val=0.15,test=0.35")
      ->required();
  app.add_option("--seed", o.seed, "Same seed, same split")->capture_default_str();
  add_each(
      app, "--hold-out", o.attributes,
      "NAME=VALUE: subjects with such an image are test, and the ratio is of the others; repeat "
      "a name for alternatives");
  add_output(app, o);
  app.footer(
      "Examples:\n"
      "  mr-manifest split --ratio train=0.8,val=0.2 --hold-out scanner=B slices.json > B.json\n"
      "  mr-manifest split --ratio train=0.5,val=0.15,test=0.35 --seed 1 slices.json > study.json");
  return [&o](const mr::Run& run, const mr::Messages&) {
    const auto ratios = mr::dataset::parse_ratios(o.ratio);
    const auto held_out = conditions("--hold-out", o.attributes);
    auto output = o.output();
    auto reader = o.reader();
    mr::dataset::split(reader, ratios, held_out, output, run);
  };
}

Command declare_check(CLI::App& app, Options& o) {
  add_input(app, o);
  app.add_flag("--quick", o.check.quick, "Read the headers of files, not their voxels");
  add_each(app, "--split", o.check.splits, "A split that must have samples; repeat for more")
      ->check(CLI::IsMember({"train", "val", "test"}));
  add_threads(app, o);
  app.footer("Example:\n  mr-manifest check --split train --split val --split test study.json");
  return [&o](const mr::Run& run, const mr::Messages& messages) {
    o.check.threads = o.thread_count();
    auto reader = o.reader();
    const auto problems = mr::dataset::check(
        reader, o.check, messages,
        [&](const std::string& problem) { mr::fail(run.tool, problem, mr::ExitStatus::bad_data); });
    if (problems > 0)
      throw mr::DataError(reader.name() + ": " + std::to_string(problems) +
                          (problems == 1 ? " problem" : " problems"));
  };
}

Command declare_filter(CLI::App& app, Options& o) {
  add_input(app, o);
  add_each(app, "--split", o.filter.splits, "Images of this split; repeat for alternatives")
      ->check(CLI::IsMember({"train", "val", "test"}));
  add_each(app, "--attribute", o.attributes,
           "NAME=VALUE: images with this attribute; repeat a name for alternatives");
  add_each(app, "--label", o.labels,
           "NAME=VALUE: samples with this label, or unknown; repeat a name for alternatives");
  app.add_option("--limit", o.filter.limit, "The first N images that are kept")
      ->check(CLI::PositiveNumber);
  add_output(app, o);
  app.footer("Example:\n  mr-manifest filter --split test --attribute scanner=A study.json");
  return [&o](const mr::Run& run, const mr::Messages&) {
    o.filter.attributes = conditions("--attribute", o.attributes);
    o.filter.labels = conditions("--label", o.labels);
    auto output = o.output();
    auto reader = o.reader();
    mr::dataset::filter(reader, o.filter, output, run);
  };
}

Command declare_merge(CLI::App& app, Options& o) {
  app.add_option("manifests", o.inputs, "Manifests, with the same labels; - is standard input")
      ->required();
  app.add_option("--root", o.root, "Where relative paths on standard input start (default: .)");
  add_output(app, o);
  app.footer("Example:\n  mr-manifest merge siteA.json siteB.json > both.json");
  return [&o](const mr::Run& run, const mr::Messages&) {
    auto output = o.output();
    mr::dataset::merge(o.inputs, o.root, output, run);
  };
}

Command declare_summary(CLI::App& app, Options& o) {
  add_input(app, o);
  app.add_flag("--json", o.json, "JSON (mr-manifest-summary/1) instead of a table");
  app.footer("Example:\n  mr-manifest summary study.json");
  return [&o](const mr::Run& run, const mr::Messages&) {
    auto reader = o.reader();
    const auto summary = mr::dataset::summarise(reader);
    auto provenance = reader.provenance();
    provenance.push_back(
        mr::provenance_entry(run, {{mr::file_name(reader.name()), reader.sha256()}}));
    mr::write_stdout(o.json ? mr::dataset::to_json(summary, provenance).dump(2) + "\n"
                            : mr::dataset::to_text(summary));
  };
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Make, check and reshape manifests: lists of images with subjects, labels, splits.",
               "mr-manifest");
  app.fallthrough();
  app.require_subcommand(0, 1);  // none is answered below, so that a typo is named here
  app.footer(
      "Examples:\n"
      "  mr-manifest scan images --masks labels --mode 3d |\n"
      "    mr-manifest slices --axis coronal --mask-label lesion=1,20 - |\n"
      "    mr-manifest split --ratio train=0.5,val=0.15,test=0.35 --manifest-out study.json -\n"
      "  mr-manifest check study.json && mr-manifest summary study.json");
  const std::vector<std::tuple<std::string, std::string, Command (*)(CLI::App&, Options&)>> table =
      {{"scan", "List the images of a folder, with labels from a table", declare_scan},
       {"bids", "List the images of a BIDS data set, with what its tables and JSON say",
        declare_bids},
       {"slices", "One sample a slice, labelled from masks or a table", declare_slices},
       {"split", "Split into train, val and test by subject, labels balanced", declare_split},
       {"check", "Look for what is wrong with a manifest and its files", declare_check},
       {"filter", "Keep some images or samples", declare_filter},
       {"merge", "Put manifests together", declare_merge},
       {"summary", "Count subjects, images, samples, labels, attributes", declare_summary}};
  std::vector<std::pair<CLI::App*, Command>> commands;
  for (const auto& [name, description, declare] : table) {
    auto* sub = app.add_subcommand(name, description);
    commands.emplace_back(sub, declare(*sub, o));
  }
  return mr::tool_main(app, argc, argv, [&](const mr::Run& run, const mr::Messages& messages) {
    for (const auto& [sub, command] : commands)
      if (sub->parsed()) return command(run, messages);
    std::string names;
    for (const auto& [sub, command] : commands)
      names += (names.empty() ? "" : ", ") + sub->get_name();
    throw mr::UsageError("want a subcommand: " + names);
  });
}
