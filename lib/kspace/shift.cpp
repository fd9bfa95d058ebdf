#include "kspace/shift.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/simd.h"
#include "base/threads.h"
#include "kspace/line_fft.h"

namespace mr::kspace {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr std::int64_t lanes = lane_count;    // lines side by side in the direct convolution
constexpr std::int64_t longest_direct = 160;  // up to here it is faster than two transforms

/// The lines of [D, H, W] along one axis, and how far each moves. Line `index` counts over the
/// other two axes, the faster one first.
class Lines {
 public:
  Lines(const Shape& shape, const Shear& shear) : n(shape[axis_of(shear)]) {
    const auto height = shape[1], width = shape[2];
    const std::array<std::int64_t, 3> strides = {height * width, width, 1};
    const std::size_t fast = shear.axis == 2 ? 1 : 2, slow = shear.axis == 0 ? 1 : 0;
    stride = strides[axis_of(shear)];
    count = shape[fast] * shape[slow];
    columns_ = shape[fast];
    column_stride_ = strides[fast];
    plane_stride_ = strides[slow];
    column_slope_ = shear.slope[fast];
    plane_slope_ = shear.slope[slow];
    first_ = shear.offset - column_slope_ * static_cast<double>(shape[fast] / 2) -
             plane_slope_ * static_cast<double>(shape[slow] / 2);
  }

  std::int64_t n, stride, count;  // samples of a line, distance between them, number of lines

  std::int64_t columns() const { return columns_; }  // lines side by side, `stride` > 1

  /// Of a line's first sample from that of the image.
  std::int64_t start(std::int64_t index) const {
    return index / columns_ * plane_stride_ + index % columns_ * column_stride_;
  }
  double displacement(std::int64_t index) const {  // [voxel]
    return first_ + column_slope_ * static_cast<double>(index % columns_) +
           plane_slope_ * static_cast<double>(index / columns_);
  }

 private:
  static std::size_t axis_of(const Shear& shear) { return static_cast<std::size_t>(shear.axis); }
  std::int64_t columns_, column_stride_, plane_stride_;
  double first_, column_slope_, plane_slope_;
};

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
  // Rows j and n - j, for which the cosine has the other sign, share a division.
  for (std::int64_t j = 1; 2 * j <= n; ++j) {
    const float sign = j % 2 == 1 ? 1.0f : -1.0f, c = cosine[j], s = sine[j];
    float* row = kernel + j * lanes;
    float* other = kernel + (n - j) * lanes;
    for (std::int64_t l = 0; l < lanes; ++l) {
      const float a = s * cosine_b[l], b = c * sine_b[l];
      const float minus = a - b, plus = a + b, common = sine_f[l] / (minus * plus);
      const float factor = even ? c * cosine_b[l] + s * sine_b[l] : 1.0f;
      const float other_factor = even ? c * cosine_b[l] - s * sine_b[l] : 1.0f;
      other[l] = -sign * common * minus * other_factor;
      row[l] = sign * common * plus * factor;
    }
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

/// Shifts short lines by convolution with the periodic sinc.
class DirectShift {
 public:
  static constexpr std::int64_t at_once = lanes;

  explicit DirectShift(const Lines& lines)
      : lines_(lines),
        turns_(lines.n),
        kernel_({lines.n, lanes}),
        in_({2 * lines.n + 4, lanes}),
        out_({lines.n + 4, lanes}) {}

  /// The same lines of one or two images, which move alike.
  void move(const std::vector<float*>& images, std::int64_t first, std::int64_t width) {
    std::array<float, lanes> fraction{};
    for (std::int64_t l = 0; l < width; ++l) {
      const auto lane = static_cast<std::size_t>(l);
      const double d = lines_.displacement(first + l), whole = std::floor(d + 0.5);
      fraction[lane] = static_cast<float>(d - whole);
      const auto remainder = static_cast<std::int64_t>(whole) % lines_.n;
      roll_[lane] = remainder < 0 ? remainder + lines_.n : remainder;
      start_[lane] = lines_.start(first + l);
    }
    periodic_sinc(fraction.data(), lines_.n, turns_.cosine.data(), turns_.sine.data(),
                  kernel_.data());
    const bool side_by_side = width == lanes && start_[lanes - 1] == start_[0] + lanes - 1;
    for (auto* image : images) {
      load(image, width, side_by_side);
      std::copy_n(in_.data(), lines_.n * lanes, in_.data() + lines_.n * lanes);
      convolve(in_.data(), kernel_.data(), lines_.n, out_.data());
      store(image, width, side_by_side);
    }
  }

 private:
  /// One period of each line, rolled by whole voxels.
  void load(const float* image, std::int64_t width, bool side_by_side) {
    if (side_by_side && std::equal(roll_.begin() + 1, roll_.end(), roll_.begin())) {
      const auto* from = image + start_[0];
      for (std::int64_t y = 0, to = roll_[0]; y < lines_.n; ++y, to = next(to))
        std::copy_n(from + y * lines_.stride, lanes, in_.data() + to * lanes);
      return;
    }
    for (std::int64_t l = 0; l < width; ++l) {
      const auto* line = image + start_[static_cast<std::size_t>(l)];
      auto to = roll_[static_cast<std::size_t>(l)];
      for (std::int64_t y = 0; y < lines_.n; ++y, to = next(to))
        in_[to * lanes + l] = line[y * lines_.stride];
    }
  }

  void store(float* image, std::int64_t width, bool side_by_side) const {
    if (side_by_side) {
      for (std::int64_t y = 0; y < lines_.n; ++y)
        std::copy_n(out_.data() + y * lanes, lanes, image + start_[0] + y * lines_.stride);
      return;
    }
    for (std::int64_t l = 0; l < width; ++l) {
      auto* line = image + start_[static_cast<std::size_t>(l)];
      for (std::int64_t y = 0; y < lines_.n; ++y) line[y * lines_.stride] = out_[y * lanes + l];
    }
  }

  std::int64_t next(std::int64_t y) const { return y + 1 == lines_.n ? 0 : y + 1; }

  const Lines& lines_;
  HalfTurns turns_;
  Array<float> kernel_, in_, out_;
  std::array<std::int64_t, lanes> roll_{}, start_{};
};

/// exp(-2 pi i k shift / n) / n for k = 0, 1, ..., by repeated rotation in double precision.
struct Turn {
  double step_re, step_im;
  Turn(double shift, std::int64_t n) {
    const double angle = -2 * pi * shift / static_cast<double>(n);
    step_re = std::cos(angle);
    step_im = std::sin(angle);
  }
};

constexpr std::int64_t steps_at_once = 8;

/// bin k times its phase
MR_SIMD void turn_line(Turn turn, std::int64_t n, std::int64_t bins, float* pairs) {
  alignas(64) double re[steps_at_once], im[steps_at_once];
  double a = 1 / static_cast<double>(n), b = 0;
  for (std::int64_t j = 0; j < steps_at_once; ++j) {
    re[j] = a;
    im[j] = b;
    const double next = a * turn.step_re - b * turn.step_im;
    b = a * turn.step_im + b * turn.step_re;
    a = next;
  }
  const double stride_re = a * static_cast<double>(n), stride_im = b * static_cast<double>(n);
  for (std::int64_t k = 0; k < bins; k += steps_at_once) {
    const auto count = std::min(steps_at_once, bins - k);
    for (std::int64_t j = 0; j < count; ++j) {
      const auto c = static_cast<float>(re[j]), s = static_cast<float>(im[j]);
      const float x = pairs[2 * (k + j)], y = pairs[2 * (k + j) + 1];
      pairs[2 * (k + j)] = x * c - y * s;
      pairs[2 * (k + j) + 1] = x * s + y * c;
    }
    for (std::int64_t j = 0; j < steps_at_once; ++j) {
      const double next = re[j] * stride_re - im[j] * stride_im;
      im[j] = re[j] * stride_im + im[j] * stride_re;
      re[j] = next;
    }
  }
}

/// Both signs of the unpaired frequency of an even length meet in its last bin: the mean of their
/// phases is the cosine, so the imaginary part goes.
void turn_spectrum(Turn turn, std::int64_t n, std::int64_t bins, Complex* spectrum) {
  turn_line(turn, n, bins, reinterpret_cast<float*>(spectrum));
  if (n % 2 == 0) spectrum[bins - 1].imag(0);
}

/// Shifts long lines that are contiguous by a linear phase.
class PhaseShift {
 public:
  static constexpr std::int64_t at_once = LineFft::lanes;

  explicit PhaseShift(const Lines& lines) : lines_(lines), fft_(lines.n, Numbers::real) {}

  void move(const std::vector<float*>& images, std::int64_t first, std::int64_t width) {
    const auto n = lines_.n;
    for (auto* image : images) {
      for (std::int64_t l = 0; l < width; ++l)
        std::copy_n(image + lines_.start(first + l), n, fft_.real_line(l));
      fft_.forward();
      for (std::int64_t l = 0; l < width; ++l)
        turn_spectrum({lines_.displacement(first + l), n}, n, fft_.bins(), fft_.spectrum(l));
      fft_.backward();
      for (std::int64_t l = 0; l < width; ++l)
        std::copy_n(fft_.real_line(l), n, image + lines_.start(first + l));
    }
  }

 private:
  const Lines& lines_;
  LineFft fft_;
};

/// The same for lines that lie side by side.
class ColumnShift {
 public:
  static constexpr std::int64_t at_once = ColumnFft::columns;

  explicit ColumnShift(const Lines& lines) : lines_(lines), fft_(lines.n, Numbers::real) {}

  void move(const std::vector<float*>& images, std::int64_t first, std::int64_t width) {
    const auto n = lines_.n;
    for (auto* image : images) {
      auto* columns = image + lines_.start(first);
      fft_.load(columns, lines_.stride, width);
      fft_.forward(width);
      for (std::int64_t c = 0; c < width; ++c)
        turn_spectrum({lines_.displacement(first + c), n}, n, fft_.bins(), fft_.spectrum(c));
      fft_.backward(width);
      fft_.store(columns, lines_.stride, width);
    }
  }

 private:
  const Lines& lines_;
  ColumnFft fft_;
};

/// Groups of lines never cross the end of a row of `row` lines.
template <typename Method>
void shift_by(const std::vector<float*>& images, const Lines& lines, std::int64_t row,
              int threads) {
  const auto groups = (row + Method::at_once - 1) / Method::at_once;
  const auto blocks = lines.count / row * groups;
  const auto part = (blocks + threads - 1) / threads;
  parallel_for(threads, (blocks + part - 1) / part, [&](std::int64_t p) {
    Method method(lines);
    for (auto block = p * part; block < std::min(blocks, (p + 1) * part); ++block) {
      const auto column = block % groups * Method::at_once;
      method.move(images, block / groups * row + column, std::min(Method::at_once, row - column));
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
  const Lines lines(re.shape(), shear);
  std::vector<float*> images = {re.data()};
  if (!im.empty()) images.push_back(im.data());
  if (lines.n <= longest_direct)
    shift_by<DirectShift>(images, lines, lines.count, threads);
  else if (lines.stride == 1)
    shift_by<PhaseShift>(images, lines, lines.count, threads);
  else
    shift_by<ColumnShift>(images, lines, lines.columns(), threads);
}

std::vector<Shear> rigid_shears(const Matrix3& m, const Vector3& t) {
  // First those that move lines along the fastest axis, which are costly, once only.
  constexpr int orders[6][3] = {{1, 2, 0}, {1, 0, 2}, {0, 1, 2}, {0, 2, 1}, {2, 1, 0}, {2, 0, 1}};
  std::vector<Shear> best, candidate;
  double smallest = std::numeric_limits<double>::infinity();
  for (const auto& order : orders)
    if (four_shears(m, order[0], order[1], order[2], candidate) &&
        largest_slope(candidate) < smallest * 0.7) {
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
