// Discrete Fourier transforms of a few lines at a time, the one place that calls FFTW. Zero
// frequency first, no scale: callers centre and scale while they copy lines in and out.
// Plans are estimated, since measured ones change from run to run and with them the last bits, and
// are shared by all threads; buffers are 64-byte aligned, so that bits do not depend on where an
// image lies in memory.
#pragma once
#include <complex>
#include <cstdint>
#include <vector>

#include "base/array.h"

namespace mr::kspace {

using Complex = std::complex<float>;

enum class Numbers { complex, real };

/// Transforms `lanes` contiguous lines at once between buffers of its own.
class LineFft {
 public:
  static constexpr std::int64_t lanes = 8;

  LineFft(std::int64_t n, Numbers numbers);  // throws DataError when n is not in 1 .. 2^30

  std::int64_t bins() const { return numbers_ == Numbers::real ? n_ / 2 + 1 : n_; }
  Complex* line(std::int64_t lane) { return image_.data() + lane * pitch_; }    // Numbers::complex
  float* real_line(std::int64_t lane) { return real_.data() + lane * pitch_; }  // Numbers::real
  Complex* spectrum(std::int64_t lane) { return spectrum_.data() + lane * pitch_; }

  void forward();   // lines to spectra: sum over x of line[x] exp(-2 pi i k x / n)
  void backward();  // spectra, which may be destroyed, to lines, with the opposite sign

 private:
  std::int64_t n_, pitch_;
  Numbers numbers_;
  void* forward_;
  void* backward_;
  Array<Complex> image_, spectrum_;  // [lanes, pitch]
  Array<float> real_;
};

/// Transforms up to `columns` neighbouring columns of an image at once, as lines of its buffers. A
/// cache line of the image holds several columns, and with them goes through the cache once.
class ColumnFft {
 public:
  static constexpr std::int64_t columns = 32;
  enum class Side { image, spectrum };

  ColumnFft(std::int64_t n, Numbers numbers);  // throws as LineFft

  std::int64_t bins() const { return numbers_ == Numbers::real ? n_ / 2 + 1 : n_; }

  /// Sample i of column c, at re[i * stride + c], becomes sample (i + rotation) mod n. `im` null:
  /// its values are zero. Numbers::complex.
  void load(Side side, const float* re, const float* im, std::int64_t stride, std::int64_t width,
            std::int64_t rotation);
  /// The reverse, times `scale`.
  void store(Side side, float scale, float* re, float* im, std::int64_t stride, std::int64_t width,
             std::int64_t rotation) const;
  /// The same for the samples i in `rows` alone.
  void store_rows(Side side, float scale, float* re, float* im, std::int64_t stride,
                  std::int64_t width, std::int64_t rotation, const std::vector<int>& rows) const;

  void load(const float* values, std::int64_t stride, std::int64_t width);  // Numbers::real
  void store(float* values, std::int64_t stride, std::int64_t width) const;

  /// Bin k of every column times weights[k]; weights [n]. Numbers::complex.
  void multiply(const Complex* weights, std::int64_t width);

  Complex* spectrum(std::int64_t column) { return spectrum_.data() + column * pitch_; }

  void forward(std::int64_t width);
  void backward(std::int64_t width);

 private:
  const Complex* buffer(Side side) const {
    return side == Side::image ? image_.data() : spectrum_.data();
  }
  std::int64_t n_, pitch_;
  Numbers numbers_;
  void* forward_;
  void* backward_;
  Array<Complex> image_, spectrum_;  // [columns, pitch]
  Array<float> real_;
};

/// Centred unitary transform of columns, as of ColumnFft, to `to` from the other side; into the
/// image itself or another one. rows  that are written; null: all
void transform_columns(ColumnFft::Side to, std::int64_t n, const float* re, const float* im,
                       std::int64_t stride, std::int64_t columns, const std::vector<int>* rows,
                       float* out_re, float* out_im);

}  // namespace mr::kspace
