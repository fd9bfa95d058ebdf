// What an artifact's file sees of the room: the piece of an image it acts on, and what it is told.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "artifact/catalogue.h"
#include "artifact/recipe.h"
#include "artifact/record.h"
#include "artifact/timing.h"
#include "base/array.h"
#include "base/random.h"

namespace mr::artifact {

/// Some slices of one frame, rearranged by the roles of the axes: [slice, phase encode, readout].
/// Steps of a recipe act on the complex image one after another; the magnitude of a magnitude
/// image is taken once, at the end.
struct Block {
  std::int64_t first_slice = 0;
  Array<float> re, im;  // im is empty while the image is real

  bool is_real() const { return im.empty(); }
  std::int64_t depth() const { return re.shape(0); }
  std::int64_t lines() const { return re.shape(1); }
  std::int64_t readout() const { return re.shape(2); }
  std::int64_t plane_size() const { return lines() * readout(); }
  void make_complex() {
    if (is_real()) im = Array<float>(re.shape());
  }
};

/// What a step may know before it acts: the whole image as it was given, never as steps before it
/// left it, so that a slice alone gets the same as within its volume.
struct Context {
  const image::Volume& volume;
  const Facts& facts;
  const Roles& roles;
  const Timing& timing;
  const Maps& maps;                          // those that the row needs are there
  int threads;                               // that may look at the image
  std::int64_t frame;                        // of the volume
  std::int64_t series_frame, series_frames;  // the same of the series that the volume is a piece of
  // Keys of this step: of the frame, but for frames that are coils, which see one object and one
  // patient; and of the frame always, for what each coil has of its own.
  std::function<RandomKey(std::string_view purpose)> stream, frame_stream;
  // Key of the unit that the recipe names (`per`): scanner, subject, ... by default the image.
  std::function<RandomKey(std::string_view purpose)> group_stream;

  std::int64_t slices() const { return volume.length(roles.slice); }
  std::int64_t lines() const { return volume.length(roles.phase_encode); }
  std::int64_t readout() const { return volume.length(roles.readout); }
  bool is_3d() const { return roles.mode == image::Mode::three_d; }
};

/// Weights of k-space that are a product over the axes; an axis without weights stays as it is.
/// Zero frequency stands at n / 2.
struct AxisWeights {
  std::vector<std::complex<double>> slice, lines, readout;
};

/// A step with its numbers drawn, and one of three ways to act. Neighbouring steps that act in
/// k-space share one transform there and back.
struct Drawn {
  Record values;                                       // what was drawn, as recorded
  std::function<void(Block&, int threads)> apply;      // on the complex image
  std::optional<AxisWeights> weights;                  // of k-space
  std::function<void(Block&, int threads)> in_kspace;  // on all of k-space: lines and readout of
                                                       // each slice in 2-D, all axes in 3-D
};

struct Artifact {
  Row row;
  bool (*acts)(const Values&);  // false: these values leave an image as it is
  Drawn (*draw)(const Context&, const Values&);
  bool needs_volume;            // in 3-D; all others act slice by slice
  std::vector<Map> maps = {};   // that it cannot do without, but for a parameter `proxy` = 1
  bool crosses_slices = false;  // in 2-D: a slice depends on its neighbours
  std::vector<Map> optional_maps = {};  // that it takes where they are given
  bool needs_series = false;            // looks at the voxels of all frames
};

const Artifact& find_artifact(const std::string& name);  // errors as find()

/// Calls body(re, im, slice index in the volume) for each slice; im is null for a real block.
void for_slices(Block& block, int threads,
                const std::function<void(float* re, float* im, std::int64_t slice)>& body);

/// One slice of a map [lines, readout] that lies on the image's grid; `frame` of maps with several.
Array<float> map_slice(const Context& context, const image::Volume& map, std::int64_t slice,
                       std::int64_t frame = 0);
Array<float> map_slice(const Roles& roles, const image::Volume& map, std::int64_t slice,
                       std::int64_t frame = 0);

/// Distance between voxels in memory along stored axis 0 i, 1 j, 2 k.
std::int64_t stride(const image::Volume& volume, int axis);

}  // namespace mr::artifact
