// What an artifact's file sees of the room: the piece of an image it acts on, and what it is told.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "artifact/catalogue.h"
#include "artifact/recipe.h"
#include "base/array.h"
#include "base/json.h"
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
  std::int64_t frame;
  std::function<RandomKey(std::string_view purpose)> stream;  // of this step and frame
};

/// A step with its numbers drawn.
struct Drawn {
  Json values = Json::object();  // what was drawn, as recorded
  std::function<void(Block&, int threads)> apply;
};

struct Artifact {
  Row row;
  bool (*acts)(const Values&);  // false: these values leave an image as it is
  Drawn (*draw)(const Context&, const Values&);
  bool needs_volume;  // in 3-D encoding; all others act slice by slice
};

const Artifact& find_artifact(const std::string& name);  // errors as find()

/// Calls body(re, im, slice index in the volume) for each slice; im is null for a real block.
void for_slices(Block& block, int threads,
                const std::function<void(float* re, float* im, std::int64_t slice)>& body);

/// Distance between voxels in memory along stored axis 0 i, 1 j, 2 k.
std::int64_t stride(const image::Volume& volume, int axis);

}  // namespace mr::artifact
