// The array of receive coils that measured an image: the map of coils where one is given, else a
// ring of loops around the axis of slices. Artifacts that need coils share it.
#pragma once
#include <complex>
#include <string>
#include <vector>

#include "artifact/engine.h"
#include "kspace/coils.h"

namespace mr::artifact {

class CoilArray {
 public:
  /// throws DataError, named after the artifact, when the map has another grid or is not complex
  CoilArray(const Context& context, double loops, const std::string& artifact);

  std::int64_t size() const { return coils_; }
  bool is_map() const { return map_ != nullptr; }
  /// Sensitivities of a slice, [coil, lines, readout], scaled voxel by voxel to a root of the sum
  /// of squares of 1: an image that is even where the object is. All 0 where no coil sees a voxel.
  Array<std::complex<float>> sensitivities(std::int64_t slice) const;
  Record record() const;  // {"array": "map" or "loops", "coils": N}

 private:
  Array<std::complex<float>> from_map(std::int64_t slice) const;

  std::int64_t coils_;
  const image::Volume* map_ = nullptr;
  Roles roles_;
  kspace::CoilGrid grid_;
};

/// Scales sensitivities [coil, lines, readout] voxel by voxel to a root of the sum of squares of 1;
/// where no coil sees a voxel they stay 0.
void normalise(Array<std::complex<float>>& sensitivities);

/// "coils", the number of loops where `otherwise` does not say what they are.
Parameter loops_parameter(const std::string& otherwise);

/// Slices, lines, readout, with their spacing.
kspace::CoilGrid coil_grid(const Context& context);

/// throws DataError where frames are coils, for an artifact that wants the combined image
void refuse_coil_frames(const Context& context, const std::string& artifact);

/// The value of a parameter that counts. throws DataError unless it is whole
std::int64_t whole(const Values& values, const std::string& name, const std::string& artifact);

/// Gives n voxels a new magnitude. A root of the sum of squares has no phase: what was complex
/// keeps the phase that it had, 0 where it was 0.
void set_magnitude(const float* magnitude, std::int64_t n, float* re, float* im);

}  // namespace mr::artifact
