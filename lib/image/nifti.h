// NIfTI-1 and -2, both byte orders, plain or gzip, one file or a .hdr/.img pair. Private to the
// room. The raw header and its extensions are kept; only what changes is written anew.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "image/byte_source.h"
#include "image/image_file.h"

namespace mr::image {

/// Do these bytes (unpacked, the first 348 or more) begin a NIfTI header?
bool looks_like_nifti(std::string_view bytes);

Header read_nifti_header(ByteSource& source);

/// Reads a NIfTI file's frames in order, some at a time.
class NiftiReader {
 public:
  explicit NiftiReader(std::unique_ptr<ByteSource> source);
  NiftiReader(const NiftiReader&) = delete;
  NiftiReader& operator=(const NiftiReader&) = delete;
  ~NiftiReader();
  const Header& header() const;
  /// Can frames be written as those of a series? Not of Analyze 7.5, which becomes NIfTI.
  bool keeps_header() const;
  Volume read(std::int64_t frames);
  void rewind();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Was the image read from gzip, or made in memory (and has no file that says otherwise)?
bool is_packed_nifti(const Volume& volume);

/// An image, or the first frame of a series and how to come by the others.
struct Frames {
  const Volume& first;
  Storage storage;  // in the file
  NextFrame next;   // empty: `first` is the whole
};

/// The whole file, not packed; the two of a .hdr/.img pair where there is a sink for the header. A
/// volume made in memory becomes little-endian NIfTI-1.
void encode_nifti(const Frames& frames, const Derivation& derivation, const ByteSink* header,
                  const ByteSink& voxels);

}  // namespace mr::image
