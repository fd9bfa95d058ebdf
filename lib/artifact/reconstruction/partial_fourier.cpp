#include <algorithm>
#include <cmath>

#include "artifact/engine.h"
#include "artifact/field/solid_harmonics.h"
#include "kspace/lines.h"

namespace mr::artifact {
namespace {

enum class Mode { zero_fill = 0, homodyne = 1, pocs = 2 };

/// The lines k = -n/2 .. overlap are measured: all of the lower half, where an even n has its
/// unpaired line, and of the upper half the first few.
struct Lines {
  std::int64_t n, overlap;
  std::int64_t measured() const { return n / 2 + overlap + 1; }
  double k(std::int64_t line) const { return static_cast<double>(line - n / 2); }
};

Lines measured_lines(std::int64_t n, double fraction) {
  const auto wanted =
      static_cast<std::int64_t>(std::ceil(fraction * static_cast<double>(n) - 1e-9));
  return {n, std::max(std::int64_t{0}, wanted - n / 2 - 1)};
}

/// 0 for lines not measured, 2 for those that stand for them too, and a ramp over the centre, such
/// that the weights of k and -k have the sum 2. The unpaired line stands for itself.
double homodyne_weight(const Lines& lines, std::int64_t line) {
  if (line == 0 && lines.n % 2 == 0) return 1;
  return std::clamp(1 - lines.k(line) / static_cast<double>(lines.overlap + 1), 0.0, 2.0);
}

/// An image of one slice in its two parts.
struct Plane {
  std::vector<float> re, im;
  explicit Plane(std::int64_t size)
      : re(static_cast<std::size_t>(size)), im(static_cast<std::size_t>(size)) {}
  Plane(const float* from_re, const float* from_im, std::int64_t size)
      : re(from_re, from_re + size), im(from_im, from_im + size) {}
};

void weigh(Plane& kspace, std::int64_t columns, const std::vector<double>& weights) {
  for (std::size_t i = 0; i < kspace.re.size(); ++i) {
    const auto w = static_cast<float>(weights[i / static_cast<std::size_t>(columns)]);
    kspace.re[i] *= w;
    kspace.im[i] *= w;
  }
}

/// Of the slice: reconstruction from the measured lines.
class Reconstruction {
 public:
  Reconstruction(const Lines& lines, std::int64_t columns, const float* re, const float* im)
      : lines_(lines), columns_(columns), encode_(lines.n), measured_(re, im, lines.n * columns) {
    for (int line = 0; line < lines.n; ++line) all_.push_back(line);
    to_kspace(measured_);
    weigh(measured_, columns,
          weights([&](std::int64_t line) { return line < lines_.measured() ? 1.0 : 0.0; }));
    phase_ = weighted([&](std::int64_t line) {
      return std::fabs(lines_.k(line)) <= static_cast<double>(lines_.overlap) ? 1.0 : 0.0;
    });
    for (std::size_t i = 0; i < phase_.re.size(); ++i) {
      const float modulus = std::hypot(phase_.re[i], phase_.im[i]);
      phase_.re[i] = modulus > 0 ? phase_.re[i] / modulus : 1;
      phase_.im[i] = modulus > 0 ? phase_.im[i] / modulus : 0;
    }
  }

  /// Noll, Nishimura and Macovski 1991: the image less its phase is real.
  Plane homodyne() const {
    auto image = weighted([&](std::int64_t line) { return homodyne_weight(lines_, line); });
    keep_in_phase(image);
    return image;
  }

  /// Projections, by turns, onto images of the known phase and onto what was measured.
  Plane pocs(int iterations) const {
    auto image = weighted([](std::int64_t) { return 1.0; });
    const auto measured = static_cast<std::ptrdiff_t>(lines_.measured() * columns_);
    for (int i = 0; i < iterations; ++i) {
      keep_in_phase(image);
      to_kspace(image);
      std::copy(measured_.re.begin(), measured_.re.begin() + measured, image.re.begin());
      std::copy(measured_.im.begin(), measured_.im.begin() + measured, image.im.begin());
      encode_.inverse(image.re.data(), image.im.data(), columns_, columns_);
    }
    return image;
  }

 private:
  template <typename Weight>
  std::vector<double> weights(Weight weight) const {
    std::vector<double> all;
    for (std::int64_t line = 0; line < lines_.n; ++line) all.push_back(weight(line));
    return all;
  }

  template <typename Weight>
  Plane weighted(Weight weight) const {
    auto image = measured_;
    weigh(image, columns_, weights(weight));
    encode_.inverse(image.re.data(), image.im.data(), columns_, columns_);
    return image;
  }

  void to_kspace(Plane& image) const {
    encode_.forward(image.re.data(), image.im.data(), columns_, columns_, all_, image.re.data(),
                    image.im.data());
  }

  /// Re(I exp(-i phase)) exp(i phase): the part of each voxel that has the phase of the centre.
  void keep_in_phase(Plane& image) const {
    for (std::size_t i = 0; i < image.re.size(); ++i) {
      const float part = image.re[i] * phase_.re[i] + image.im[i] * phase_.im[i];
      image.re[i] = part * phase_.re[i];
      image.im[i] = part * phase_.im[i];
    }
  }

  Lines lines_;
  std::int64_t columns_;
  kspace::PhaseEncode encode_;
  std::vector<int> all_;
  Plane measured_;
  Plane phase_{0};  // exp(i phase) of the image of the symmetric centre
};

/// Magnitude images have no phase, which would let homodyne and POCS be exact; scanners see one.
void turn(const HarmonicField& phase, std::int64_t slice, std::int64_t n, float* re, float* im) {
  const auto angle = phase.slice(slice);
  for (std::int64_t i = 0; i < n; ++i) {
    const double c = std::cos(static_cast<double>(angle[i]));
    const double s = std::sin(static_cast<double>(angle[i]));
    const auto a = static_cast<double>(re[i]), b = static_cast<double>(im[i]);
    re[i] = static_cast<float>(c * a - s * b);
    im[i] = static_cast<float>(c * b + s * a);
  }
}

bool acts(const Values& values) {
  return values.at("fraction") != 1;
}

Drawn draw_zero_fill(const Lines& lines) {
  Drawn drawn;
  AxisWeights weights;
  for (std::int64_t line = 0; line < lines.n; ++line)
    weights.lines.emplace_back(line < lines.measured() ? 1 : 0);
  drawn.weights = std::move(weights);
  return drawn;
}

Drawn draw(const Context& context, const Values& values) {
  const auto lines = measured_lines(context.lines(), values.at("fraction"));
  const auto mode = static_cast<Mode>(std::lround(values.at("mode")));
  auto drawn = mode == Mode::zero_fill ? draw_zero_fill(lines) : Drawn{};
  drawn.values.set("measured_lines", lines.measured());
  if (mode == Mode::zero_fill) return drawn;

  std::optional<HarmonicField> phase;
  const double rms = values.at("phase_rms");
  if (!context.volume.is_complex() && rms > 0) {
    phase.emplace(context, "phase", "partial-fourier");
    phase->scale(rms / phase->measure().rms);
    drawn.values.set("phase", phase->record());
  }
  const int iterations = static_cast<int>(std::lround(values.at("iterations")));
  drawn.apply = [=](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      if (phase) turn(*phase, slice, block.plane_size(), re, im);
      const Reconstruction slice_of(lines, block.readout(), re, im);
      const auto image = mode == Mode::homodyne ? slice_of.homodyne() : slice_of.pocs(iterations);
      std::copy(image.re.begin(), image.re.end(), re);
      std::copy(image.im.begin(), image.im.end(), im);
    });
  };
  return drawn;
}

}  // namespace

Artifact partial_fourier() {
  return {{"partial-fourier",
           "Little more than half of k-space measured: blur, and errors where the phase varies",
           "Noll, Nishimura and Macovski 1991, IEEE Trans Med Imaging 10:154 (homodyne); Haacke, "
           "Lindskog and Lin 1991, J Magn Reson 92:126 (POCS)",
           Stage::reconstruction,
           {{"fraction",
             "1",
             "share of the lines of phase encoding that is measured",
             0.5,
             1,
             {0.875, 0.75, 0.625, 0.5625, 0.52},
             1},
            {"mode",
             "1",
             "reconstruction: 0 the missing lines are zero, 1 homodyne, 2 POCS",
             0,
             2,
             {0, 0, 0, 0, 0},
             0},
            {"phase_rms",
             "rad",
             "modes 1 and 2, magnitude image: standard deviation of a smooth phase that is drawn",
             0,
             3,
             {0.1, 0.2, 0.4, 0.7, 1},
             0},
            {"iterations", "1", "mode 2: number of projections", 1, 100, {10, 10, 10, 10, 10}, 10}},
           2,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
