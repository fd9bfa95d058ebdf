// Phase encoding: k-space line by line. What happens between the lines of a scan changes the
// image along one axis only, so one-dimensional transforms along that axis suffice. Images are
// planes [n, columns], contiguous, split in real and imaginary parts; n runs along phase encoding.
#pragma once
#include <complex>
#include <cstdint>
#include <vector>

#include "base/array.h"

namespace mr::kspace {

/// Centred unitary transforms between image rows and k-space lines.
class PhaseEncode {
 public:
  explicit PhaseEncode(std::int64_t n);  // throws DataError when n < 1

  /// Writes the k-space lines `lines` of an image into the same rows of out, which may be the
  /// image itself; other rows stay as they are.
  /// re, im  `columns` columns of planes [n, stride]; im null: the image is real
  void forward(const float* re, const float* im, std::int64_t stride, std::int64_t columns,
               const std::vector<int>& lines, float* out_re, float* out_im) const;

  /// All lines to the image, in place.
  void inverse(float* re, float* im, std::int64_t stride, std::int64_t columns) const;

  std::int64_t size() const { return n_; }
  bool is_product() const { return !cosine_.empty(); }  // of matrices, else fast transforms

 private:
  enum class Direction { forward, inverse };
  void multiply(Direction direction, const float* re, const float* im, std::int64_t stride,
                std::int64_t columns, const std::vector<int>& lines, float* out_re,
                float* out_im) const;

  std::int64_t n_;
  std::vector<int> all_lines_;
  Array<float> cosine_, sine_;  // [n/2 + 1, n/2 + 1]; empty where the fast transform is faster
};

/// Multiplies every k-space line by a weight of its own.
class LineFilter {
 public:
  explicit LineFilter(const std::vector<std::complex<double>>& weights);

  /// Some columns of planes [n, stride].
  /// re, im  in place; real: im is only written, and taken as zero before
  void apply(float* re, float* im, std::int64_t stride, std::int64_t columns, bool real) const;

 private:
  PhaseEncode encode_;
  std::vector<int> lines_;
  std::vector<std::complex<float>> weights_;
  std::vector<std::complex<float>> rotated_;  // zero frequency first, divided by n
};

}  // namespace mr::kspace
