#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "artifact/coil/array.h"
#include "artifact/engine.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// n = C z with C C^H = Psi, Psi_ij = sigma_i sigma_j rho^|i - j| exp(i (phi_i - phi_j)). C is
/// known in closed form: row by row x_0 = z_0, x_i = rho x_(i-1) + sqrt(1 - rho^2) z_i.
struct Noise {
  double rho = 0;
  std::vector<double> sigma, phase_rad;
  RandomKey key;  // of z: one sub-stream a slice, then one a coil

  std::int64_t coils() const { return static_cast<std::int64_t>(sigma.size()); }
};

MR_SIMD void step(float rho, float fresh, const float* z, std::int64_t n, float* x) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = rho * x[i] + fresh * z[i];
}

constexpr std::int64_t at_once = 2048;  // voxels whose noise stays in the cache

/// x of one coil after the other, for `count` voxels of a slice of n from `first` on. A coil's
/// stream holds the real parts of the slice, then the imaginary ones.
class Rows {
 public:
  Rows(const Noise& noise, std::int64_t slice, std::int64_t n, std::int64_t first)
      : count(std::min(at_once, n - first)),
        rho_(noise.rho),
        key_(sub_key(noise.key, static_cast<std::uint64_t>(slice))),
        n_(static_cast<std::uint64_t>(n)),
        first_(static_cast<std::uint64_t>(first)) {}

  const std::int64_t count;

  /// Of the next coil [2 count], real parts first, before phase and scale.
  const float* next() {
    const auto key = sub_key(key_, coil_);
    const auto size = static_cast<std::size_t>(count);
    fill_normal(key, first_, z_.data(), size);
    fill_normal(key, n_ + first_, z_.data() + count, size);
    const double fresh = coil_ == 0 ? 1 : std::sqrt(1 - rho_ * rho_);
    step(static_cast<float>(rho_), static_cast<float>(fresh), z_.data(), 2 * count, x_.data());
    ++coil_;
    return x_.data();
  }

 private:
  double rho_;
  RandomKey key_;
  std::uint64_t n_, first_, coil_ = 0;
  std::array<float, 2 * at_once> z_, x_{};
};

/// The factor of coil c's noise.
std::complex<float> factor(const Noise& noise, std::size_t c) {
  return std::complex<float>(std::polar(noise.sigma[c], noise.phase_rad[c]));
}

MR_SIMD void add_turned(float cosine, float sine, const float* x, std::int64_t n, float* re,
                        float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    re[i] += cosine * x[i] - sine * x[n + i];
    im[i] += sine * x[i] + cosine * x[n + i];
  }
}

/// sum += |s (re + i im) + f x|^2
MR_SIMD void add_power(const float* s, float f_re, float f_im, const float* x, const float* re,
                       const float* im, std::int64_t n, float* sum) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float a = s[2 * i] * re[i] - s[2 * i + 1] * im[i] + f_re * x[i] - f_im * x[n + i];
    const float b = s[2 * i] * im[i] + s[2 * i + 1] * re[i] + f_im * x[i] + f_re * x[n + i];
    sum[i] += a * a + b * b;
  }
}

MR_SIMD void take_root(std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i) values[i] = __builtin_sqrtf(values[i]);
}

/// One coil of a multi-coil image, which is the frame that the block belongs to.
void add_to_coil(const Noise& noise, std::int64_t coil, Block& block, int threads) {
  block.make_complex();
  const auto n = block.plane_size();
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    for (std::int64_t first = 0; first < n; first += at_once) {
      Rows rows(noise, slice, n, first);
      const float* x = nullptr;
      for (std::int64_t c = 0; c <= coil; ++c) x = rows.next();
      const auto f = factor(noise, static_cast<std::size_t>(coil));
      add_turned(f.real(), f.imag(), x, rows.count, re + first, im + first);
    }
  });
}

/// Root of the sum of squares over the array's coils of what each of them sees and its noise.
void combine(const Noise& noise, const CoilArray& array, Block& block, int threads) {
  const auto n = block.plane_size();
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    const auto s = array.sensitivities(slice);
    const std::array<float, at_once> zero{};
    for (std::int64_t first = 0; first < n; first += at_once) {
      Rows rows(noise, slice, n, first);
      const float* imaginary = im ? im + first : zero.data();
      std::array<float, at_once> sum{};
      for (std::int64_t c = 0; c < noise.coils(); ++c) {
        const auto f = factor(noise, static_cast<std::size_t>(c));
        add_power(reinterpret_cast<const float*>(s.data() + c * n + first), f.real(), f.imag(),
                  rows.next(), re + first, imaginary, rows.count, sum.data());
      }
      take_root(rows.count, sum.data());
      set_magnitude(sum.data(), rows.count, re + first, im ? im + first : nullptr);
    }
  });
}

/// Coils' standard deviations spread log-normally; their mean square is that of `sigma`.
Noise draw_noise(const Context& context, const Values& values, std::int64_t coils) {
  const double sigma = context.facts.signal / values.at("snr");
  Noise noise{values.at("rho"), {}, {}, context.stream("noise")};
  double squares = 0;
  for (std::int64_t c = 0; c < coils; ++c) {
    const auto i = static_cast<std::uint64_t>(c);
    noise.sigma.push_back(std::exp(values.at("spread") * normal(context.stream("sigma"), i)));
    noise.phase_rad.push_back(2 * pi * uniform(context.stream("phase"), i));
    squares += noise.sigma.back() * noise.sigma.back();
  }
  for (auto& s : noise.sigma) s *= sigma / std::sqrt(squares / static_cast<double>(coils));
  return noise;
}

bool acts(const Values& values) {
  return std::isfinite(values.at("snr"));
}

Drawn draw(const Context& context, const Values& values) {
  const bool frames_are_coils = context.volume.acquisition.dim4 == "coil";
  const CoilArray array(context, values.at("coils"), "correlated-noise");
  const auto noise =
      draw_noise(context, values, frames_are_coils ? context.volume.frames() : array.size());
  Drawn drawn;
  if (!frames_are_coils) drawn.values = array.record();
  drawn.values.set("sigma", noise.sigma);
  drawn.values.set("phase_rad", noise.phase_rad);
  if (frames_are_coils)
    drawn.apply = [noise, coil = context.frame](Block& block, int threads) {
      add_to_coil(noise, coil, block, threads);
    };
  else
    drawn.apply = [noise, array](Block& block, int threads) {
      combine(noise, array, block, threads);
    };
  return drawn;
}

}  // namespace

Artifact correlated_noise() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {{"correlated-noise",
           "Noise that neighbouring coils share: of each coil's image, or of their combination",
           "Aja-Fernandez and Tristan-Vega 2012, Magn Reson Med 67:580 (correlated coils)",
           Stage::receiver,
           {{"snr",
             "1",
             "mean of the foreground / rms over coils of the noise per component",
             0.1,
             infinity,
             {40, 20, 12, 8, 5},
             infinity},
            {"rho",
             "1",
             "correlation of neighbouring coils; of coils i and j, rho^|i - j|",
             0,
             0.99,
             {0.1, 0.2, 0.3, 0.4, 0.5},
             0},
            {"spread",
             "1",
             "standard deviation over coils of the noise's logarithm",
             0,
             2,
             {0.05, 0.1, 0.2, 0.3, 0.4},
             0},
            loops_parameter("where neither frames nor a map are coils")},
           0,
           false},
          acts,
          draw,
          false,
          {},
          false,
          {Map::coils}};
}

}  // namespace mr::artifact
