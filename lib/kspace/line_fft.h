// Discrete Fourier transforms of a few contiguous lines at a time, the one place that calls FFTW.
// Zero frequency first, no scale: callers centre and scale while they copy lines in and out.
#pragma once
#include <complex>
#include <cstdint>

#include "base/array.h"

namespace mr::kspace {

using Complex = std::complex<float>;

/// Transforms `lanes` lines at once between buffers of its own. Plans are estimated, since measured
/// ones change from run to run and with them the last bits, and are shared by all threads; the
/// buffers are 64-byte aligned, so that bits do not depend on where an image lies in memory.
class LineFft {
 public:
  static constexpr std::int64_t lanes = 8;
  enum class Kind { complex, real };

  LineFft(std::int64_t n, Kind kind);  // throws DataError when n is not in 1 .. 2^30

  std::int64_t bins() const { return kind_ == Kind::real ? n_ / 2 + 1 : n_; }
  Complex* line(std::int64_t lane) { return image_.data() + lane * n_; }    // Kind::complex
  float* real_line(std::int64_t lane) { return real_.data() + lane * n_; }  // Kind::real
  Complex* spectrum(std::int64_t lane) { return spectrum_.data() + lane * bins(); }

  void forward();   // lines to spectra: sum over x of line[x] exp(-2 pi i k x / n)
  void backward();  // spectra, which may be destroyed, to lines, with the opposite sign

 private:
  std::int64_t n_;
  Kind kind_;
  void* forward_;
  void* backward_;
  Array<Complex> image_, spectrum_;
  Array<float> real_;
};

}  // namespace mr::kspace
