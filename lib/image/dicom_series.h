// Which images the frames of a DICOM folder, DICOMDIR or file make. Private to the room.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "image/dicom_frames.h"

namespace mr::image {

/// The planes of one image: of one series, size, orientation, spacing, pixel format, image type,
/// complex component and echo, and of diffusion directions or their trace.
struct Stack {
  std::string name;                 // among the images that lie together: see stacks_at
  std::string long_name;            // with a hash of the series' UID
  std::string error;                // what is wrong with a file of its series: no image; "" nothing
  std::vector<Frame> planes;        // as they were found
  std::vector<std::string> files;   // paths of those that hold them, without repeats
  bool of_unknown = false;          // the series of that file is not known
  bool mixed_orientations = false;  // others of its series lie in other planes: a localizer
};

struct Stacks {
  std::vector<Stack> stacks;
  std::map<std::string, int> others;  // DICOM objects that are no MR images, and how many
};

/// A file, a folder (the files in it, not those below), or a DICOMDIR (the files that it lists).
/// Stacks are named by SeriesNumber, with a hash behind it where several series share a number;
/// "_ph", "_real", "_imaginary", "_trace" (of diffusion) and "_e2" (the second echo time) tell
/// those of one series apart, and a count where these do not. In order of the series' numbers.
/// throws DataError where no MR image is there or a file is damaged
Stacks stacks_at(const std::string& path);
Stacks stacks_in(std::shared_ptr<DicomFile> file);

/// Planes as an image: repeats x slices, slices along their normal.
struct Arranged {
  std::vector<Frame> planes;  // f * slices + z
  std::int64_t repeats = 1, slices = 1;
  double step_mm = 1;  // between slices
  bool is_philips_scaled = false;
};

/// throws DataError "NAME: ..." on gaps, uneven steps, an image that is there twice, repeats that
/// are not complete or that nothing tells apart, a phase image unless one is wanted, and the
/// stack's own error
Arranged arrange(const Stack& stack, const std::string& name, bool phase = false);

}  // namespace mr::image
