#include <dcmtk/dcmdata/dcspchrs.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "image/child.h"
#include "image/dicom_origin.h"
#include "image/dicom_series.h"

namespace mr::image {
namespace {

/// LPS+ positions of planes in order to voxel-to-RAS+.
Affine affine_of(const Frame& first, double step) {
  const auto normal = cross(first.row_direction, first.column_direction);
  Affine a{};
  for (std::size_t r = 0; r < 3; ++r) {
    const double sign = r < 2 ? -1 : 1;
    a[r] = {sign * first.row_direction[r] * first.spacing_i,
            sign * first.column_direction[r] * first.spacing_j, sign * normal[r] * step,
            sign * first.position[r]};
    for (double& x : a[r]) x += 0;  // no -0 in what people read
  }
  a[3] = {0, 0, 0, 1};
  return a;
}

const DcmTagKey timing = DCM_MRTimingAndRelatedParametersSequence;

std::string sequence_of(DcmItem& dataset) {
  for (const auto& tag : {DCM_SequenceName, DCM_PulseSequenceName, DCM_ScanningSequence})
    if (auto name = text_of(dataset, tag); !name.empty()) return name;
  return "";
}

Acquisition acquisition_of(const Arranged& image) {
  const auto& first = image.planes.front();
  const FrameItems items(*first.file, first.index);
  auto& dataset = first.file->dataset();
  Acquisition a;
  const auto type = text_of(dataset, DCM_MRAcquisitionType);
  if (type == "2D") a.mode = Mode::two_d;
  if (type == "3D") a.mode = Mode::three_d;
  // COL: the phase encode runs along a column of the image, from row to row.
  const auto phase = items.text(DCM_MRFOVGeometrySequence, DCM_InPlanePhaseEncodingDirection);
  if (phase == "ROW") a.phase_encode_axis = 0;
  if (phase == "COL" || phase == "COLUMN") a.phase_encode_axis = 1;
  a.slice_axis = 2;
  const auto positive = [&](const DcmTagKey& group, const DcmTagKey& tag) {
    const auto x = items.number(group, tag);
    return x && *x > 0 ? x : std::nullopt;
  };
  a.tr_ms = positive(timing, DCM_RepetitionTime);
  if (first.echo_ms && *first.echo_ms > 0) a.te_ms = first.echo_ms;
  a.ti_ms = positive(DCM_MRModifierSequence, DCM_InversionTimes);
  if (!a.ti_ms) a.ti_ms = positive(DCM_MRModifierSequence, DCM_InversionTime);
  a.flip_deg = positive(timing, DCM_FlipAngle);
  a.field_t = positive(timing, DCM_MagneticFieldStrength);
  if (a.field_t && *a.field_t > 30) *a.field_t /= 1e4;  // older files say it in gauss
  if (const auto train = positive(timing, DCM_EchoTrainLength); train && *train < 1e6)
    a.echo_train = static_cast<int>(*train);
  if (const auto sequence = sequence_of(dataset); !sequence.empty()) a.sequence = sequence;
  const bool diffusion = std::any_of(image.planes.begin(), image.planes.end(), [&](const Frame& f) {
    return f.diffusion_b != first.diffusion_b;
  });
  if (image.repeats > 1 && !diffusion) a.dim4 = "time";
  return a;
}

/// In UTF-8, by the file's SpecificCharacterSet; as it is where that cannot be converted.
std::string utf8_text(DcmDataset& dataset, const DcmTagKey& tag) {
  const auto value = text_of(dataset, tag);
  DcmSpecificCharacterSet characters;
  OFString converted;
  const bool done = characters.selectCharacterSet(dataset).good() &&
                    characters.convertString(value.c_str(), converted, "\\").good();
  return done ? converted.c_str() : value;
}

Json attributes_of(DcmDataset& dataset, const Acquisition& acquisition) {
  Json attributes = Json::object();
  const auto set = [&](const char* key, const std::string& value) {
    if (!value.empty()) attributes[key] = value;
  };
  set("manufacturer", utf8_text(dataset, DCM_Manufacturer));
  set("model", utf8_text(dataset, DCM_ManufacturerModelName));
  if (acquisition.field_t) attributes["field_t"] = *acquisition.field_t;
  if (acquisition.sequence) attributes["sequence"] = *acquisition.sequence;
  return attributes;
}

Header header_of(const Arranged& image) {
  const auto& first = image.planes.front();
  Header h;
  h.shape = {image.repeats, image.slices, first.rows, first.columns};
  h.affine = affine_of(first, image.step_mm);
  h.spacing_mm = {first.spacing_i, first.spacing_j, image.step_mm};
  h.acquisition = acquisition_of(image);
  h.attributes = attributes_of(first.file->dataset(), h.acquisition);
  h.format = "dicom";
  return h;
}

/// The stored pixels of one plane out of those of its frame.
const char* cut_tile(const Frame& plane, const std::vector<char>& frame, std::vector<char>& tile) {
  const auto& file = *plane.file;
  if (plane.rows == file.rows && plane.columns == file.columns) return frame.data();
  const auto bytes = static_cast<std::size_t>(file.format.bits_allocated / 8);
  const auto width = static_cast<std::size_t>(plane.columns) * bytes;
  tile.resize(width * static_cast<std::size_t>(plane.rows));
  for (int r = 0; r < plane.rows; ++r) {
    const auto from =
        static_cast<std::size_t>(plane.row + r) * static_cast<std::size_t>(file.columns) +
        static_cast<std::size_t>(plane.column);
    std::memcpy(&tile[static_cast<std::size_t>(r) * width], &frame[from * bytes], width);
  }
  return tile.data();
}

/// What is padding is no image: no signal.
void blank_padding(const Frame& plane, const char* stored, std::int64_t n, float* values) {
  const auto& format = plane.file->format;
  if (!format.padding) return;
  auto padding = *format.padding;
  if (format.inverted) padding = format.mirror() - padding;
  const auto blank = [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t i = 0; i < n; ++i) {
      T x;
      std::memcpy(&x, stored + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
      if (x == static_cast<T>(padding)) values[i] = 0;
    }
  };
  if (format.bits_allocated == 8)
    blank(std::uint8_t{});
  else
    blank(std::uint16_t{});
}

/// Fills the voxels, and moves what stays of the files into the origin.
void read_planes(const Arranged& image, Volume& volume, DicomOrigin& origin) {
  std::map<const DicomFile*, std::size_t> sources, left;
  for (const auto& plane : image.planes) ++left[plane.file.get()];
  std::vector<char> frame, tile;
  const Frame* decoded = nullptr;
  const auto n = volume.shape()[2] * volume.shape()[3];
  float* values = volume.voxels.data();
  for (const auto& plane : image.planes) {
    auto& file = *plane.file;
    if (!decoded || decoded->file != plane.file || decoded->index != plane.index)
      read_frame(file, plane.index, frame);
    decoded = &plane;
    const auto* stored = cut_tile(plane, frame, tile);
    decode(stored, plane.storage, n, values);
    blank_padding(plane, stored, n, values);
    values += n;
    const auto [at, is_new] = sources.emplace(&file, origin.sources.size());
    if (is_new)
      origin.sources.push_back({file.file_name, nullptr, file.frames, file.rows, file.columns});
    origin.places.push_back({at->second, plane.index, plane.row, plane.column});
    origin.planes.push_back(plane.storage);
    if (--left[&file] > 0) continue;
    delete file.dataset().remove(file.elements.find(DCM_PixelData));
    origin.sources[at->second].file = std::move(file.file);
  }
}

Volume read_stack(const Stack& stack, const std::string& name, DicomKind kind, bool phase = false) {
  const auto image = arrange(stack, name, phase);
  const auto header = header_of(image);
  Volume volume;
  volume.affine = header.affine;
  volume.spacing_mm = header.spacing_mm;
  volume.acquisition = header.acquisition;
  volume.storage = image.planes.front().storage;
  auto origin = std::make_shared<DicomOrigin>();
  const auto& format = image.planes.front().file->format;
  origin->kind = kind;
  origin->format = format;
  origin->shape = header.shape;
  origin->storage = volume.storage;
  // More bits can be stored than were, up to those allocated; inverting is about those stored.
  const int bits = format.inverted ? format.bits_stored : format.bits_allocated;
  origin->lowest = static_cast<double>(format.lowest(bits));
  origin->highest = static_cast<double>(format.highest(bits));
  volume.voxels = Array<float>(header.shape);
  read_planes(image, volume, *origin);
  require_finite(volume, name);
  origin->is_philips_scaled = image.is_philips_scaled;
  origin->bright_end = bright_end(volume);
  volume.origin = std::move(origin);
  return volume;
}

/// "study: holds 3 images: #2 (20 of 256x256), ...; name one, as study#2".
[[noreturn]] void fail_for_many(const std::vector<const Stack*>& stacks, const std::string& path) {
  constexpr std::size_t shown_stacks = 6;
  std::string text = path + ": holds " + std::to_string(stacks.size()) + " images: ";
  for (std::size_t i = 0; i < std::min(shown_stacks, stacks.size()); ++i) {
    const auto& stack = *stacks[i];
    text += (i ? ", #" : "#") + stack.name;
    if (!stack.planes.empty())
      text += " (" + std::to_string(stack.planes.size()) + " of " +
              std::to_string(stack.planes[0].columns) + "x" + std::to_string(stack.planes[0].rows) +
              ")";
  }
  throw DataError(text + (stacks.size() > shown_stacks ? ", ..." : "") + "; name one, as " + path +
                  "#" + stacks[0]->name);
}

/// What is wrong with a file that does not say whose it is, and may be of any image; "": nothing.
std::string error_of_unknown(const Stacks& all) {
  for (const auto& stack : all.stacks)
    if (stack.of_unknown) return stack.error;
  return "";
}

std::string named(const std::string& path, const std::string& image) {
  return image.empty() ? path : path + "#" + image;
}

/// The stack of that name; the only one for "".
const Stack& choose(const Stacks& all, const std::string& path, const std::string& image) {
  if (const auto error = error_of_unknown(all); !error.empty()) throw DataError(error);
  std::vector<const Stack*> chosen;
  for (const auto& stack : all.stacks)
    if (image.empty() || image == stack.name || image == stack.long_name) chosen.push_back(&stack);
  if (chosen.size() > 1) fail_for_many(chosen, path);
  if (!chosen.empty()) return *chosen.front();
  std::string list;
  for (const auto& stack : all.stacks) list += (list.empty() ? "" : ", ") + stack.name;
  throw DataError(path + "#" + image + ": no such image; there are " + list.substr(0, 200));
}

bool is_localizer(const Stack& stack) {
  return stack.mixed_orientations ||
         (!stack.planes.empty() &&
          stack.planes[0].image_type.find("LOCALIZER") != std::string::npos);
}

/// The path of the stack's phase image, of the same series and name but for "_ph"; "": none. What
/// scanners computed of phases (velocities, fields) is none.
std::string phase_of(const Stack& stack, const Stacks& all, const std::string& path) {
  for (const auto& other : all.stacks) {
    auto name = other.name;
    const auto at = name.find("_ph");
    if (at == std::string::npos || other.planes.empty() || other.planes[0].component != "P")
      continue;
    const auto& type = other.planes[0].image_type;
    const bool computed =
        type.find("VELOCITY") != std::string::npos || type.find("MAP") != std::string::npos;
    if (!computed && name.erase(at, 3) == stack.name) return path + "#" + other.name;
  }
  return "";
}

/// Bytes as a file that has no name in any folder.
class MemoryFile {
 public:
  MemoryFile(std::string_view bytes, const std::string& name)
      : descriptor_(::memfd_create("image", MFD_CLOEXEC)) {
    if (descriptor_ < 0) throw IoError(name + ": cannot be kept in memory");
    if (write_all(descriptor_, bytes)) return;
    ::close(descriptor_);
    throw IoError(name + ": cannot be kept in memory");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// Through a file: only there does DCMTK compare the length of an element with what is left before
/// it takes the memory.
std::shared_ptr<DicomFile> open_bytes(std::string_view bytes, const std::string& name) {
  const MemoryFile in_memory(bytes, name);
  auto file = std::make_shared<DicomFile>();
  open_dicom(in_memory.path(), name, *file);
  file->file_name = "image.dcm";
  if (const auto status = file->file->loadAllDataIntoMemory(); status.bad())
    throw DataError(name + ": damaged DICOM file: " + status.text());
  return file;
}

}  // namespace

bool looks_like_dicom(std::string_view bytes) {
  if (bytes.size() >= 132 && bytes.substr(128, 4) == "DICM") return true;
  // Without preamble and file meta, as old archives have it: the first element of group 0008.
  if (bytes.size() < 132 || bytes.substr(0, 2) != std::string_view("\x08\0", 2)) return false;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (byte(3) != 0 || byte(2) > 0x18) return false;
  for (const char* vr : {"UL", "CS", "DA", "TM", "UI", "SH"})
    if (bytes.substr(4, 2) == vr) return true;
  const bool short_length = byte(5) == 0 && byte(6) == 0 && byte(7) == 0;
  return short_length && byte(4) % 2 == 0;  // implicit VR
}

Volume read_dicom(const std::string& path, const std::string& image, bool phase) {
  const auto all = stacks_at(path);
  const auto& stack = choose(all, path, image);
  const bool one_file = stack.files.size() == 1 && (!image.empty() || !is_folder(path));
  return read_stack(stack, named(path, image), one_file ? DicomKind::file : DicomKind::folder,
                    phase);
}

Volume read_dicom_bytes(std::string_view bytes, const std::string& name) {
  const auto all = stacks_in(open_bytes(bytes, name));
  return read_stack(choose(all, name, ""), name, DicomKind::file);
}

Header read_dicom_header(const std::string& path, const std::string& image) {
  const auto all = stacks_at(path);
  return header_of(arrange(choose(all, path, image), named(path, image)));
}

Listing list_dicom(const std::string& path) {
  const auto all = stacks_at(path);
  std::map<std::string, int> images_in;  // by file
  for (const auto& stack : all.stacks)
    for (const auto& file : stack.files) ++images_in[file];
  Listing listing;
  listing.others = all.others;
  if (auto error = error_of_unknown(all); !error.empty()) {
    ListedImage whole;
    whole.path = path;
    whole.unreadable = std::move(error);
    listing.images = {whole};
    return listing;
  }
  for (const auto& stack : all.stacks) {
    ListedImage image;
    if (all.stacks.size() == 1)
      image.path = path;
    else if (stack.files.size() == 1 && images_in[stack.files[0]] == 1)
      image.path = stack.files[0];
    else
      image.path = path + "#" + stack.name;
    image.is_localizer = is_localizer(stack);
    image.phase = phase_of(stack, all, path);
    image.is_phase =
        all.stacks.size() > 1 && !stack.planes.empty() && stack.planes[0].component == "P";
    try {
      if (!image.is_phase) image.header = header_of(arrange(stack, image.path));
    } catch (const DataError& e) {
      image.unreadable = e.what();
    }
    listing.images.push_back(std::move(image));
  }
  return listing;
}

}  // namespace mr::image
