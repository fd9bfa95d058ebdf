#include "image/image_file.h"

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "base/error.h"
#include "base/text.h"
#include "image/byte_source.h"
#include "image/dicom.h"
#include "image/nifti.h"
#include "image/png.h"
#include "image/storage.h"

namespace mr::image {
namespace {

constexpr std::size_t prefix_bytes = 512;

/// A file's name taken apart: "a/b", ".nii", packed of "a/b.nii.gz"; endings in lower case.
struct Name {
  std::string stem, ending;
  bool packed = false;

  explicit Name(const std::string& path) : stem(path) {
    ending = take_ending();
    packed = ending == ".gz";
    if (packed) ending = take_ending();
  }
  bool is_pair() const { return ending == ".hdr" || ending == ".img"; }

 private:
  std::string take_ending() {
    const auto dot = stem.rfind('.');
    if (dot == std::string::npos || stem.find('/', dot) != std::string::npos) return "";
    auto taken = lower(stem.substr(dot));
    stem.resize(dot);
    return taken;
  }
};

/// The header of a pair where the image half was named.
std::string header_beside(const std::string& path) {
  const Name name(path);
  if (name.ending != ".img") return path;
  const auto header = name.stem + ".hdr";
  for (const auto& candidate : {header, header + ".gz"})
    if (exists(candidate)) return candidate;
  return path;
}

enum class Kind { nifti, dicom, png };

Kind kind_of(std::string_view prefix) {
  if (looks_like_dicom(prefix)) return Kind::dicom;
  return looks_like_png(prefix) ? Kind::png : Kind::nifti;
}

/// "PATH#NAME" taken apart, where PATH is there and the whole is not.
struct Selected {
  std::string path, name;

  explicit Selected(const std::string& whole) : path(whole) {
    const auto hash = whole.rfind('#');
    if (hash == std::string::npos || exists(whole)) return;
    const auto before = whole.substr(0, hash);
    if (!is_folder(before) &&
        !(exists(before) && looks_like_dicom(read_prefix(before, prefix_bytes))))
      return;
    path = before;
    name = whole.substr(hash + 1);
  }
};

/// A folder is DICOM; a pipe can be looked at only by reading it, and counts as NIfTI.
Kind kind_at(const std::string& path) {
  if (is_folder(path)) return Kind::dicom;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return Kind::nifti;
  return kind_of(read_prefix(path, prefix_bytes));
}

}  // namespace

bool looks_like_image(std::string_view prefix) {
  return kind_of(prefix) != Kind::nifti || looks_like_nifti(unpacked_prefix(prefix, prefix_bytes));
}

struct ImageReader::State {
  std::string name, bytes;  // of what is no NIfTI: path (bytes is empty), or the image itself
  bool in_memory = false;
  Kind kind = Kind::nifti;
  std::unique_ptr<NiftiReader> nifti;

  void open(std::unique_ptr<ByteSource> source) {
    nifti = std::make_unique<NiftiReader>(std::move(source));
  }
};

ImageReader::ImageReader(const std::string& path) : state_(std::make_unique<State>()) {
  auto& s = *state_;
  s.name = path;
  s.kind = kind_at(Selected(path).path);
  if (s.kind == Kind::nifti) s.open(std::make_unique<ByteSource>(header_beside(path)));
}

ImageReader::ImageReader(std::string bytes, std::string name) : state_(std::make_unique<State>()) {
  auto& s = *state_;
  s.name = std::move(name);
  s.in_memory = true;
  s.kind = kind_of(bytes);
  if (s.kind == Kind::nifti)
    s.open(std::make_unique<ByteSource>(std::move(bytes), s.name));
  else
    s.bytes = std::move(bytes);
}

ImageReader::~ImageReader() = default;

bool ImageReader::has_frames() const {
  const auto* nifti = state_->nifti.get();
  return nifti && nifti->keeps_header() && nifti->header().shape[0] > 1;
}

const Header& ImageReader::header() const {
  return state_->nifti->header();
}

Volume ImageReader::next_frame() {
  return state_->nifti->read(1);
}

void ImageReader::rewind() {
  state_->nifti->rewind();
}

Volume ImageReader::whole() {
  auto& s = *state_;
  switch (s.kind) {
    case Kind::dicom: {
      if (s.in_memory) return read_dicom_bytes(s.bytes, s.name);
      const Selected selected(s.name);
      return read_dicom(selected.path, selected.name);
    }
    case Kind::png:
      return read_png(s.in_memory ? s.bytes : read_all(s.name), s.name);
    case Kind::nifti:
      break;
  }
  return s.nifti->read(s.nifti->header().shape[0]);
}

Volume read_image(const std::string& path) {
  if (path == "-") return read_image(read_all(path), "standard input");
  return ImageReader(path).whole();
}

Volume read_image(std::string bytes, const std::string& name) {
  return ImageReader(std::move(bytes), name).whole();
}

Volume read_phase(const std::string& path) {
  const Selected selected(path);
  return kind_at(selected.path) == Kind::dicom ? read_dicom(selected.path, selected.name, true)
                                               : read_image(path);
}

Header read_header(const std::string& path) {
  const Selected selected(path);
  switch (kind_at(selected.path)) {
    case Kind::dicom:
      return read_dicom_header(selected.path, selected.name);
    case Kind::png: {  // whether colours are equal is not in the header
      const auto volume = read_png(read_all(path), path);
      return {volume.shape(),
              volume.affine,
              volume.spacing_mm,
              volume.acquisition,
              Json{{"datatype", datatype_name(volume.storage.datatype)}},
              "png"};
    }
    case Kind::nifti:
      break;
  }
  ByteSource source(header_beside(path));
  return read_nifti_header(source);
}

Listing list_images(const std::string& path) {
  return list_dicom(path);
}

bool image_exists(const std::string& path) {
  return exists(Selected(path).path);
}

namespace {

/// Gives `body` a sink whose bytes go to `sink`, in gzip where wanted.
void through_gzip(bool packed, const ByteSink& sink,
                  const std::function<void(const ByteSink&)>& body) {
  if (!packed) return body(sink);
  Gzip packer(sink);
  body([&](std::string_view bytes) { packer.write(bytes); });
  packer.finish();
}

void encode_frames(const Frames& frames, const Derivation& derivation, bool packed,
                   const ByteSink& sink) {
  through_gzip(packed, sink,
               [&](const ByteSink& to) { encode_nifti(frames, derivation, nullptr, to); });
}

}  // namespace

void encode_image(const Volume& volume, const Derivation& derivation, bool packed,
                  std::uint64_t uid_seed, const std::function<void(std::string_view)>& sink) {
  switch (dicom_kind(volume)) {
    case DicomKind::folder:
      throw UsageError("a DICOM series is a folder, not one file: name an output folder");
    case DicomKind::file:
      return sink(encode_dicom(volume, derivation, uid_seed));
    case DicomKind::none:
      break;
  }
  encode_frames({volume, fitting_storage(volume), {}}, derivation, packed, sink);
}

void encode_series(const Volume& first, const NextFrame& next, const Derivation& derivation,
                   bool packed, const std::function<void(std::string_view)>& sink) {
  encode_frames({first, first.storage, next}, derivation, packed, sink);
}

std::string encode_image(const Volume& volume, const Derivation& derivation, bool packed,
                         std::uint64_t uid_seed) {
  std::string bytes;
  encode_image(volume, derivation, packed, uid_seed, [&](std::string_view more) { bytes += more; });
  return bytes;
}

namespace {

bool is_nifti_name(const Name& name) {
  return name.ending == ".nii" || name.is_pair();
}

/// A DICOM image as a new NIfTI one: its geometry and numbers, and nothing else of its headers.
Volume as_nifti(const Volume& volume) {
  auto copy = volume;
  const auto* origin = dynamic_cast<const FileOrigin*>(volume.origin.get());
  copy.origin = nullptr;
  const auto differs = [&](const Storage& s) { return s != volume.storage; };
  if (origin && std::any_of(origin->planes.begin(), origin->planes.end(), differs))
    copy.storage = {Datatype::f32, 1, 0};
  return copy;
}

void require_fitting_name(const Volume& volume, const std::string& path) {
  const Name name(path);
  if (is_device(path)) return;  // has no name to speak of
  if (is_nifti_name(name)) return;
  if (dicom_kind(volume) == DicomKind::none) {
    throw UsageError(path + ": the image is " +
                     (volume.origin ? "NIfTI and stays so" : "written as NIfTI") +
                     ": name a .nii, .nii.gz or .hdr file");
  }
  constexpr const char* others[] = {".png", ".jpg",  ".jpeg", ".tif", ".tiff", ".mha",
                                    ".mhd", ".nrrd", ".mgh",  ".mgz", ".npy"};
  if (name.packed || std::any_of(std::begin(others), std::end(others),
                                 [&](const char* other) { return name.ending == other; }))
    throw UsageError(path + ": the image is DICOM: name a " +
                     (dicom_kind(volume) == DicomKind::folder ? "folder" : ".dcm file") +
                     ", or a .nii, .nii.gz or .hdr file");
}

/// The files that writing to `path` makes.
std::vector<std::string> written_files(const std::string& path) {
  const Name name(path);
  if (!name.is_pair()) return {path};
  const std::string gz = name.packed ? ".gz" : "";
  return {name.stem + ".hdr" + gz, name.stem + ".img" + gz};
}

}  // namespace

void require_writable(const Volume& volume, const std::string& path, Overwrite overwrite) {
  require_fitting_name(volume, path);
  for (const auto& file : written_files(path)) require_absent(file, overwrite);
}

namespace {

void write_frames(const Frames& frames, const std::string& path, const Derivation& derivation,
                  Overwrite overwrite) {
  const bool packed = Name(path).packed;
  const auto to = [](AtomicFile& file) {
    return [&file](std::string_view bytes) { file.write(bytes); };
  };
  if (const auto files = written_files(path); files.size() == 2) {
    AtomicFile header(files[0], overwrite), voxels(files[1], overwrite);
    through_gzip(packed, to(header), [&](const ByteSink& header_sink) {
      through_gzip(packed, to(voxels), [&](const ByteSink& voxel_sink) {
        encode_nifti(frames, derivation, &header_sink, voxel_sink);
      });
    });
    voxels.commit();
    header.commit();  // last: without it there is no image
    return;
  }
  AtomicFile file(path, overwrite);
  encode_frames(frames, derivation, packed, to(file));
  file.commit();
}

}  // namespace

void write_series(const Volume& first, const NextFrame& next, const std::string& path,
                  const Derivation& derivation, Overwrite overwrite) {
  require_writable(first, path, overwrite);
  write_frames({first, first.storage, next}, path, derivation, overwrite);
}

void write_image(const Volume& volume, const std::string& path, const Derivation& derivation,
                 std::uint64_t uid_seed, Overwrite overwrite) {
  require_writable(volume, path, overwrite);  // before the work of encoding
  const auto kind = dicom_kind(volume);
  if (kind != DicomKind::none && is_nifti_name(Name(path)))
    return write_image(as_nifti(volume), path, derivation, uid_seed, overwrite);
  if (kind == DicomKind::none)
    return write_frames({volume, fitting_storage(volume), {}}, path, derivation, overwrite);
  if (kind == DicomKind::folder)
    return write_dicom_folder(volume, path, derivation, uid_seed, overwrite);
  write_file(path, encode_dicom(volume, derivation, uid_seed), overwrite);
}

void set_datatype(Volume& volume, const std::string& type, const std::string& name) {
  const auto names = datatype_names();
  const auto place = std::find(names.begin(), names.end(), type) - names.begin();
  const auto datatype = static_cast<Datatype>(place);
  if (place == static_cast<std::ptrdiff_t>(names.size()))
    throw UsageError(name + ": " + unknown("datatype", type, names));
  if (dicom_kind(volume) != DicomKind::none)
    throw UsageError(name + ": the numbers of a DICOM image keep their type; " + type +
                     " is for NIfTI");
  if (is_complex(datatype) != volume.is_complex())
    throw DataError(name + ": a " + (volume.is_complex() ? "complex" : "real") +
                    " image cannot be stored as " + type);
  if (datatype != volume.storage.datatype) volume.storage = {datatype, 1, 0};
}

std::string natural_extension(const Volume& volume) {
  switch (dicom_kind(volume)) {
    case DicomKind::folder:
      return "";
    case DicomKind::file:
      return ".dcm";
    case DicomKind::none:
      break;
  }
  return is_packed_nifti(volume) ? ".nii.gz" : ".nii";
}

Volume make_volume(Shape shape, const Affine& affine, Datatype datatype) {
  Volume volume;
  if (is_complex(datatype))
    volume.complex_voxels = Array<Complex>(std::move(shape));
  else
    volume.voxels = Array<float>(std::move(shape));
  volume.affine = affine;
  volume.spacing_mm = column_lengths(affine);
  volume.storage.datatype = datatype;
  return volume;
}

}  // namespace mr::image
