#include "image/dicom_series.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <tuple>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "image/dicom.h"

namespace mr::image {
namespace {

/// A file as found: its frames, or what is wrong with it.
struct Found {
  std::shared_ptr<DicomFile> file;
  std::vector<Frame> frames;
  std::string error;
  bool is_cut = false;  // cannot be parsed to its end, or has none of what comes last

  /// Number and UID: some exports give many series one UID.
  std::string series() const {
    return series_number() + " " + file->elements.text(DCM_SeriesInstanceUID);
  }
  bool is_unknown() const { return is_cut && file->elements.text(DCM_SeriesInstanceUID).empty(); }
  std::string series_number() const { return file->elements.text(DCM_SeriesNumber); }
};

/// Is a file that is no DICOM one meant to be? An empty one without an ending, or one named so.
bool is_lost(const std::string& path) {
  const auto name = lower(file_name(path));
  return ends_with(name, ".dcm") || ends_with(name, ".ima") ||
         (name.find('.') == std::string::npos && read_prefix(path, 1).empty());
}

/// The DICOM files of a folder, by name. throws DataError on what may be one that was lost: a link
/// to nothing, a file that ended before it began
std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> paths, dicom;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const auto path = entry.path().string();
    if (file_name(path).front() == '.') continue;
    std::error_code none;
    if (entry.is_symlink(none) && !entry.exists(none))
      throw DataError(path + ": a link to nothing");
    if (entry.is_regular_file(none)) paths.push_back(path);
  }
  if (error) throw IoError(folder + ": cannot be read: " + error.message());
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths)
    if (looks_like_dicom(read_prefix(path, 132)))
      dicom.push_back(path);
    else if (is_lost(path))
      throw DataError(path + ": no DICOM file: damaged, or cut off");
  return dicom;
}

/// The files of a DICOMDIR's image records (PS3.3 F.5, ReferencedFileID).
std::vector<std::string> files_of(const DicomFile& directory) {
  std::vector<std::string> paths;
  DcmSequenceOfItems* records = nullptr;
  directory.dataset().findAndGetSequence(DCM_DirectoryRecordSequence, records);
  DcmObject* at = nullptr;
  while (records && (at = records->nextInContainer(at))) {
    auto* record = dynamic_cast<DcmItem*>(at);
    if (!record || text_of(*record, DCM_DirectoryRecordType) != "IMAGE") continue;
    std::string path = parent_folder(directory.name);
    for (const auto& part : split(text_of(*record, DCM_ReferencedFileID), '\\')) {
      if (part.empty() || part == ".." || part.find('/') != std::string::npos)
        throw DataError(directory.name + ": refers to a file outside its folder: " + shown(part));
      path += (path.empty() ? "" : "/") + part;
    }
    if (!exists(path)) throw DataError(directory.name + ": lists " + path + ", which is not there");
    paths.push_back(path);
  }
  return paths;
}

std::vector<Found> open_all(const std::vector<std::string>& paths,
                            std::map<std::string, int>& others) {
  std::vector<Found> found;
  for (const auto& path : paths) {
    auto file = std::make_shared<DicomFile>();
    Found one{file, {}, ""};
    try {
      open_dicom(path, path, *file);
    } catch (const DataError& e) {
      one.error = e.what();
      one.is_cut = true;
    }
    if (is_directory(*file)) continue;
    one.is_cut = one.is_cut || !file->elements.find(DCM_PixelData);
    if (const auto other = other_object(*file); !other.empty()) {
      ++others[other];
      continue;
    }
    try {
      if (one.error.empty()) one.frames = frames_of(file);
    } catch (const DataError& e) {
      one.error = e.what();
    }
    found.push_back(std::move(one));
  }
  return found;
}

bool near(double a, double b, double tolerance) {
  return std::fabs(a - b) <= tolerance;
}

constexpr double direction_tolerance = 1e-4;  // DS strings of one series are rounded alike

bool same_orientation(const Frame& a, const Frame& b) {
  for (std::size_t c = 0; c < 3; ++c)
    if (!near(a.row_direction[c], b.row_direction[c], direction_tolerance) ||
        !near(a.column_direction[c], b.column_direction[c], direction_tolerance))
      return false;
  return true;
}

bool same_echo(const Frame& a, const Frame& b) {
  return a.echo_ms.has_value() == b.echo_ms.has_value() &&
         (!a.echo_ms || near(*a.echo_ms, *b.echo_ms, 0.01));
}

bool belong_together(const Frame& a, const Frame& b) {
  return a.rows == b.rows && a.columns == b.columns && a.file->format == b.file->format &&
         a.image_type == b.image_type && a.component == b.component && a.is_trace == b.is_trace &&
         same_echo(a, b) && same_orientation(a, b) &&
         near(a.spacing_i, b.spacing_i, direction_tolerance * a.spacing_i) &&
         near(a.spacing_j, b.spacing_j, direction_tolerance * a.spacing_j);
}

/// The stacks of one series, by the number of their first instance.
std::vector<Stack> divide(const std::vector<const Found*>& series) {
  std::vector<Stack> stacks;
  std::string error;
  for (const auto* found : series) {
    if (error.empty()) error = found->error;
    for (const auto& frame : found->frames) {
      const auto at = std::find_if(stacks.begin(), stacks.end(), [&](const Stack& s) {
        return belong_together(s.planes.front(), frame);
      });
      auto& stack = at != stacks.end() ? *at : stacks.emplace_back();
      stack.planes.push_back(frame);
      if (stack.files.empty() || stack.files.back() != frame.file->name)
        stack.files.push_back(frame.file->name);
    }
  }
  if (!error.empty()) {  // which of its images lacks that file is not known
    stacks.assign(1, {});
    stacks[0].error = error;
    stacks[0].of_unknown = series.front()->is_unknown();
    for (const auto* found : series) stacks[0].files.push_back(found->file->name);
    return stacks;
  }
  const auto first = [](const Stack& s) {
    double number = *s.planes.front().times.back();
    for (const auto& plane : s.planes) number = std::min(number, *plane.times.back());
    return number;
  };
  std::stable_sort(stacks.begin(), stacks.end(),
                   [&](const Stack& a, const Stack& b) { return first(a) < first(b); });
  return stacks;
}

std::string suffix_of(const Stack& stack, const std::vector<Stack>& series) {
  const auto& frame = stack.planes.front();
  std::string suffix;
  if (frame.component == "P") suffix = "_ph";
  if (frame.component == "R") suffix = "_real";
  if (frame.component == "I") suffix = "_imaginary";
  if (frame.is_trace) suffix += "_trace";
  std::set<std::int64_t> echoes;  // in 0.01 ms
  const auto echo_of = [](const Frame& f) { return std::llround(100 * f.echo_ms.value_or(0)); };
  for (const auto& other : series) echoes.insert(echo_of(other.planes.front()));
  if (echoes.size() > 1) {
    const auto rank = std::distance(echoes.begin(), echoes.find(echo_of(frame)));
    suffix += "_e" + std::to_string(rank + 1);
  }
  return suffix;
}

/// Gives the stacks of one series their names; `number` is that of the series, `hash` of its UID.
void name_stacks(std::vector<Stack>& stacks, const std::string& number, const std::string& hash,
                 bool is_only_number) {
  std::map<std::string, int> counts;
  for (auto& stack : stacks) {
    auto suffix = stacks.size() > 1 ? suffix_of(stack, stacks) : "";
    if (const int count = ++counts[suffix]; count > 1) suffix += "_" + std::to_string(count);
    stack.long_name = (number.empty() ? hash : number + "-" + hash) + suffix;
    stack.name = is_only_number && !number.empty() ? number + suffix : stack.long_name;
    stack.mixed_orientations = std::any_of(stacks.begin(), stacks.end(), [&](const Stack& other) {
      return !stack.planes.empty() && !other.planes.empty() &&
             !same_orientation(stack.planes.front(), other.planes.front());
    });
  }
}

/// A number as a part of a name: digits, or nothing.
std::string plain_number(const std::string& text) {
  return text.find_first_not_of("0123456789") == std::string::npos ? text : "";
}

std::vector<Stack> group(const std::vector<Found>& found) {
  std::map<std::string, std::vector<const Found*>> series;
  std::map<std::string, std::set<std::string>> with_number;
  for (const auto& one : found) {
    const bool alone = !one.error.empty() && one.file->elements.text(DCM_SeriesInstanceUID).empty();
    series[alone ? one.file->name : one.series()].push_back(&one);
    with_number[plain_number(one.series_number())].insert(one.series());
  }
  std::vector<std::pair<double, std::vector<Stack>>> all;  // by number
  for (const auto& [uid, files] : series) {
    auto stacks = divide(files);
    const auto number = plain_number(files.front()->series_number());
    name_stacks(stacks, number, sha256_hex(uid).substr(0, 8), with_number[number].size() == 1);
    all.emplace_back(std::strtod(number.c_str(), nullptr), std::move(stacks));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Stack> stacks;
  for (auto& [number, some] : all)
    for (auto& stack : some) stacks.push_back(std::move(stack));
  return stacks;
}

/// Philips scales the display values (RescaleSlope, RS) of one acquisition by several factors at
/// times. What was measured is DV / (RS SS), with the scale slope SS (Chenevert et al., Transl
/// Oncol 2014;7:65, "floating point values"). Where RS SS is one number, the two differ by a factor
/// that stands for nothing, and the standard's values are kept.
bool apply_philips_scaling(std::vector<Frame>& frames) {
  std::vector<double> factors;
  for (const auto& frame : frames) {
    if (!frame.philips_scale || frame.storage.slope <= 0) return false;
    factors.push_back(frame.storage.slope * *frame.philips_scale);
  }
  const auto [least, most] = std::minmax_element(factors.begin(), factors.end());
  if (*most <= *least * (1 + 1e-5)) return false;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    frames[i].storage.slope /= factors[i];
    frames[i].storage.intercept /= factors[i];
  }
  return true;
}

/// For messages.
std::string place_of(const Frame& frame) {
  return frame.file->frames > 1
             ? frame.file->file_name + " frame " + std::to_string(frame.index + 1)
             : frame.file->file_name;
}

constexpr double same_mm = 0.01;  // far below any slice distance, far above rounding

double distance(const Vector& a, const Vector& b) {
  return std::sqrt(
      dot({a[0] - b[0], a[1] - b[1], a[2] - b[2]}, {a[0] - b[0], a[1] - b[1], a[2] - b[2]}));
}

void require_once(const std::vector<Frame>& planes, const std::string& name) {
  std::map<std::tuple<std::string, int, int, int>, const Frame*> seen;
  for (const auto& plane : planes) {
    const auto uid = plane.file->elements.text(DCM_SOPInstanceUID);
    if (uid.empty()) continue;
    const auto [first, is_new] =
        seen.emplace(std::tuple(uid, plane.index, plane.row, plane.column), &plane);
    if (!is_new)
      throw DataError(name + ": " + first->second->file->file_name + " and " +
                      plane.file->file_name + " are one image twice (SOPInstanceUID)");
  }
}

/// Planes along their normal, those of one position together.
std::vector<std::vector<Frame>> by_position(std::vector<Frame> planes, const std::string& name) {
  const auto normal = cross(planes.front().row_direction, planes.front().column_direction);
  const auto along = [&](const Frame& f) { return dot(f.position, normal); };
  std::stable_sort(planes.begin(), planes.end(),
                   [&](const Frame& a, const Frame& b) { return along(a) < along(b); });
  std::vector<std::vector<Frame>> slices;
  for (auto& plane : planes) {
    if (slices.empty() || along(plane) - along(slices.back().front()) >= same_mm) {
      slices.emplace_back();
    } else if (distance(plane.position, slices.back().front().position) >= same_mm) {
      throw DataError(name + ": " + place_of(slices.back().front()) + " and " + place_of(plane) +
                      " lie side by side in one plane");
    }
    slices.back().push_back(std::move(plane));
  }
  return slices;
}

/// Orders the repeats of each slice by the first kind of time that tells all of them apart.
void order_repeats(std::vector<std::vector<Frame>>& slices, const std::string& name) {
  const auto repeats = slices.front().size();
  for (const auto& slice : slices)
    if (slice.size() != repeats)
      throw DataError(name + ": of the slice of " + place_of(slices.front().front()) +
                      " there are " + std::to_string(repeats) + " images, of that of " +
                      place_of(slice.front()) + " " + std::to_string(slice.size()));
  if (repeats == 1) return;
  for (std::size_t kind = 0; kind < slices[0][0].times.size(); ++kind) {
    const auto apart = [&](std::vector<Frame>& slice) {
      std::set<double> times;
      for (const auto& frame : slice)
        if (frame.times[kind]) times.insert(*frame.times[kind]);
      return times.size() == repeats;
    };
    if (!std::all_of(slices.begin(), slices.end(), apart)) continue;
    for (auto& slice : slices)
      std::sort(slice.begin(), slice.end(),
                [&](const Frame& a, const Frame& b) { return *a.times[kind] < *b.times[kind]; });
    const auto alike = [&](const std::vector<Frame>& slice) {  // triggers, say, come with jitter
      for (std::size_t f = 0; f < repeats; ++f)
        if (slice[f].diffusion_b != slices[0][f].diffusion_b) return false;
      return true;
    };
    if (std::all_of(slices.begin(), slices.end(), alike)) return;
  }
  throw DataError(name + ": " + place_of(slices[0][0]) + " and " + place_of(slices[0][1]) +
                  " lie at one position, and nothing tells which comes first in every slice");
}

/// Names the slices between which others are missing: where a distance is at least 1.5 times the
/// usual one.
void require_no_gap(const std::vector<std::vector<Frame>>& slices, const Vector& normal,
                    const std::string& name) {
  std::vector<double> steps;
  for (std::size_t k = 1; k < slices.size(); ++k)
    steps.push_back(dot(slices[k][0].position, normal) - dot(slices[k - 1][0].position, normal));
  auto sorted = steps;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  for (std::size_t k = 0; k < steps.size(); ++k)
    if (steps[k] > 1.5 * *middle)
      throw DataError(name + ": slices are missing between " + place_of(slices[k][0]) + " and " +
                      place_of(slices[k + 1][0]) + ": " + fixed(steps[k], 2) +
                      " mm apart, others " + fixed(*middle, 2) + " mm");
}

/// The step between slices [mm].
double even_step(const std::vector<std::vector<Frame>>& slices, const std::string& name) {
  const auto& first = slices.front()[0];
  // One slice alone: nothing but the affine's third column hangs on it.
  if (slices.size() == 1) return first.step.value_or(1);
  const auto normal = cross(first.row_direction, first.column_direction);
  require_no_gap(slices, normal, name);
  const auto along = [&](const Frame& f) { return dot(f.position, normal); };
  const double step =
      (along(slices.back()[0]) - along(first)) / static_cast<double>(slices.size() - 1);
  for (std::size_t k = 1; k < slices.size(); ++k) {
    Vector want = first.position;
    for (std::size_t c = 0; c < 3; ++c) want[c] += static_cast<double>(k) * step * normal[c];
    if (const double off = distance(slices[k][0].position, want); off > 0.02 * step + same_mm)
      throw DataError(name + ": slices are not evenly spaced: " + place_of(slices[k][0]) +
                      " lies " + fixed(off, 2) + " mm from where a step of " + fixed(step, 2) +
                      " mm puts it");
  }
  return step;
}

}  // namespace

Stacks stacks_in(std::shared_ptr<DicomFile> file) {
  Stacks all;
  Found found{file, frames_of(file), ""};
  all.stacks = group({found});
  return all;
}

Stacks stacks_at(const std::string& path) {
  std::vector<std::string> paths;
  if (is_folder(path)) {
    paths = files_in(path);
  } else {
    auto file = std::make_shared<DicomFile>();
    open_dicom(path, path, *file);
    if (!is_directory(*file)) return stacks_in(std::move(file));
    paths = files_of(*file);
  }
  Stacks all;
  const auto found = open_all(paths, all.others);
  if (found.empty() && !all.others.empty())
    throw DataError(path + ": holds no MR image: " + all.others.begin()->first);
  if (found.empty()) throw DataError(path + ": holds no DICOM image");
  all.stacks = group(found);
  return all;
}

Arranged arrange(const Stack& stack, const std::string& name, bool phase) {
  if (!stack.error.empty()) throw DataError(stack.error);
  if (stack.planes.front().component == "P" && !phase)
    throw DataError(name + ": a phase image (image type " + shown(stack.planes.front().image_type) +
                    "); want a magnitude");
  require_once(stack.planes, name);
  auto slices = by_position(stack.planes, name);
  order_repeats(slices, name);
  Arranged arranged;
  arranged.step_mm = even_step(slices, name);
  arranged.repeats = static_cast<std::int64_t>(slices.front().size());
  arranged.slices = static_cast<std::int64_t>(slices.size());
  for (std::size_t f = 0; f < slices.front().size(); ++f)
    for (auto& slice : slices) arranged.planes.push_back(std::move(slice[f]));
  arranged.is_philips_scaled = apply_philips_scaling(arranged.planes);
  return arranged;
}

}  // namespace mr::image
