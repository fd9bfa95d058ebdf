#include "kspace/shift.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/threads.h"
#include "kspace/line_fft.h"
#include "kspace/simd.h"

namespace mr::kspace {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr std::int64_t lanes = lane_count;    // lines side by side in the direct convolution
constexpr std::int64_t longest_direct = 160;  // up to here it is faster than two transforms

/// Where the lines of one shear lie in [D, H, W]: n samples `stride` apart, columns
/// `column_stride` apart in planes `plane_stride` apart.
struct Lines {
  std::int64_t n, stride, columns, column_stride, planes, plane_stride;
  int column_axis, plane_axis;
};

Lines lines_along(const Shape& shape, int axis) {
  const auto height = shape[1], width = shape[2];
  if (axis == 2) return {width, 1, height, width, shape[0], height * width, 1, 0};
  if (axis == 1) return {height, width, width, 1, shape[0], height * width, 2, 0};
  return {shape[0], height * width, width, 1, height, width, 2, 1};
}

/// Displacements [voxel] of the lines of one plane.
struct Displacement {
  double first, step;
  double at(std::int64_t column) const { return first + step * static_cast<double>(column); }
};

Displacement displacement(const Lines& lines, const Shear& shear, std::int64_t plane) {
  const auto centred = [](std::int64_t index, std::int64_t n) {
    return static_cast<double>(index - n / 2);
  };
  const double step = shear.slope[static_cast<std::size_t>(lines.column_axis)];
  return {
      shear.offset +
          shear.slope[static_cast<std::size_t>(lines.plane_axis)] * centred(plane, lines.planes) +
          step * centred(0, lines.columns),
      step};
}

/// cos and sin of pi j / n, by repeated rotation in double precision.
struct HalfTurns {
  std::vector<float> cosine, sine;
  explicit HalfTurns(std::int64_t n) {
    const double step_c = std::cos(pi / static_cast<double>(n)),
                 step_s = std::sin(pi / static_cast<double>(n));
    double c = 1, s = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      cosine.push_back(static_cast<float>(c));
      sine.push_back(static_cast<float>(s));
      const double next = c * step_c - s * step_s;
      s = c * step_s + s * step_c;
      c = next;
    }
  }
};

/// Periodic sinc: row j of kernel [n, lanes] is sin(pi t) / (n sin(pi t / n)) at t = j - f, times
/// cos(pi t / n) where n is even; f in [-1/2, 1/2]. The sines are Taylor series to float precision.
MR_SIMD void periodic_sinc(const float* f, std::int64_t n, const float* cosine, const float* sine,
                           float* kernel) {
  const auto count = static_cast<float>(n);
  const bool even = n % 2 == 0;
  float sine_f[lanes], sine_b[lanes], cosine_b[lanes];
  for (std::int64_t l = 0; l < lanes; ++l) {
    const float a = f[l] * 3.14159265f, b = a / count, a2 = a * a, b2 = b * b;
    const float sinc_a =
        1.0f + a2 * (-1.66666667e-1f +
                     a2 * (8.33333333e-3f +
                           a2 * (-1.98412698e-4f + a2 * (2.75573192e-6f - a2 * 2.50521084e-8f))));
    const float sinc_b =
        1.0f + b2 * (-1.66666667e-1f +
                     b2 * (8.33333333e-3f +
                           b2 * (-1.98412698e-4f + b2 * (2.75573192e-6f - b2 * 2.50521084e-8f))));
    sine_f[l] = a * sinc_a / count;
    sine_b[l] = b * sinc_b;
    cosine_b[l] =
        1.0f +
        b2 * (-0.5f + b2 * (4.16666667e-2f +
                            b2 * (-1.38888889e-3f + b2 * (2.48015873e-5f - b2 * 2.75573192e-7f))));
    kernel[l] = sinc_a / sinc_b * (even ? cosine_b[l] : 1.0f);
  }
  for (std::int64_t j = 1; j < n; ++j) {
    const float sign = j % 2 == 1 ? 1.0f : -1.0f, c = cosine[j], s = sine[j];
    float* row = kernel + j * lanes;
    if (even)
      for (std::int64_t l = 0; l < lanes; ++l)
        row[l] = sign * sine_f[l] * (c * cosine_b[l] + s * sine_b[l]) /
                 (s * cosine_b[l] - c * sine_b[l]);
    else
      for (std::int64_t l = 0; l < lanes; ++l)
        row[l] = sign * sine_f[l] / (s * cosine_b[l] - c * sine_b[l]);
  }
}

/// out[y] = sum over j of kernel[j] in[y - j + n], lane by lane; in [2 n, lanes] holds a period
/// twice, out [n rounded up to 4, lanes].
MR_SIMD void convolve(const float* in, const float* kernel, std::int64_t n, float* out) {
  const auto* h = reinterpret_cast<const Lanes*>(kernel);
  auto* to = reinterpret_cast<Lanes*>(out);
  for (std::int64_t y = 0; y < n; y += 4) {
    const auto* x = reinterpret_cast<const Lanes*>(in) + y + n;
    Lanes sum0{}, sum1{}, sum2{}, sum3{};
    for (std::int64_t j = 0; j < n; ++j) {
      sum0 += h[j] * x[-j];
      sum1 += h[j] * x[1 - j];
      sum2 += h[j] * x[2 - j];
      sum3 += h[j] * x[3 - j];
    }
    to[y] = sum0;
    to[y + 1] = sum1;
    to[y + 2] = sum2;
    to[y + 3] = sum3;
  }
}

/// Shifts planes of short lines by convolution with the periodic sinc.
class DirectShift {
 public:
  explicit DirectShift(const Lines& lines)
      : lines_(lines),
        turns_(lines.n),
        kernel_({lines.n, lanes}),
        in_({2 * lines.n + 4, lanes}),
        out_({lines.n + 4, lanes}) {}

  /// The same plane of one or two images, which move alike.
  void plane(const std::vector<float*>& images, const Displacement& d) {
    for (std::int64_t first = 0; first < lines_.columns; first += lanes) {
      const auto width = std::min(lanes, lines_.columns - first);
      std::array<float, lanes> fraction{};
      std::array<std::int64_t, lanes> roll{};
      for (std::int64_t l = 0; l < width; ++l) {
        const double whole = std::floor(d.at(first + l) + 0.5);
        fraction[static_cast<std::size_t>(l)] = static_cast<float>(d.at(first + l) - whole);
        const auto remainder = static_cast<std::int64_t>(whole) % lines_.n;
        roll[static_cast<std::size_t>(l)] = remainder < 0 ? remainder + lines_.n : remainder;
      }
      periodic_sinc(fraction.data(), lines_.n, turns_.cosine.data(), turns_.sine.data(),
                    kernel_.data());
      for (auto* image : images) {
        auto* column = image + first * lines_.column_stride;
        load(column, width, roll);
        std::copy_n(in_.data(), lines_.n * lanes, in_.data() + lines_.n * lanes);
        convolve(in_.data(), kernel_.data(), lines_.n, out_.data());
        store(column, width);
      }
    }
  }

 private:
  /// One period of each line, rolled by whole voxels.
  void load(const float* from, std::int64_t width, const std::array<std::int64_t, lanes>& roll) {
    const bool alike = std::all_of(roll.begin(), roll.begin() + width,
                                   [&](std::int64_t r) { return r == roll[0]; });
    if (alike && lines_.column_stride == 1 && width == lanes) {
      for (std::int64_t y = 0, to = roll[0]; y < lines_.n; ++y, to = next(to))
        std::copy_n(from + y * lines_.stride, lanes, in_.data() + to * lanes);
      return;
    }
    for (std::int64_t l = 0; l < width; ++l) {
      const auto* line = from + l * lines_.column_stride;
      auto to = roll[static_cast<std::size_t>(l)];
      for (std::int64_t y = 0; y < lines_.n; ++y, to = next(to))
        in_[to * lanes + l] = line[y * lines_.stride];
    }
  }

  void store(float* to, std::int64_t width) const {
    if (lines_.column_stride == 1 && width == lanes) {
      for (std::int64_t y = 0; y < lines_.n; ++y)
        std::copy_n(out_.data() + y * lanes, lanes, to + y * lines_.stride);
      return;
    }
    for (std::int64_t l = 0; l < width; ++l)
      for (std::int64_t y = 0; y < lines_.n; ++y)
        to[l * lines_.column_stride + y * lines_.stride] = out_[y * lanes + l];
  }

  std::int64_t next(std::int64_t y) const { return y + 1 == lines_.n ? 0 : y + 1; }

  Lines lines_;
  HalfTurns turns_;
  Array<float> kernel_, in_, out_;
};

/// Shifts a plane of long lines by a linear phase.
class PhaseShift {
 public:
  explicit PhaseShift(const Lines& lines) : lines_(lines), fft_(lines.n, LineFft::Kind::real) {}

  void plane(const std::vector<float*>& images, const Displacement& d) {
    for (auto* image : images) plane(image, d);
  }

 private:
  void plane(float* image, const Displacement& d) {
    for (std::int64_t first = 0; first < lines_.columns; first += LineFft::lanes) {
      const auto width = std::min(LineFft::lanes, lines_.columns - first);
      for (std::int64_t y = 0; y < lines_.n; ++y)
        for (std::int64_t l = 0; l < width; ++l)
          fft_.real_line(l)[y] = image[(first + l) * lines_.column_stride + y * lines_.stride];
      fft_.forward();
      for (std::int64_t l = 0; l < width; ++l) turn(fft_.spectrum(l), d.at(first + l));
      fft_.backward();
      for (std::int64_t y = 0; y < lines_.n; ++y)
        for (std::int64_t l = 0; l < width; ++l)
          image[(first + l) * lines_.column_stride + y * lines_.stride] = fft_.real_line(l)[y];
    }
  }

  void turn(Complex* spectrum, double shift) {
    const auto n = static_cast<double>(lines_.n);
    const double angle = -2 * pi * shift / n;
    const double step_re = std::cos(angle), step_im = std::sin(angle);
    double re = 1 / n, im = 0;
    for (std::int64_t k = 0; k < fft_.bins(); ++k) {
      const double x = spectrum[k].real(), y = spectrum[k].imag();
      spectrum[k] = {static_cast<float>(x * re - y * im), static_cast<float>(x * im + y * re)};
      const double next = re * step_re - im * step_im;
      im = re * step_im + im * step_re;
      re = next;
    }
    if (lines_.n % 2 == 0) {
      // Both signs of the unpaired frequency meet here: the mean of their phases is the cosine,
      // and the backward transform of real data takes the real part alone.
      spectrum[fft_.bins() - 1].imag(0);
    }
  }

  Lines lines_;
  LineFft fft_;
};

template <typename Method>
void shift_planes(const std::vector<float*>& images, const Lines& lines, const Shear& shear,
                  int threads) {
  const auto part = (lines.planes + threads - 1) / threads;
  parallel_for(threads, (lines.planes + part - 1) / part, [&](std::int64_t p) {
    Method method(lines);
    auto planes = images;
    for (auto& plane : planes) plane += p * part * lines.plane_stride;
    for (auto i = p * part; i < std::min(lines.planes, (p + 1) * part); ++i) {
      method.plane(planes, displacement(lines, shear, i));
      for (auto& plane : planes) plane += lines.plane_stride;
    }
  });
}

/// Slopes of m = Sp Sq Sr Sp', where Sa changes coordinate a alone; false where there are none.
bool four_shears(const Matrix3& m, int p, int q, int r, std::vector<Shear>& shears) {
  bool possible = true;
  const auto ratio = [&](double a, double b) {
    if (std::fabs(a) < 1e-12) return 0.0;
    if (std::fabs(b) < 1e-12) possible = false;
    return possible ? a / b : 0.0;
  };
  const auto at = [&](int row, int column) {
    return m[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)];
  };
  // The first pass is fixed by rows r and q of what is left of m, whose diagonal must be 1.
  const double first_r = ratio(at(r, r) - 1, at(r, p));
  const double q_r = at(q, r) - first_r * at(q, p);
  const double first_q = ratio(at(q, q) - 1 - q_r * at(r, q), at(q, p) - q_r * at(r, p));
  const double r_p = at(r, p), r_q = at(r, q) - first_q * at(r, p);
  const double q_p = at(q, p) - q_r * r_p;
  const double last_r_of_m = at(p, r) - first_r * at(p, p);
  const double last_q = at(p, q) - first_q * at(p, p) - last_r_of_m * r_q;
  const double last_r = last_r_of_m - last_q * q_r;
  shears.assign(4, {});
  const auto set = [&](std::size_t pass, int axis, int a, double slope_a, int b, double slope_b) {
    shears[pass].axis = axis;
    shears[pass].slope[static_cast<std::size_t>(a)] = slope_a;
    shears[pass].slope[static_cast<std::size_t>(b)] = slope_b;
  };
  set(0, p, q, first_q, r, first_r);
  set(1, r, p, r_p, q, r_q);
  set(2, q, p, q_p, r, q_r);
  set(3, p, q, last_q, r, last_r);
  return possible;
}

double largest_slope(const std::vector<Shear>& shears) {
  double largest = 0;
  for (const auto& shear : shears)
    for (const double slope : shear.slope) largest = std::max(largest, std::fabs(slope));
  return largest;
}

bool is_still(const Shear& shear) {
  return shear.offset == 0 && shear.slope == Vector3{0, 0, 0};
}

}  // namespace

void shift_lines(Array<float>& re, Array<float>& im, const Shear& shear, int threads) {
  const auto lines = lines_along(re.shape(), shear.axis);
  std::vector<float*> images = {re.data()};
  if (!im.empty()) images.push_back(im.data());
  if (lines.n <= longest_direct)
    shift_planes<DirectShift>(images, lines, shear, threads);
  else
    shift_planes<PhaseShift>(images, lines, shear, threads);
}

std::vector<Shear> rigid_shears(const Matrix3& m, const Vector3& t) {
  constexpr int orders[6][3] = {{2, 1, 0}, {2, 0, 1}, {1, 2, 0}, {1, 0, 2}, {0, 1, 2}, {0, 2, 1}};
  std::vector<Shear> best, candidate;
  double smallest = std::numeric_limits<double>::infinity();
  for (const auto& order : orders)
    if (four_shears(m, order[0], order[1], order[2], candidate) &&
        largest_slope(candidate) < smallest * (1 - 1e-9)) {
      smallest = largest_slope(candidate);
      best = candidate;
    }
  if (best.empty()) throw DataError("rotation: half a turn cannot be made of shears");

  for (int axis = 0; axis < 3; ++axis) {
    bool has_pass = false;
    for (const auto& shear : best) has_pass |= shear.axis == axis;
    if (!has_pass) best.push_back({axis, {}, 0});
  }
  // The last pass along an axis settles the displacement of the centre along it.
  Vector3 centre{};
  for (std::size_t pass = 0; pass < best.size(); ++pass) {
    auto& shear = best[pass];
    const auto axis = static_cast<std::size_t>(shear.axis);
    for (std::size_t a = 0; a < 3; ++a) centre[axis] += shear.slope[a] * centre[a];
    bool last = true;
    for (auto later = pass + 1; later < best.size(); ++later)
      last &= best[later].axis != shear.axis;
    if (!last) continue;
    shear.offset = t[axis] - centre[axis];
    centre[axis] = t[axis];
  }
  best.erase(std::remove_if(best.begin(), best.end(), is_still), best.end());
  return best;
}

Matrix3 rotation(const Vector3& angles_rad) {
  Matrix3 m{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto a = (axis + 1) % 3, b = (axis + 2) % 3;
    const double c = std::cos(angles_rad[axis]), s = std::sin(angles_rad[axis]);
    for (std::size_t column = 0; column < 3; ++column) {
      const double x = m[a][column], y = m[b][column];
      m[a][column] = c * x - s * y;
      m[b][column] = s * x + c * y;
    }
  }
  return m;
}

}  // namespace mr::kspace
