// Phase encoding: k-space line by line. What happens between the lines of a scan changes the
// image along one axis only, so one-dimensional transforms along that axis suffice. Images are
// planes [n, columns], contiguous, split in real and imaginary parts; n runs along phase encoding.
#pragma once
#include <complex>
#include <cstdint>
#include <vector>

#include "base/array.h"

namespace mr::kspace {

/// A complex matrix [rows, n], split in parts.
struct LineMatrix {
  std::int64_t rows = 0, n = 0;
  Array<float> re, im;  // [rows, n]
};

/// Centred unitary transforms between image rows and k-space lines.
class PhaseEncode {
 public:
  explicit PhaseEncode(std::int64_t n);  // throws DataError when n < 1

  /// Writes the k-space lines `lines` of an image into the same rows of out.
  /// re, im           [n, columns]; im null: the image is real
  /// out_re, out_im   [n, columns]; other rows stay as they are
  void forward(const float* re, const float* im, std::int64_t columns,
               const std::vector<int>& lines, float* out_re, float* out_im) const;

  /// All lines to the image, in place.
  void inverse(float* re, float* im, std::int64_t columns) const;

 private:
  std::int64_t n_;
  LineMatrix to_lines_, to_rows_;  // empty where the fast transform is faster
};

/// Multiplies every k-space line by a weight of its own.
class LineFilter {
 public:
  explicit LineFilter(const std::vector<std::complex<double>>& weights);

  /// re, im  [n, columns], in place; real: im is only written, and taken as zero before
  void apply(float* re, float* im, std::int64_t columns, bool real) const;

 private:
  PhaseEncode encode_;
  std::vector<std::complex<float>> weights_;
  LineMatrix direct_;  // empty where the fast transform is faster
};

}  // namespace mr::kspace
