#include <cmath>
#include <limits>

#include "artifact/coil/array.h"
#include "artifact/engine.h"
#include "kspace/simd.h"

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

/// Calls body(coil, x) for coils 0 .. last; x [2 n], real parts first, before phase and scale.
template <typename Body>
void for_coils(const Noise& noise, std::int64_t slice, std::int64_t n, std::int64_t last,
               Body body) {
  const auto own = sub_key(noise.key, static_cast<std::uint64_t>(slice));
  std::vector<float> z(static_cast<std::size_t>(2 * n)), x(z.size());
  const auto fresh = static_cast<float>(std::sqrt(1 - noise.rho * noise.rho));
  for (std::int64_t c = 0; c <= last; ++c) {
    fill_normal(sub_key(own, static_cast<std::uint64_t>(c)), 0, z.data(), z.size());
    step(c == 0 ? 0.0f : static_cast<float>(noise.rho), c == 0 ? 1.0f : fresh, z.data(), 2 * n,
         x.data());
    body(static_cast<std::size_t>(c), x.data());
  }
}

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

/// One coil of a multi-coil image, which is the frame that the block belongs to.
void add_to_coil(const Noise& noise, std::int64_t coil, Block& block, int threads) {
  block.make_complex();
  const auto n = block.plane_size();
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    for_coils(noise, slice, n, coil, [&](std::size_t c, const float* x) {
      if (static_cast<std::int64_t>(c) != coil) return;
      const auto f = factor(noise, c);
      add_turned(f.real(), f.imag(), x, n, re, im);
    });
  });
}

/// Root of the sum of squares over the array's coils of what each of them sees and its noise.
void combine(const Noise& noise, const CoilArray& array, Block& block, int threads) {
  const auto n = block.plane_size();
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    const auto s = array.sensitivities(slice);
    const std::vector<float> zero(im ? 0 : static_cast<std::size_t>(n));
    std::vector<float> sum(static_cast<std::size_t>(n));
    for_coils(noise, slice, n, noise.coils() - 1, [&](std::size_t c, const float* x) {
      const auto f = factor(noise, c);
      const auto* seen = s.data() + static_cast<std::int64_t>(c) * n;
      add_power(reinterpret_cast<const float*>(seen), f.real(), f.imag(), x, re,
                im ? im : zero.data(), n, sum.data());
    });
    for (auto& value : sum) value = std::sqrt(value);
    set_magnitude(sum.data(), n, re, im);
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
            {"coils",
             "1",
             "whole number of loops where neither frames nor a map are coils",
             1,
             64,
             {8, 8, 8, 8, 8},
             8}},
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
