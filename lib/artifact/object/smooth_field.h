// A random function that varies slowly over the image, and shares of the object that lie under it.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "artifact/engine.h"

namespace mr::artifact {

/// Sum over orders (a, b, c) with 1 <= a + b + c <= order of c_abc cos(pi a (s + 1/2) / n_slice)
/// cos(pi b (y + 1/2) / n_lines) cos(pi c (x + 1/2) / n_readout), the coefficients normal with
/// standard deviation 1 / (a + b + c). Axes of one voxel have order 0 only.
class SmoothField {
 public:
  SmoothField(const Context& context, RandomKey key, int order);

  /// out [readout] for one line.
  void line(std::int64_t slice, std::int64_t line, double* out) const;

  /// [[a, b, c, coefficient], ...]
  Record record() const;

 private:
  struct Term {
    std::array<std::size_t, 3> order;
    double coefficient;
  };
  std::array<std::int64_t, 3> size_{};
  std::array<std::vector<std::vector<double>>, 3> cosine_;  // [axis][order][index]
  std::vector<Term> terms_;
};

/// A map slice by slice, [lines, readout] each: for steps that act when the context is gone.
using MapSlices = std::shared_ptr<const std::vector<Array<float>>>;
MapSlices map_slices(const Context& context, Map map);

/// Voxels of a frame where there is foreground, or at least half of the signal is fat: in a
/// fat-suppressed or water image fat is dark. [slices, lines, readout]
std::vector<std::uint8_t> object_with_fat(const Context& context);

/// Value that a share (0..1) of the object lies below, type 7 as quantile().
/// body(slice, line, out [readout]) evaluates the function.
double object_quantile(
    const Context& context, const std::vector<std::uint8_t>& object, double share,
    const std::function<void(std::int64_t slice, std::int64_t line, double* out)>& body);

/// Signal of pure fat along the phase of the voxel; along +1 where that is zero or real.
struct Phasor {
  float re = 1, im = 0;
};
Phasor phasor(float re, const float* im, std::int64_t at);

}  // namespace mr::artifact
