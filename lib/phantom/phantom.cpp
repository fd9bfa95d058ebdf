#include "phantom/phantom.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/json.h"
#include "base/random.h"
#include "base/threads.h"
#include "dataset/manifest.h"
#include "image/image_file.h"
#include "phantom/field.h"

namespace mr::phantom {
namespace {

constexpr int coils = 8;
constexpr int fewest_slices = 8, slice_counts = 5;
// Share of the subjects with a finding, and the area [mm^2] that makes a slice positive; in the
// order of Finding.
constexpr std::array<double, finding_count> prevalence{0.55, 0.45, 0.5, 0.5};
constexpr std::array<double, finding_count> positive_mm2{30, 8, 12, 8};

/// 0..n-1 repeated to `length`, each block of n in its own order.
std::vector<int> shuffled_blocks(RandomKey key, int n, int length) {
  std::vector<int> out;
  for (std::uint64_t block = 0; static_cast<int>(out.size()) < length; ++block) {
    std::vector<int> values(static_cast<std::size_t>(n));
    std::iota(values.begin(), values.end(), 0);
    shuffle(sub_key(key, block), values);
    out.insert(out.end(), values.begin(), values.end());
  }
  out.resize(static_cast<std::size_t>(length));
  return out;
}

/// Gives the finding to its share of the subjects by systematic sampling along an order in which
/// subjects of one scanner and slice count stand together.
void assign(RandomKey key, std::size_t finding, std::vector<Subject>& subjects) {
  struct Rank {
    double scanner, slices, subject;
    std::size_t index;
    bool operator<(const Rank& o) const {
      return std::tie(scanner, slices, subject) < std::tie(o.scanner, o.slices, o.subject);
    }
  };
  std::vector<Rank> order;
  for (std::size_t i = 0; i < subjects.size(); ++i)
    order.push_back({uniform(sub_key(key, 0), subjects[i].scanner),
                     uniform(sub_key(key, 1 + subjects[i].scanner),
                             static_cast<std::uint64_t>(subjects[i].slices)),
                     uniform(sub_key(key, 100), i), i});
  std::sort(order.begin(), order.end());
  const double start = uniform(key, 0);
  for (std::size_t n = 0; n < order.size(); ++n) {
    const auto before = std::floor(start + prevalence[finding] * static_cast<double>(n));
    const auto after = std::floor(start + prevalence[finding] * static_cast<double>(n + 1));
    subjects[order[n].index].findings[finding] = after > before;
  }
}

image::Acquisition acquisition(const Scanner& scanner, Sequence sequence) {
  image::Acquisition a;
  a.mode = image::Mode::two_d;
  a.phase_encode_axis = 0;
  a.phase_encode_sign = 1;
  a.slice_axis = 2;
  a.slice_order = "interleaved";
  a.tr_ms = scanner.tr_ms;
  a.te_ms = scanner.te_ms;
  a.echo_train = 1;
  a.field_t = scanner.field_t;
  a.sequence = sequence_name(sequence);
  return a;
}

image::Volume to_volume(const Array<float>& voxels, const Geometry& geometry,
                        image::Datatype datatype) {
  auto volume = image::make_volume({1, geometry.slices, geometry.matrix, geometry.matrix},
                                   affine(geometry), datatype);
  std::copy(voxels.begin(), voxels.end(), volume.voxels.begin());
  return volume;
}

image::Volume scan(const Options& options, const Geometry& geometry, const Rendering& rendering,
                   const Array<Complex>& sensitivity, const Scanner& scanner, Sequence sequence,
                   RandomKey key) {
  const SpinEcho spin_echo{sequence, scanner.tr_ms, scanner.te_ms, scanner.field_t,
                           scanner.fat_residual};
  const auto received =
      receive(spin_echo_image(rendering, spin_echo, geometry, sub_key(key, 2)), sensitivity,
              scanner.noise_sd, sub_key(key, 3 + static_cast<std::uint64_t>(sequence)));
  const auto gain = static_cast<float>(scanner.gain);
  image::Volume volume;
  if (options.complex_image) {
    volume = image::make_volume({1, geometry.slices, geometry.matrix, geometry.matrix},
                                affine(geometry), image::Datatype::c64);
    volume.complex_voxels = matched_filter(received, sensitivity);
    for (auto& value : volume.complex_voxels) value *= gain;
  } else {
    auto magnitude = root_sum_of_squares(received);
    for (auto& value : magnitude) value *= gain;
    volume = to_volume(magnitude, geometry, image::Datatype::i16);
  }
  volume.acquisition = acquisition(scanner, sequence);
  return volume;
}

std::string padded(int number) {
  auto digits = std::to_string(number);
  return std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') + digits;
}

/// Examines one subject: writes the images to `folder`, gives their entries with the final paths.
std::vector<dataset::ImageEntry> examine(const Options& options, const std::string& folder,
                                         const Subject& subject, const Scanner& scanner) {
  const auto key = random_key(options.seed, {"phantom", "subject", subject.id});
  const Geometry geometry{options.plane, options.matrix, subject.slices};
  const auto anatomy = draw_anatomy(sub_key(key, 0), subject.findings, options.difficulty);
  const auto rendering = render(anatomy, geometry);
  const auto final_path = [&](const std::string& name) {
    return resolve(options.folder, "") + "/" + name;
  };

  dataset::ImageEntry common;
  common.subject = subject.id;
  common.attributes = {{"site", scanner.site},
                       {"scanner", scanner.id},
                       {"field_strength", scanner.field_t},
                       {"laterality", anatomy.laterality > 0 ? "right" : "left"}};
  for (std::int64_t k = 0; k < subject.slices; ++k)
    common.samples.push_back({dataset::Slice{2, k}, slice_labels(rendering, k)});
  const auto sensitivity = sensitivities(geometry, coils, sub_key(key, 1));
  if (options.maps) {
    const auto write = [&](const std::string& kind, const image::Volume& map) {
      const auto name = "maps/" + subject.id + "_" + kind + ".nii.gz";
      image::write_image(map, folder + "/" + name, {"mr-phantom: " + kind + " map"}, options.seed,
                         Overwrite::no);
      common.maps[kind] = final_path(name);
    };
    write("tissue", to_volume(tissue_map(rendering), geometry, image::Datatype::u8));
    write("fat", to_volume(fat_map(rendering), geometry, image::Datatype::f32));
    write("field", to_volume(field_map(anatomy, geometry, scanner.field_t,
                                       random_key(options.seed, {"phantom", "magnet", scanner.id})),
                             geometry, image::Datatype::f32));
    auto coil_maps = image::make_volume({coils, geometry.slices, geometry.matrix, geometry.matrix},
                                        affine(geometry), image::Datatype::c64);
    coil_maps.complex_voxels = sensitivity;
    coil_maps.acquisition.dim4 = "coil";
    write("coils", coil_maps);
  }

  std::vector<dataset::ImageEntry> entries;
  for (const auto sequence : options.sequences) {
    const auto volume = scan(options, geometry, rendering, sensitivity, scanner, sequence, key);
    auto entry = common;
    entry.id = subject.id + "_" + sequence_name(sequence);
    const auto name = "images/" + entry.id + ".nii.gz";
    image::write_image(volume, folder + "/" + name, {"mr-phantom"}, options.seed, Overwrite::no);
    entry.file = final_path(name);
    entry.attributes["sequence"] = sequence_name(sequence);
    entry.acquisition = image::to_json(volume.acquisition);
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

std::vector<Scanner> draw_scanners(std::uint64_t seed) {
  std::vector<Scanner> scanners;
  for (int n = 0; n < 6; ++n) {
    const auto id = "scanner-" + std::to_string(n + 1);
    const auto key = random_key(seed, {"phantom", "scanner", id});
    const double field_t = n % 2 == 0 ? 1.5 : 3;
    scanners.push_back({id, "site-" + std::to_string(n / 2 + 1), field_t,
                        1000 * std::exp(0.5 * std::clamp(normal(key, 0), -2.0, 2.0)),
                        std::round(uniform(key, 1, 2200, 3000)),
                        std::round(uniform(key, 2, 27, 34)), uniform(key, 3, 0.06, 0.16),
                        0.012 * 3 / field_t});
  }
  return scanners;
}

std::vector<Subject> design(std::uint64_t seed, int subjects) {
  const auto key = random_key(seed, {"phantom", "design"});
  const auto scanner = shuffled_blocks(sub_key(key, 0), 6, subjects);
  const auto slices = shuffled_blocks(sub_key(key, 1), slice_counts, subjects);
  std::vector<Subject> out;
  for (int i = 0; i < subjects; ++i) {
    const auto n = static_cast<std::size_t>(i);
    out.push_back({"sub-" + padded(i + 1),
                   static_cast<std::size_t>(scanner[n]),
                   fewest_slices + slices[n],
                   {}});
  }
  for (std::size_t f = 0; f < finding_count; ++f) assign(sub_key(key, 2 + f), f, out);
  return out;
}

std::vector<int> slice_labels(const Rendering& rendering, std::int64_t slice) {
  const auto slices = rendering.finding_mm2.shape(1);
  std::vector<int> labels;
  for (std::size_t f = 0; f < finding_count; ++f)
    labels.push_back(rendering.finding_mm2[static_cast<std::int64_t>(f) * slices + slice] >=
                     positive_mm2[f]);
  return labels;
}

void make_data_set(const Options& options, const Run& run, const Messages& messages) {
  dataset::ManifestOutput manifest(options.manifest_out, options.overwrite);
  AtomicFolder folder(options.folder, options.overwrite);
  make_folders(folder.path() + "/images");
  if (options.maps) make_folders(folder.path() + "/maps");

  const auto scanners = draw_scanners(options.seed);
  const auto subjects = design(options.seed, options.subjects);
  std::vector<dataset::ImageEntry> entries;  // written once the files have their final names
  Progress progress(messages, "subjects", options.subjects);
  std::size_t next = 0;
  ordered_pipeline(
      options.threads,
      [&]() -> std::optional<std::size_t> {
        throw_if_stopped();
        if (next == subjects.size()) return std::nullopt;
        return next++;
      },
      [&](std::size_t n) {
        return examine(options, folder.path(), subjects[n], scanners[subjects[n].scanner]);
      },
      [&](std::vector<dataset::ImageEntry> examined) {
        std::move(examined.begin(), examined.end(), std::back_inserter(entries));
        progress.advance();
      });
  folder.commit();

  std::vector<dataset::Label> labels;
  for (int f = 0; f < finding_count; ++f) labels.push_back({finding_name(static_cast<Finding>(f))});
  auto writer = manifest.writer(labels);
  for (const auto& entry : entries) writer.write(entry);
  writer.finish(Json::array({provenance_entry(run, {})}));
  manifest.commit();
}

}  // namespace mr::phantom
