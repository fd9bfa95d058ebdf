#include "dataset/check.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/text.h"
#include "base/threads.h"
#include "image/image_file.h"
#include "kspace/coil_images.h"
#include "kspace/phase.h"

namespace mr::dataset {
namespace {

std::string shape_text(const Shape& shape) {  // as i x j x k
  return std::to_string(shape[3]) + "x" + std::to_string(shape[2]) + "x" + std::to_string(shape[1]);
}

/// Largest distance [mm] between the corners of two grids of one shape.
double corner_distance_mm(const Shape& shape, const image::Affine& a, const image::Affine& b) {
  double largest = 0;
  for (int corner = 0; corner < 8; ++corner) {
    double squared = 0;
    for (std::size_t row = 0; row < 3; ++row) {
      double difference = a[row][3] - b[row][3];
      for (std::size_t axis = 0; axis < 3; ++axis)
        if ((corner >> axis) & 1)
          difference += (a[row][axis] - b[row][axis]) * static_cast<double>(shape[3 - axis] - 1);
      squared += difference * difference;
    }
    largest = std::max(largest, std::sqrt(squared));
  }
  return largest;
}

double smallest_edge_mm(const image::Affine& affine) {
  double smallest = HUGE_VAL;
  for (std::size_t axis = 0; axis < 3; ++axis)
    smallest = std::min(smallest, std::hypot(affine[0][axis], affine[1][axis], affine[2][axis]));
  return smallest;
}

void check_slices(const ImageEntry& entry, const Shape& shape, std::vector<std::string>& problems) {
  for (const auto& sample : entry.samples) {
    if (!sample.slice) continue;
    const auto n = shape[static_cast<std::size_t>(3 - sample.slice->axis)];
    if (sample.slice->index >= n)
      problems.push_back("image " + entry.id + ": slice " + "ijk"[sample.slice->axis] + " " +
                         std::to_string(sample.slice->index) +
                         " is outside of the image, which has " + std::to_string(n) + " (0 to " +
                         std::to_string(n - 1) + ")");
  }
}

/// Problems of an image's files, each beginning with the path or the image.
std::vector<std::string> file_problems(const ImageEntry& entry, bool quick) {
  std::vector<std::string> problems;
  const auto attempt = [&](const auto& work) {
    try {
      work();
    } catch (const Error& e) {
      problems.emplace_back(e.what());
    }
  };
  std::optional<image::Header> header;
  attempt([&] { header = kspace::read_header(entry.file); });
  if (header) {
    check_slices(entry, header->shape, problems);
    if (!quick) attempt([&] { kspace::read_image(entry.file); });
  }
  if (!entry.mask.empty())
    attempt([&] {
      const auto mask = image::read_header(entry.mask);
      if (!quick) image::read_image(entry.mask);
      const auto difference =
          header ? grid_difference(header->shape, header->affine, mask.shape, mask.affine) : "";
      if (!difference.empty()) throw DataError(entry.mask + ": " + difference);
    });
  std::vector<std::string> others;
  if (!entry.phase.empty())
    attempt([&] {
      const auto phase = image::read_phase(entry.phase);
      const auto difference =
          header ? grid_difference(header->shape, header->affine, phase.shape(), phase.affine) : "";
      if (!difference.empty()) throw DataError(entry.phase + ": " + difference);
      kspace::radians_per_unit(phase, entry.phase);
    });
  if (!entry.source.empty()) others.push_back(entry.source);
  for (const auto& map : entry.maps) others.push_back(map.get<std::string>());
  for (const auto& path : others)
    attempt([&] {
      kspace::read_header(path);
      if (!quick) kspace::read_image(path);
    });
  return problems;
}

}  // namespace

std::vector<std::string> Consistency::add(const ImageEntry& entry) {
  const auto image = "image " + entry.id;
  std::vector<std::string> problems;
  if (!ids_.insert(entry.id).second) problems.push_back(image + ": the id is there twice");
  const auto [first, is_new] = split_of_subject_.emplace(entry.subject, entry.split);
  if (!is_new && first->second != entry.split) {
    const auto named = [](const std::string& s) { return s.empty() ? std::string("no split") : s; };
    problems.push_back(image + ": subject " + entry.subject +
                       " is in two splits: " + named(first->second) + " and " + named(entry.split));
  }
  std::set<std::string> samples;
  for (const auto& sample : entry.samples)
    if (const auto id = sample_id(entry, sample); !samples.insert(id).second)
      problems.push_back(image + ": sample " + id + " is there twice");
  samples_in_split_[entry.split] += static_cast<std::int64_t>(entry.samples.size());
  return problems;
}

std::vector<std::string> Consistency::finish(const std::vector<std::string>& wanted) const {
  std::vector<std::string> problems;
  if (samples_in_split_.empty()) problems.emplace_back("there is no image");
  auto splits = samples_in_split_;
  for (const auto& split : wanted) splits[split] += 0;
  for (const auto& [split, samples] : splits)
    if (samples == 0)
      problems.push_back(split.empty() ? "images without a split have no samples"
                                       : "split " + split + " is empty");
  return problems;
}

std::string grid_difference(const Shape& image_shape, const image::Affine& image_affine,
                            const Shape& mask_shape, const image::Affine& mask_affine) {
  if (mask_shape[0] != 1) return "want a mask of one frame, found " + std::to_string(mask_shape[0]);
  if (!std::equal(image_shape.begin() + 1, image_shape.end(), mask_shape.begin() + 1))
    return "the mask is " + shape_text(mask_shape) + ", its image " + shape_text(image_shape);
  const double distance = corner_distance_mm(image_shape, image_affine, mask_affine);
  if (distance <= 0.5 * smallest_edge_mm(image_affine)) return "";
  return "the mask lies elsewhere than its image: a corner is off by " + fixed(distance, 2) + " mm";
}

std::int64_t check(ManifestReader& reader, const CheckOptions& options, const Messages& messages,
                   const std::function<void(const std::string&)>& report) {
  struct Item {
    ImageEntry entry;
    std::vector<std::string> problems;  // known before the files are looked at
    bool readable = true;
  };
  Consistency consistency;
  Progress progress(messages, "checking", 0);
  std::int64_t count = 0;
  const auto report_all = [&](const std::vector<std::string>& problems) {
    for (const auto& problem : problems) report(problem);
    count += static_cast<std::int64_t>(problems.size());
  };
  ordered_pipeline(
      options.threads,
      [&]() -> std::optional<Item> {
        throw_if_stopped();
        Item item;
        try {
          if (!reader.next(item.entry)) return std::nullopt;
        } catch (const EntryError& e) {
          item.problems.emplace_back(e.what());
          item.readable = false;
          return item;
        }
        for (const auto& problem : consistency.add(item.entry))
          item.problems.push_back(reader.name() + ": " + problem);
        return item;
      },
      [&](Item item) {
        if (item.readable)
          for (const auto& problem : file_problems(item.entry, options.quick))
            item.problems.push_back(problem.rfind("image ", 0) == 0 ? reader.name() + ": " + problem
                                                                    : problem);
        return item.problems;
      },
      [&](const std::vector<std::string>& problems) {
        report_all(problems);
        progress.advance();
      });
  for (const auto& problem : consistency.finish(options.splits))
    report_all({reader.name() + ": " + problem});
  return count;
}

}  // namespace mr::dataset
