// A random function that varies slowly over the image, and shares of the object that lie under it.
#pragma once
#include <array>
#include <functional>
#include <vector>

#include "artifact/engine.h"

namespace mr::artifact {

/// Sum over orders (a, b, c) with 1 <= a + b + c <= order of c_abc cos(pi a (s + 1/2) / n_slice)
/// cos(pi b (y + 1/2) / n_lines) cos(pi c (x + 1/2) / n_readout), the coefficients normal with
/// standard deviation 1 / (a + b + c), order at most 3. Axes of one voxel have order 0 only.
class SmoothField {
 public:
  SmoothField(const Context& context, RandomKey key, int order);

  /// out [readout] for one line.
  void line(std::int64_t slice, std::int64_t line, double* out) const;

  /// The field times a number.
  SmoothField scaled(double factor) const;

  /// [[a, b, c, coefficient], ...]
  Record record() const;

 private:
  static constexpr std::size_t orders_ = 4;  // 0 .. 3, the most there are
  using Along = std::array<double, orders_>;
  struct Term {
    std::array<std::size_t, 3> order;
    double coefficient;
  };
  void fill_coefficients();

  std::int64_t readout_;
  std::vector<Along> slice_cosine_, line_cosine_;                  // [index][order]
  std::vector<double> readout_cosine_;                             // [order][index]
  std::vector<Term> terms_;                                        // as drawn, and
  std::array<std::array<Along, orders_>, orders_> coefficient_{};  // the same by a, b, c
};

/// Lines along the readout of an array that is stored as the image is; the array must stay.
template <typename T>
class StoredSlices {
 public:
  StoredSlices(const Context& context, const T* first)
      : first_(first),
        slice_(stride(context.volume, context.roles.slice)),
        line_(stride(context.volume, context.roles.phase_encode)),
        column_(stride(context.volume, context.roles.readout)),
        readout_(context.readout()) {}

  /// [readout]; through `copy` where the voxels do not follow each other.
  const T* line(std::int64_t slice, std::int64_t line, std::vector<T>& copy) const {
    const T* from = first_ + slice * slice_ + line * line_;
    if (column_ == 1) return from;
    copy.resize(static_cast<std::size_t>(readout_));
    for (std::int64_t x = 0; x < readout_; ++x)
      copy[static_cast<std::size_t>(x)] = from[x * column_];
    return copy.data();
  }

 private:
  const T* first_;
  std::int64_t slice_, line_, column_, readout_;
};

/// A map: it stays as long as steps act.
using MapSlices = StoredSlices<float>;
MapSlices map_slices(const Context& context, Map map);

/// The frame's foreground.
StoredSlices<std::uint8_t> foreground_slices(const Context& context);

/// Voxels of a frame where there is foreground, or at least half of the signal is fat: in a
/// fat-suppressed or water image fat is dark. [slices, lines, readout]
std::vector<std::uint8_t> object_with_fat(const Context& context);

/// Values that shares (0..1) of the object lie below, type 7 as quantile().
/// body(slice, line, out [readout]) evaluates the function.
std::vector<double> object_quantiles(
    const Context& context, const std::vector<std::uint8_t>& object,
    const std::vector<double>& shares,
    const std::function<void(std::int64_t slice, std::int64_t line, double* out)>& body);

/// Adds signals to n voxels along the phase of each; along +1 where that is zero or real (im null).
void add_in_phase(const float* signal, std::int64_t n, float* re, float* im);

/// The same for signals that take the voxels' place where `replaced` is 1.
void replace_in_phase(const std::uint8_t* replaced, const float* signal, std::int64_t n, float* re,
                      float* im);

}  // namespace mr::artifact
