#include <algorithm>
#include <cmath>
#include <complex>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "check.h"
#include "kspace/axes.h"
#include "kspace/coils.h"
#include "kspace/lines.h"
#include "kspace/phase_ramp.h"
#include "kspace/shift.h"
#include "kspace/shots.h"

using namespace mr::kspace;
using mr::Array;
using mr::Shape;
using Complex = std::complex<float>;
using Wide = std::complex<double>;

namespace {

constexpr double pi = 3.14159265358979323846;

Array<float> noise(const Shape& shape, std::uint64_t seed) {
  Array<float> a(shape);
  mr::fill_normal({seed}, 0, a.data(), static_cast<std::size_t>(a.size()));
  return a;
}

Array<Complex> complex_noise(const Shape& shape, std::uint64_t seed) {
  const auto re = noise(shape, seed), im = noise(shape, seed + 1);
  Array<Complex> a(shape);
  for (std::int64_t i = 0; i < a.size(); ++i) a[i] = {re[i], im[i]};
  return a;
}

template <typename T>
double norm(const Array<T>& a) {
  double sum = 0;
  for (const auto& x : a) sum += static_cast<double>(std::norm(x));
  return std::sqrt(sum);
}

template <typename T>
double distance(const Array<T>& a, const Array<T>& b) {
  REQUIRE(a.shape() == b.shape());
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) sum += static_cast<double>(std::norm(a[i] - b[i]));
  return std::sqrt(sum);
}

/// The definition, in double precision: K(k) = sum x(r) exp(-2 pi i (k - c)(r - c) / n) / sqrt(n).
Array<Complex> slow_transform(const Array<Complex>& x, int axis, double sign) {
  const auto n = x.shape(axis);
  std::int64_t stride = 1;
  for (int a = axis + 1; a < 4; ++a) stride *= x.shape(a);
  Array<Complex> out(x.shape());
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const auto k = i / stride % n;
    Wide sum = 0;
    for (std::int64_t r = 0; r < n; ++r)
      sum += Wide(x[i + (r - k) * stride]) *
             std::polar(1.0, sign * 2 * pi * static_cast<double>((k - n / 2) * (r - n / 2)) /
                                 static_cast<double>(n));
    out[i] = Complex(sum / std::sqrt(static_cast<double>(n)));
  }
  return out;
}

}  // namespace

// ---- Fourier transform ----

namespace {

/// A complex image [1, D, H, W], split as the transforms want it.
struct Split {
  Array<float> re, im;
};

Split split_volume(const Array<Complex>& a) {
  const Shape shape{a.shape(1), a.shape(2), a.shape(3)};
  Split s{Array<float>(shape), Array<float>(shape)};
  for (std::int64_t i = 0; i < a.size(); ++i) {
    s.re[i] = a[i].real();
    s.im[i] = a[i].imag();
  }
  return s;
}

Array<Complex> joined(const Split& s) {
  Array<Complex> a({1, s.re.shape(0), s.re.shape(1), s.re.shape(2)});
  for (std::int64_t i = 0; i < a.size(); ++i) a[i] = {s.re[i], s.im[i]};
  return a;
}

Array<Complex> transformed(const Array<Complex>& image, const std::vector<int>& axes,
                           Direction direction, int threads = 1) {
  auto s = split_volume(image);
  for (const int axis : axes) transform_axis(s.re, s.im, axis, direction, threads);
  return joined(s);
}

}  // namespace

TEST_CASE("the transform is the centred unitary sum, on odd, even and prime lengths") {
  for (const Shape& shape : {Shape{1, 1, 7, 12}, Shape{1, 3, 5, 37}, Shape{1, 4, 9, 1}})
    for (const int axis : {0, 1, 2})
      for (const int threads : {1, 2, 12}) {
        CAPTURE(shape[3]);
        CAPTURE(axis);
        const auto image = complex_noise(shape, 3);
        CHECK(distance(transformed(image, {axis}, Direction::to_kspace, threads),
                       slow_transform(image, axis + 1, -1)) < 1e-6 * norm(image));
        CHECK(distance(transformed(image, {axis}, Direction::to_image, threads),
                       slow_transform(image, axis + 1, 1)) < 1e-6 * norm(image));
      }
}

TEST_CASE("there and back is the identity, and energy is kept (Parseval)") {
  for (const auto& axes : {std::vector<int>{1, 2}, std::vector<int>{0, 1, 2}}) {
    const auto image = complex_noise({1, 12, 35, 51}, 5);
    const auto spectrum = transformed(image, axes, Direction::to_kspace);
    CHECK(norm(spectrum) == doctest::Approx(norm(image)).epsilon(1e-6));
    CHECK(distance(spectrum, image) > 0.5 * norm(image));
    CHECK(distance(transformed(spectrum, axes, Direction::to_image), image) < 1e-6 * norm(image));
  }
}

TEST_CASE("zero frequency lies at n / 2 and holds sqrt(n) times the mean") {
  Array<Complex> flat({1, 3, 4, 5});
  for (auto& x : flat) x = 2.0f;
  const auto in_plane = transformed(flat, {1, 2}, Direction::to_kspace);
  for (std::int64_t z = 0; z < 3; ++z)
    CHECK(std::abs(in_plane[(z * 4 + 2) * 5 + 2] - Complex(2 * std::sqrt(20.0f))) < 1e-5);
  CHECK(norm(in_plane) == doctest::Approx(std::sqrt(3.0 * 20 * 4)));  // and nothing else
  const auto volume = transformed(flat, {0, 1, 2}, Direction::to_kspace);
  CHECK(std::abs(volume[(1 * 4 + 2) * 5 + 2] - Complex(2 * std::sqrt(60.0f))) < 1e-5);
}

TEST_CASE("white noise keeps its standard deviation") {
  const auto image = transformed(complex_noise({1, 1, 128, 96}, 11), {1, 2}, Direction::to_kspace);
  const double n = 2 * 128 * 96;
  CHECK(norm(image) * norm(image) / n == doctest::Approx(1).epsilon(4 * std::sqrt(2 / n)));
}

TEST_CASE("a real image gets an imaginary part; an empty axis is refused") {
  auto re = noise({2, 6, 5}, 13);
  Array<float> im;
  transform_axis(re, im, 1, Direction::to_kspace, 1);
  CHECK(im.shape() == re.shape());
  Array<float> empty({1, 4, 0}), nothing;
  CHECK_THROWS_AS(transform_axis(empty, nothing, 2, Direction::to_kspace, 1), mr::DataError);
}

// ---- shifts ----

namespace {

/// The definition in double precision: spectrum times a linear phase, cos(pi d) at the unpaired
/// frequency of an even length.
Array<float> slow_shift(const Array<float>& x, const Shear& shear) {
  const auto& s = x.shape();
  const auto axis = static_cast<std::size_t>(shear.axis);
  const auto n = s[axis];
  const std::array<std::int64_t, 3> strides{s[1] * s[2], s[2], 1};
  Array<float> out(s);
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const std::array<std::int64_t, 3> at{i / strides[0], i / strides[1] % s[1], i % s[2]};
    double d = shear.offset;
    for (std::size_t a = 0; a < 3; ++a) d += shear.slope[a] * static_cast<double>(at[a] - s[a] / 2);
    double sum = 0;
    for (std::int64_t r = 0; r < n; ++r) {
      double kernel = 0;
      for (std::int64_t k = -(n / 2); k < n - n / 2; ++k) {
        const double turn = 2 * pi * static_cast<double>(k) / static_cast<double>(n);
        const double step = static_cast<double>(at[axis] - r);
        kernel +=
            2 * k == -n ? std::cos(pi * step) * std::cos(pi * d) : std::cos(turn * (step - d));
      }
      sum += kernel / static_cast<double>(n) *
             static_cast<double>(x[i + (r - at[axis]) * strides[axis]]);
    }
    out[i] = static_cast<float>(sum);
  }
  return out;
}

Array<float> shifted(Array<float> image, const Shear& shear, int threads = 1) {
  Array<float> none;
  shift_lines(image, none, shear, threads);
  return image;
}

}  // namespace

TEST_CASE("lines are shifted by a linear phase, each by its own distance, along every axis") {
  const Shape shape{6, 9, 10};
  const auto image = noise(shape, 21);
  const std::vector<Shear> shears = {
      {0, {0, 0.31, -0.2}, 0.4}, {1, {-0.13, 0, 0.45}, -2.6}, {2, {0.7, 0.21, 0}, 31.5}};
  for (const auto& shear : shears) {
    CAPTURE(shear.axis);
    CHECK(distance(shifted(image, shear), slow_shift(image, shear)) < 2e-6 * norm(image));
  }
}

TEST_CASE("long lines, moved by the fast transform, agree with the definition too") {
  for (const std::int64_t n : {200, 161}) {
    CAPTURE(n);
    const auto image = noise({1, 3, n}, 4);
    const Shear shear{2, {0, 3.3, 0}, 7.25};
    CHECK(distance(shifted(image, shear), slow_shift(image, shear)) < 2e-6 * norm(image));
  }
}

TEST_CASE("a shift by whole voxels is a circular roll") {
  const auto image = noise({2, 31, 48}, 7);
  for (const int voxels : {-3, 0, 1, 24, 100}) {  // 0 and 48 / 2 alone would miss a wrong sign
    CAPTURE(voxels);
    auto rolled = image;
    for (std::int64_t i = 0; i < image.size(); ++i)
      rolled[i / 48 * 48 + (i % 48 + voxels + 480) % 48] = image[i];
    CHECK(distance(shifted(image, {2, {}, static_cast<double>(voxels)}), rolled) <
          1e-6 * norm(image));
  }
}

TEST_CASE("a shift and its inverse restore an odd line; energy is kept") {
  const auto image = noise({3, 35, 51}, 8);
  const Shear there{2, {0.1, 0.37, 0}, 0.3}, back{2, {-0.1, -0.37, 0}, -0.3};
  const auto moved = shifted(image, there);
  CHECK(norm(moved) == doctest::Approx(norm(image)).epsilon(1e-6));
  CHECK(distance(moved, image) > 0.5 * norm(image));
  CHECK(distance(shifted(moved, back), image) < 2e-6 * norm(image));
}

TEST_CASE("both parts of a complex image move as each alone would") {
  for (const std::int64_t n : {40, 200}) {
    auto re = noise({3, 7, n}, 51), im = noise({3, 7, n}, 52);
    const Shear shear{2, {0.4, -0.2, 0}, 0.7};
    const auto moved_re = shifted(re, shear), moved_im = shifted(im, shear);
    shift_lines(re, im, shear, 1);
    CHECK(re == moved_re);
    CHECK(im == moved_im);
  }
}

TEST_CASE("the number of threads does not change a bit of a shift") {
  for (const std::int64_t n : {40, 200}) {
    const auto image = noise({5, 7, n}, 9);
    const Shear shear{2, {0.1, 0.2, 0}, 1.1};
    const auto one = shifted(image, shear, 1);
    CHECK(shifted(image, shear, 2) == one);
    CHECK(shifted(image, shear, 12) == one);
  }
}

// ---- rotations ----

namespace {

Matrix3 product(const Matrix3& a, const Matrix3& b) {
  Matrix3 c{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      for (std::size_t k = 0; k < 3; ++k) c[i][j] += a[i][k] * b[k][j];
  return c;
}

Vector3 times(const Matrix3& m, const Vector3& x) {
  Vector3 y{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) y[i] += m[i][j] * x[j];
  return y;
}

Vector3 pass_through(const std::vector<Shear>& shears, Vector3 x) {
  for (const auto& shear : shears) {
    const auto axis = static_cast<std::size_t>(shear.axis);
    double d = shear.offset;
    for (std::size_t a = 0; a < 3; ++a) d += shear.slope[a] * x[a];
    x[axis] += d;
  }
  return x;
}

}  // namespace

TEST_CASE("rotation() turns the second axis towards the third about the first") {
  const double a = 0.3;
  const auto m = rotation({a, 0, 0});
  CHECK(times(m, {0, 1, 0})[1] == doctest::Approx(std::cos(a)));
  CHECK(times(m, {0, 1, 0})[2] == doctest::Approx(std::sin(a)));
  CHECK(times(rotation({0, a, 0}), {0, 0, 1})[0] == doctest::Approx(std::sin(a)));
  CHECK(times(rotation({0, 0, a}), {1, 0, 0})[1] == doctest::Approx(std::sin(a)));
  const auto both = rotation({a, 0, 0.5});  // the first axis first
  CHECK(both == product(rotation({0, 0, 0.5}), rotation({a, 0, 0})));
}

TEST_CASE("shears together move every point as the rigid motion does") {
  const std::vector<Vector3> angles = {{0, 0, 0},        {0.02, 0, 0},     {0, -0.3, 0},
                                       {0, 0, 1.5},      {0.01, 0.02, 0},  {0.1, -0.2, 0.3},
                                       {1e-5, 0.3, 0.1}, {-0.4, 0.5, -0.6}};
  const Vector3 spacing{3, 0.5, 0.8}, t{0.7, -1.3, 2.9};
  for (const auto& angle : angles)
    for (const auto& shift : {Vector3{}, t}) {
      CAPTURE(angle[0]);
      CAPTURE(angle[1]);
      CAPTURE(angle[2]);
      auto m = rotation(angle);
      for (std::size_t i = 0; i < 3; ++i)
        for (std::size_t j = 0; j < 3; ++j) m[i][j] *= spacing[j] / spacing[i];
      const auto shears = rigid_shears(m, shift);
      CHECK(shears.size() <= 7);
      for (const auto& shear : shears)
        CHECK(shear.slope[static_cast<std::size_t>(shear.axis)] == 0);
      for (const Vector3& x : {Vector3{1, 0, 0}, Vector3{0, 1, 0}, Vector3{3, -5, 7}}) {
        const auto want = times(m, x), got = pass_through(shears, x);
        for (std::size_t a = 0; a < 3; ++a)
          CHECK(got[a] == doctest::Approx(want[a] + shift[a]).epsilon(1e-9));
      }
    }
}

TEST_CASE("small rotations need small shears only, whatever the axes") {
  for (const Vector3& angle : {Vector3{0.05, 0, 0}, Vector3{0, 0.05, 0}, Vector3{0, 0, 0.05},
                               Vector3{0.05, 0.04, -0.03}, Vector3{0.05, 0, 0.05}})
    for (const auto& shear : rigid_shears(rotation(angle), {}))
      for (const double slope : shear.slope) CHECK(std::fabs(slope) < 0.2);
}

TEST_CASE("a motion in the plane is three shears in the plane; none is none") {
  CHECK(rigid_shears(rotation({}), {}).empty());
  const auto shears = rigid_shears(rotation({0.2, 0, 0}), {});
  REQUIRE(shears.size() == 3);
  for (const auto& shear : shears) CHECK(shear.axis != 0);
  CHECK(rigid_shears(rotation({}), {0, 0.5, 0}).size() == 1);
}

TEST_CASE("a quarter turn of a square grid is exact up to the wrap") {
  for (const std::int64_t n : {16, 17}) {
    CAPTURE(n);
    const auto image = noise({1, n, n}, 31);
    auto turned = image;
    for (const auto& shear : rigid_shears(rotation({pi / 2, 0, 0}), {}))
      turned = shifted(turned, shear);
    auto want = image;
    for (std::int64_t y = 0; y < n; ++y)
      for (std::int64_t x = 0; x < n; ++x) {
        // (y, x) about the centre goes to (-x, y).
        const auto to_y = (n / 2 - (x - n / 2) + n) % n, to_x = (n / 2 + (y - n / 2)) % n;
        want[to_y * n + to_x] = image[y * n + x];
      }
    CHECK(distance(turned, want) < 3e-6 * norm(image));
  }
}

TEST_CASE("half a turn is refused") {
  CHECK_THROWS_WITH_AS(rigid_shears(rotation({pi, 0, 0}), {}),
                       "rotation: half a turn cannot be made of shears", mr::DataError);
}

// ---- lines ----

namespace {

std::vector<int> all_lines(std::int64_t n) {
  std::vector<int> lines(static_cast<std::size_t>(n));
  std::iota(lines.begin(), lines.end(), 0);
  return lines;
}

struct Plane {
  Array<float> re, im;
};

Plane split(const Array<Complex>& a) {
  Plane p{Array<float>({a.shape(2), a.shape(3)}), Array<float>({a.shape(2), a.shape(3)})};
  for (std::int64_t i = 0; i < a.size(); ++i) {
    p.re[i] = a[i].real();
    p.im[i] = a[i].imag();
  }
  return p;
}

Array<Complex> join(const Plane& p) {
  Array<Complex> a({1, 1, p.re.shape(0), p.re.shape(1)});
  for (std::int64_t i = 0; i < a.size(); ++i) a[i] = {p.re[i], p.im[i]};
  return a;
}

}  // namespace

TEST_CASE("lines of k-space are rows of the transform along the first axis, and back") {
  for (const std::int64_t n : {1, 6, 35, 51, 64, 202}) {  // products of matrices, and transforms
    CAPTURE(n);
    const auto image = complex_noise({1, 1, n, 21}, 41);
    const auto want = slow_transform(image, 2, -1);
    const PhaseEncode encode(n);
    const auto plane = split(image);
    Plane lines{Array<float>({n, 21}), Array<float>({n, 21})};
    encode.forward(plane.re.data(), plane.im.data(), 21, 21, all_lines(n), lines.re.data(),
                   lines.im.data());
    CHECK(distance(join(lines), want) < 2e-6 * norm(image));
    encode.inverse(lines.re.data(), lines.im.data(), 21, 21);
    CHECK(distance(join(lines), image) < 2e-6 * norm(image));
  }
}

TEST_CASE("only the lines asked for are written; a real image has no imaginary part") {
  for (const std::int64_t n : {35, 202}) {
    const auto real = noise({n, 5}, 43);
    Array<Complex> image({1, 1, n, 5});
    std::copy(real.begin(), real.end(), image.begin());
    const auto want = slow_transform(image, 2, -1);
    Array<float> re({n, 5}), im({n, 5});
    const std::vector<int> asked = {0, 3, 11, 17, 34};
    PhaseEncode(n).forward(real.data(), nullptr, 5, 5, asked, re.data(), im.data());
    for (std::int64_t line = 0; line < n; ++line) {
      const bool written = std::count(asked.begin(), asked.end(), line) > 0;
      for (std::int64_t c = line * 5; c < line * 5 + 5; ++c)
        CHECK(std::abs(Complex(re[c], im[c]) - (written ? want[c] : Complex(0))) < 1e-5);
    }
  }
}

TEST_CASE("a filter multiplies lines by their weights") {
  for (const std::int64_t n : {1, 35, 51, 64, 202}) {
    CAPTURE(n);
    std::vector<Wide> weights;
    for (std::int64_t k = 0; k < n; ++k)
      weights.emplace_back(0.1 * static_cast<double>(k), 1 - 0.03 * static_cast<double>(k));
    const auto image = complex_noise({1, 1, n, 19}, 45);
    auto want = slow_transform(image, 2, -1);
    for (std::int64_t i = 0; i < want.size(); ++i)
      want[i] = Complex(Wide(want[i]) * weights[static_cast<std::size_t>(i / 19)]);
    want = slow_transform(want, 2, 1);
    auto plane = split(image);
    LineFilter(weights).apply(plane.re.data(), plane.im.data(), 19, 19, false);
    CHECK(distance(join(plane), want) < 2e-6 * norm(want));
  }
}

TEST_CASE("a filter takes a real image as one without an imaginary part") {
  for (const std::int64_t n : {35, 202}) {
    const std::vector<Wide> weights(static_cast<std::size_t>(n), Wide(0, 2));
    Plane plane{noise({n, 4}, 47), noise({n, 4}, 48)};  // what lies in im before is not looked at
    const auto before = plane.re;
    LineFilter(weights).apply(plane.re.data(), plane.im.data(), 4, 4, true);
    CHECK(norm(plane.re) < 1e-5 * norm(before));
    for (std::int64_t i = 0; i < before.size(); ++i)
      CHECK(plane.im[i] == doctest::Approx(2 * before[i]).epsilon(1e-4));
  }
}

TEST_CASE("columns are transformed tile by tile, also some of wider rows") {
  const std::int64_t n = 202, stride = 75, first = 2, columns = 70;  // tiles of 32, 32 and 6
  std::vector<Wide> weights;
  for (std::int64_t k = 0; k < n; ++k) weights.emplace_back(1.0 / static_cast<double>(k + 1), 0.2);
  const auto image = complex_noise({1, 1, n, stride}, 49);
  auto want = slow_transform(image, 2, -1);
  for (std::int64_t i = 0; i < want.size(); ++i)
    want[i] = Complex(Wide(want[i]) * weights[static_cast<std::size_t>(i / stride)]);
  want = slow_transform(want, 2, 1);
  for (std::int64_t i = 0; i < want.size(); ++i)
    if (i % stride < first || i % stride >= first + columns) want[i] = image[i];
  auto plane = split(image);
  LineFilter(weights).apply(plane.re.data() + first, plane.im.data() + first, stride, columns,
                            false);
  CHECK(distance(join(plane), want) < 2e-6 * norm(want));
}

TEST_CASE("a phase ramp turns each sample by its own angle, over thousands of them") {
  const std::int64_t n = 5003;
  for (const double step : {0.0, 0.7, -2.9}) {
    std::vector<float> re(static_cast<std::size_t>(n), 3), im(static_cast<std::size_t>(n), -1);
    multiply_phase_ramp(0.4, step, n, re.data(), im.data());
    for (std::size_t x = 0; x < re.size(); ++x) {
      const auto want = Wide(3, -1) * std::polar(1.0, 0.4 + step * static_cast<double>(x));
      REQUIRE(std::abs(Wide(re[x], im[x]) - want) < 2e-6);
    }
  }
}

// ---- shots ----

namespace {

ShotOptions shots(LineOrder order, int echo_train) {
  ShotOptions options;
  options.order = order;
  options.echo_train = echo_train;
  options.key = mr::random_key(5, {"order"});
  return options;
}

std::vector<int> shot_of_line(const ShotTable& table) {
  std::vector<int> all;
  for (const auto& line : table.lines) all.push_back(line.shot);
  return all;
}

std::vector<int> echo_of_line(const ShotTable& table) {
  std::vector<int> all;
  for (const auto& line : table.lines) all.push_back(line.echo);
  return all;
}

}  // namespace

TEST_CASE("every order is a permutation: each place in each shot measures one line") {
  for (const auto& order : line_order_names())
    for (const int lines : {1, 8, 35, 64})
      for (const int echo_train : {1, 5, 8, 100}) {
        CAPTURE(order);
        CAPTURE(lines);
        CAPTURE(echo_train);
        const auto table = shot_table(lines, shots(parse_line_order(order), echo_train));
        REQUIRE(table.lines.size() == static_cast<std::size_t>(lines));
        std::set<std::pair<int, int>> places;
        for (const auto& line : table.lines) {
          places.emplace(line.shot, line.echo);
          CHECK(line.echo < table.options.echo_train);
          CHECK(line.time_ms == line.shot * 3000.0 + line.echo * 10.0);
        }
        CHECK(places.size() == table.lines.size());
        const int train = order == "mprage" ? 1 : echo_train;
        CHECK(table.shots == (lines + train - 1) / train);
      }
}

TEST_CASE("linear shots are neighbours; interleaved ones spread over k-space") {
  CHECK(shot_of_line(shot_table(6, shots(LineOrder::linear, 3))) ==
        std::vector<int>{0, 0, 0, 1, 1, 1});
  const auto table = shot_table(6, shots(LineOrder::interleaved, 3));
  CHECK(shot_of_line(table) == std::vector<int>{0, 1, 0, 1, 0, 1});
  CHECK(echo_of_line(table) == std::vector<int>{0, 0, 1, 1, 2, 2});
  CHECK(table.centre().shot == 1);
  CHECK(table.duration_ms() == 3000 + 2 * 10);
}

TEST_CASE("centre-out measures the centre first; segmented at the echo that is asked for") {
  const auto low_high = shot_table(64, shots(LineOrder::centre_out, 8));
  CHECK(low_high.centre().echo == 0);
  for (std::size_t line = 33; line < 64; ++line)  // echoes grow outwards
    CHECK(low_high.lines[line].echo >= low_high.lines[line - 1].echo);
  for (const int echo : {0, 3, 7}) {
    auto options = shots(LineOrder::segmented, 8);
    options.effective_echo = echo;
    CHECK(shot_table(64, options).centre().echo == echo);
  }
}

TEST_CASE("EPI reads every second line backwards; single-shot EPI takes them one after another") {
  const auto table = shot_table(8, shots(LineOrder::epi, 8));
  CHECK(table.shots == 1);
  CHECK(echo_of_line(table) == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
  for (std::size_t line = 0; line < 8; ++line) CHECK(table.lines[line].reversed == (line % 2 == 1));
}

TEST_CASE("random order: the centre in the first shot, and a permutation of its own for each key") {
  auto options = shots(LineOrder::random, 8);
  const auto one = shot_table(64, options);
  for (const int line : {31, 32, 33}) CHECK(one.lines[static_cast<std::size_t>(line)].shot == 0);
  CHECK(shot_of_line(shot_table(64, options)) == shot_of_line(one));
  options.key = mr::random_key(6, {"order"});
  CHECK(shot_of_line(shot_table(64, options)) != shot_of_line(one));
}

TEST_CASE("wrong shots are refused") {
  CHECK_THROWS_AS(shot_table(6, shots(LineOrder::linear, 0)), mr::DataError);
  auto options = shots(LineOrder::linear, 2);
  options.tr_ms = 0;
  CHECK_THROWS_AS(shot_table(6, options), mr::DataError);
  CHECK_THROWS_WITH_AS(parse_line_order("linaer"),
                       "unknown line order 'linaer'; did you mean 'linear'?", mr::UsageError);
}

TEST_CASE("slices of a repetition: every second one first, then those between") {
  CHECK(slice_delays_ms(5, "interleaved", 100) == std::vector<double>{0, 60, 20, 80, 40});
  CHECK(slice_delays_ms(4, "sequential", 100) == std::vector<double>{0, 25, 50, 75});
  CHECK(slice_delays_ms(4, "reverse", 100) == std::vector<double>{75, 50, 25, 0});
  CHECK_THROWS_AS(slice_delays_ms(4, "upwards", 100), mr::UsageError);
}

// ---- axes ----

TEST_CASE(
    "a filter along any axis multiplies k-space by its weights; a real image becomes complex") {
  for (const int axis : {0, 1, 2}) {
    CAPTURE(axis);
    auto re = noise({12, 35, 20}, 63);
    Array<Complex> image({1, 12, 35, 20});
    std::copy(re.begin(), re.end(), image.begin());
    std::vector<Wide> weights;
    for (std::int64_t k = 0; k < re.shape(axis); ++k)
      weights.emplace_back(0.1 * static_cast<double>(k), 1 - 0.03 * static_cast<double>(k));
    auto want = slow_transform(image, axis + 1, -1);
    std::int64_t stride = 1;
    for (int a = axis + 1; a < 3; ++a) stride *= re.shape(a);
    for (std::int64_t i = 0; i < want.size(); ++i)
      want[i] =
          Complex(Wide(want[i]) * weights[static_cast<std::size_t>(i / stride % re.shape(axis))]);
    want = slow_transform(want, axis + 1, 1);
    Array<float> im;
    AxisFilter(axis, weights).apply(re, im, 2);
    Array<Complex> got(image.shape());
    for (std::int64_t i = 0; i < got.size(); ++i) got[i] = {re[i], im[i]};
    CHECK(distance(got, want) < 2e-6 * norm(want));
    CHECK_THROWS_AS(AxisFilter(axis, {1.0}).apply(re, im, 1), mr::DataError);
  }
}

// ---- coils ----

namespace {

/// Biot and Savart's integral over the wire, by the rectangle rule, which converges exponentially
/// for a smooth periodic integrand.
Vector3 wire_integral(const Loop& loop, const Vector3& e1, const Vector3& e2,
                      const Vector3& point) {
  Vector3 sum{};
  const int n = 2000;
  for (int s = 0; s < n; ++s) {
    const double angle = 2 * pi * s / n;
    Vector3 d{}, to{};
    for (std::size_t i = 0; i < 3; ++i) {
      d[i] = loop.radius * (-std::sin(angle) * e1[i] + std::cos(angle) * e2[i]) * 2 * pi / n;
      to[i] = point[i] - loop.centre[i] -
              loop.radius * (std::cos(angle) * e1[i] + std::sin(angle) * e2[i]);
    }
    const double cube = std::pow(to[0] * to[0] + to[1] * to[1] + to[2] * to[2], 1.5);
    for (std::size_t i = 0; i < 3; ++i) {
      const std::size_t j = (i + 1) % 3, k = (i + 2) % 3;
      sum[i] += (d[j] * to[k] - d[k] * to[j]) / (4 * pi * cube);
    }
  }
  return sum;
}

}  // namespace

TEST_CASE("on its axis a loop's field is a^2 / 2 (a^2 + z^2)^(3/2) along the axis") {
  const Loop loop{{0.1, -0.2, 0.3}, {0, 0.6, 0.8}, 0.25};
  for (const double z : {-2.0, -0.3, 0.0, 0.01, 1.5}) {
    const auto b = loop_field(loop, {0.1, -0.2 + 0.6 * z, 0.3 + 0.8 * z});
    const double want = 0.25 * 0.25 / (2 * std::pow(0.25 * 0.25 + z * z, 1.5));
    CHECK(std::fabs(b[0]) < 1e-9 * want);
    CHECK(b[1] == doctest::Approx(0.6 * want).epsilon(1e-9));
    CHECK(b[2] == doctest::Approx(0.8 * want).epsilon(1e-9));
  }
}

TEST_CASE("off its axis a loop's field is the integral over its wire, near the axis too") {
  const Loop loop{{0.1, -0.2, 0.3}, {0, 0.6, 0.8}, 0.25};
  const Vector3 e1{1, 0, 0}, e2{0, 0.8, -0.6};  // e1 x e2 is the axis
  for (const Vector3& p :
       {Vector3{0.7, 0.4, -0.5}, Vector3{0.1, 0.0, 0.1}, Vector3{-3, 2, 1},
        Vector3{0.1 + 2e-5, -0.2 + 0.6, 0.3 + 0.8}, Vector3{0.1 + 2e-3, -0.2 + 0.6, 0.3 + 0.8}}) {
    const auto got = loop_field(loop, p), want = wire_integral(loop, e1, e2, p);
    const double size = std::sqrt(want[0] * want[0] + want[1] * want[1] + want[2] * want[2]);
    for (std::size_t i = 0; i < 3; ++i) CHECK(std::fabs(got[i] - want[i]) < 2e-9 * size);
  }
}

TEST_CASE("over a large slice sensitivities are those of the closed form, near the wires too") {
  const CoilGrid grid{{5, 150, 90}, {6, 1, 1.3}};
  for (const double distance : {1.45, 1.7, 2.6, 50.0}) {
    CAPTURE(distance);
    const auto loops = ring_of_loops(5, distance, 0.2, 0.4);
    double unit = 0;
    for (const auto& loop : loops) {
      const auto b = loop_field(loop, {0, 0, 0});
      unit += b[0] * b[0] + b[1] * b[1];
    }
    const auto s = loop_sensitivities(loops, grid, 1);
    const auto together = combined_sensitivity(loops, grid, 1);
    for (std::int64_t i = 0; i < 150 * 90; i += 7) {
      const double x = (static_cast<double>(i % 90) - 44.5) * 1.3 / 75;
      const double y = (static_cast<double>(i / 90) - 74.5) / 75;
      double sum = 0;
      for (std::size_t c = 0; c < loops.size(); ++c) {
        const auto b = loop_field(loops[c], {x, y, -6.0 / 75});
        const double size = std::hypot(b[0], b[1]);
        const auto got = s[static_cast<std::int64_t>(c) * 150 * 90 + i];
        REQUIRE(std::hypot(std::sqrt(unit) * static_cast<double>(got.real()) - b[0],
                           std::sqrt(unit) * static_cast<double>(got.imag()) - b[1]) < 3e-6 * size);
        sum += size * size;
      }
      REQUIRE(std::fabs(static_cast<double>(together[i]) * std::sqrt(unit / sum) - 1) < 5e-6);
    }
  }
}

TEST_CASE("sensitivities of a ring: RSS 1 in the middle, turned with the ring, by distance in mm") {
  const CoilGrid grid{{3, 21, 15}, {4, 1, 1.4}};  // 21 mm x 21 mm
  const auto s = loop_sensitivities(ring_of_loops(4), grid, 1);
  double sum = 0;
  for (std::int64_t c = 0; c < 4; ++c)
    sum += static_cast<double>(std::norm(s[(c * 21 + 10) * 15 + 7]));
  CHECK(sum == doctest::Approx(1).epsilon(1e-6));
  // A quarter turn takes each coil to the next; b_x + i b_y turns with it.
  for (const int d : {1, 5}) {
    const auto right = s[(0 * 21 + 10) * 15 + 7 + d];
    const auto p = loop_field(ring_of_loops(4)[1], {0, d * 1.4 / 10.5, 0});
    const auto q = loop_field(ring_of_loops(4)[0], {0, 0, 0});
    CHECK(static_cast<double>(right.real()) * p[1] > 0);
    CHECK(std::abs(right) ==
          doctest::Approx(std::hypot(p[0], p[1]) / (2 * std::hypot(q[0], q[1]))));
  }
  CHECK(std::abs(s[(0 * 21 + 10) * 15 + 14]) > 5 * std::abs(s[(0 * 21 + 10) * 15 + 0]));
}
