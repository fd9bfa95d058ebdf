// Reading and writing of image files: NIfTI-1/2 (.nii, .nii.gz, pairs), DICOM (a file, a folder or
// a DICOMDIR); reading of grey PNG, which is written as NIfTI. Recognised by content, not by name.
#pragma once
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/id_key.h"
#include "base/json.h"
#include "image/volume.h"

namespace mr::image {

/// Reads a whole image. `path` is a NIfTI or PNG file, or a DICOM file, folder or DICOMDIR: of
/// several images in one "PATH#NAME" takes the one of that name (as list_images gives it). throws
/// MissingInputError, DataError "PATH: what is wrong", IoError. Non-finite voxels, RGB, and sizes
/// that the file does not hold are DataErrors; nothing is allocated before the check.
Volume read_image(const std::string& path);

/// The same for bytes in memory (standard input); `name` is for messages.
Volume read_image(std::string bytes, const std::string& name);

/// A phase image, in its file's own numbers. DICOM phase images, which read_image refuses, too.
Volume read_phase(const std::string& path);

/// What a header says, without reading voxels.
struct Header {
  Shape shape;  // [F, Z, Y, X]
  Affine affine{};
  std::array<double, 3> spacing_mm{1, 1, 1};
  Acquisition acquisition;
  Json attributes;     // DICOM: manufacturer, model, field_t, sequence; NIfTI: datatype; never who
  std::string format;  // "nifti" | "dicom" | "png" | "k-space"
  std::string subject = {};  // pseudonym that a public set gives (fastMRI's patient_id); "": none
};
Header read_header(const std::string& path);

/// An image that is read frame by frame, and as often as wanted, where its file allows it. Errors
/// as read_image, when it is opened or read.
class ImageReader {
 public:
  explicit ImageReader(const std::string& path);
  ImageReader(std::string bytes, std::string name);
  ImageReader(const ImageReader&) = delete;
  ImageReader& operator=(const ImageReader&) = delete;
  ~ImageReader();

  /// Is it a NIfTI image of several frames? Else only whole() is there.
  bool has_frames() const;
  const Header& header() const;
  Volume next_frame();
  void rewind();   // to the first frame
  Volume whole();  // once; no frame before or after

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One of the images that lie together.
struct ListedImage {
  std::string path;                             // what read_image takes
  Header header;                                // where it is readable and no phase image
  std::string unreadable;                       // "PATH: what is wrong"; "" nothing
  std::string phase;                            // path of the phase image of its series; "": none
  bool is_localizer = false, is_phase = false;  // which few want among others
};
struct Listing {
  std::vector<ListedImage> images;
  std::map<std::string, int> others;  // DICOM objects that are no MR images, and how many
};
/// The images of a DICOM folder, file or DICOMDIR. throws DataError where there is none, or a file
/// is damaged; MissingInputError, IoError
Listing list_images(const std::string& path);

/// True where `path` is there, or its part before "#" as read_image takes it.
bool image_exists(const std::string& path);

/// True when the bytes (at least 512 where there are as many) begin an image file we know.
bool looks_like_image(std::string_view prefix);

/// Of the first 132 bytes: "DICM" after a preamble, or a dataset without one.
bool looks_like_dicom(std::string_view prefix);

/// A lossy file that the image went through: DICOM's term for the method, such as ISO_10918_1, and
/// how many times smaller it was than 8 bits a pixel.
struct Lossy {
  std::string method;
  double ratio = 1;
};

/// What the change was, for the file's own header (NIfTI descrip, DICOM derivation description).
struct Derivation {
  std::string text;  // "mr-corrupt: motion:3"; "": nothing was done
  std::vector<Lossy> lossy = {};
  bool burned_in = false;                // text was written into the pixels
  std::optional<IdKey> deidentify = {};  // headers say nobody: UIDs and patient ids by this key
};

/// The voxels that a reader of the written file will see: rounds and, where the datatype cannot
/// hold a value, rescales (storage.slope, .intercept change). Idempotent. float32/complex64
/// storage is left untouched. Never wraps or clips.
void quantise(Volume& volume);

/// The storage that quantise() finds for a whole image, of frames that come one after another.
class StorageFit {
 public:
  /// first_frame  of the series that these frames are of; unset: they are all
  /// throws DataError where voxels are not finite
  void add(const Volume& frames, std::optional<std::int64_t> first_frame = {});
  Storage storage() const;  // behind the first add

 private:
  std::optional<Storage> first_;
  std::shared_ptr<const Origin> origin_;
  bool is_complex_ = false, rescale_ = false;
  double low_ = std::numeric_limits<double>::infinity(), high_ = -low_;
};
/// The same with a storage that is known; values that do not fit become the nearest that do.
void quantise(Volume& volume, const Storage& storage);

/// Has the image written with numbers of this type (datatype_names), not of its file's.
/// throws UsageError on a DICOM image, whose type is its format's; DataError where one of type and
/// image is complex and the other is not
void set_datatype(Volume& volume, const std::string& type, const std::string& name);

/// Bytes of the image file, in the format and datatype it came from (NIfTI only; a DICOM folder
/// has no single file: UsageError; a single DICOM file has). `uid_seed` as in write_image.
std::string encode_image(const Volume& volume, const Derivation& derivation, bool gzip,
                         std::uint64_t uid_seed = 0);
/// The same piece by piece.
void encode_image(const Volume& volume, const Derivation& derivation, bool gzip,
                  std::uint64_t uid_seed, const std::function<void(std::string_view)>& sink);

/// Sets the next frame of a series, or gives false where there is none.
using NextFrame = std::function<bool(Volume&)>;

/// A NIfTI series of which `first` and those of `next` are the frames, quantised to one storage.
/// Bytes, piece by piece, and, in gzip where `path` says so, the file: whole, or absent where
/// `next` throws. Errors as write_image
void encode_series(const Volume& first, const NextFrame& next, const Derivation& derivation,
                   bool gzip, const std::function<void(std::string_view)>& sink);
void write_series(const Volume& first, const NextFrame& next, const std::string& path,
                  const Derivation& derivation, Overwrite overwrite);

/// Before the work of making it: can this image be written there?
/// throws UsageError where the name is that of another format, CannotCreateError where a file
/// that would be written exists and `overwrite` is no
void require_writable(const Volume& volume, const std::string& path, Overwrite overwrite);

/// Writes whole or not at all. NIfTI, and DICOM where `path` names NIfTI: .nii.gz, .nii or a
/// .hdr/.img pair as it names; else DICOM: a file or a folder of files, new UIDs, derived.
/// `uid_seed` keys the new UIDs: same input, same UIDs. throws as require_writable, and IoError
void write_image(const Volume& volume, const std::string& path, const Derivation& derivation,
                 std::uint64_t uid_seed, Overwrite overwrite);

/// Extension that write_image wants for this volume: ".nii.gz", ".nii", ".dcm" or "" (a folder).
std::string natural_extension(const Volume& volume);

/// A new NIfTI-1 image in memory: voxels set by the caller, identity-like affine from spacing.
Volume make_volume(Shape shape, const Affine& affine, Datatype datatype);

}  // namespace mr::image
