#include "kspace/line_fft.h"

#include <fftw3.h>

#include <map>
#include <mutex>

#include "base/error.h"

namespace mr::kspace {
namespace {

struct Plans {
  fftwf_plan forward, backward;
};

fftwf_complex* fftw(Complex* p) {
  return reinterpret_cast<fftwf_complex*>(p);
}

Plans make_plans(int n, LineFft::Kind kind) {
  const int lanes = static_cast<int>(LineFft::lanes), bins = n / 2 + 1;
  Array<Complex> image({lanes, n}), spectrum({lanes, n});
  Array<float> real({lanes, n});
  if (kind == LineFft::Kind::real)
    return {fftwf_plan_many_dft_r2c(1, &n, lanes, real.data(), nullptr, 1, n, fftw(spectrum.data()),
                                    nullptr, 1, bins, FFTW_ESTIMATE),
            fftwf_plan_many_dft_c2r(1, &n, lanes, fftw(spectrum.data()), nullptr, 1, bins,
                                    real.data(), nullptr, 1, n, FFTW_ESTIMATE)};
  return {fftwf_plan_many_dft(1, &n, lanes, fftw(image.data()), nullptr, 1, n,
                              fftw(spectrum.data()), nullptr, 1, n, FFTW_FORWARD, FFTW_ESTIMATE),
          fftwf_plan_many_dft(1, &n, lanes, fftw(spectrum.data()), nullptr, 1, n,
                              fftw(image.data()), nullptr, 1, n, FFTW_BACKWARD, FFTW_ESTIMATE)};
}

/// FFTW plans one at a time; plans live as long as the program.
Plans plans_of(int n, LineFft::Kind kind) {
  static std::mutex mutex;
  static std::map<std::pair<int, LineFft::Kind>, Plans> cache;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = cache.find({n, kind});
  if (found != cache.end()) return found->second;
  return cache.emplace(std::make_pair(n, kind), make_plans(n, kind)).first->second;
}

}  // namespace

LineFft::LineFft(std::int64_t n, Kind kind) : n_(n), kind_(kind) {
  if (n < 1 || n > std::int64_t{1} << 30)
    throw DataError("Fourier transform: want an axis of 1 to 2^30 samples, got " +
                    std::to_string(n));
  const auto plans = plans_of(static_cast<int>(n), kind);
  forward_ = plans.forward;
  backward_ = plans.backward;
  spectrum_ = Array<Complex>({lanes, bins()});
  if (kind == Kind::real)
    real_ = Array<float>({lanes, n});
  else
    image_ = Array<Complex>({lanes, n});
}

void LineFft::forward() {
  const auto plan = static_cast<fftwf_plan>(forward_);
  if (kind_ == Kind::real)
    fftwf_execute_dft_r2c(plan, real_.data(), fftw(spectrum_.data()));
  else
    fftwf_execute_dft(plan, fftw(image_.data()), fftw(spectrum_.data()));
}

void LineFft::backward() {
  const auto plan = static_cast<fftwf_plan>(backward_);
  if (kind_ == Kind::real)
    fftwf_execute_dft_c2r(plan, fftw(spectrum_.data()), real_.data());
  else
    fftwf_execute_dft(plan, fftw(spectrum_.data()), fftw(image_.data()));
}

}  // namespace mr::kspace
