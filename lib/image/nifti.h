// NIfTI-1 and -2, both byte orders, plain or gzip, one file or a .hdr/.img pair. Private to the
// room. The raw header and its extensions are kept; only what changes is written anew.
#pragma once
#include <string>
#include <string_view>

#include "image/byte_source.h"
#include "image/image_file.h"

namespace mr::image {

/// Do these bytes (unpacked, the first 348 or more) begin a NIfTI header?
bool looks_like_nifti(std::string_view bytes);

Volume read_nifti(ByteSource& source);
Header read_nifti_header(ByteSource& source);

/// Was the image read from gzip, or made in memory (and has no file that says otherwise)?
bool is_packed_nifti(const Volume& volume);

/// The whole file, not packed. A volume made in memory becomes little-endian NIfTI-1.
void encode_nifti(const Volume& volume, const Derivation& derivation, const ByteSink& sink);

/// The same as the two files of a .hdr/.img pair.
void encode_nifti_pair(const Volume& volume, const Derivation& derivation, const ByteSink& header,
                       const ByteSink& voxels);

}  // namespace mr::image
