#include "artifact/field/solid_harmonics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "artifact/field/foreground.h"
#include "artifact/rows.h"
#include "base/error.h"
#include "base/simd.h"
#include "base/threads.h"

namespace mr::artifact {
namespace {

MR_SIMD void evaluate(const double* c, const double* x, std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i)
    values[i] = static_cast<float>(c[0] + x[i] * (c[1] + x[i] * (c[2] + x[i] * c[3])));
}

/// Over the foreground; in lanes, so that the order of additions does not depend on the machine's
/// vector width.
using Doubles = double __attribute__((vector_size(sum_lanes * sizeof(double))));
using Bytes = std::uint8_t __attribute__((vector_size(sum_lanes)));

struct Moments {
  Doubles n{}, sum{}, squares{};
  Doubles least = Doubles{} + std::numeric_limits<double>::infinity();
  Doubles most = Doubles{} - std::numeric_limits<double>::infinity();

  void operator+=(const Moments& other) {
    n += other.n;
    sum += other.sum;
    squares += other.squares;
    least = other.least < least ? other.least : least;
    most = other.most > most ? other.most : most;
  }
};

double total(const Doubles& lanes) {
  double sum = 0;
  for (int l = 0; l < sum_lanes; ++l) sum += lanes[l];
  return sum;
}

/// Of whole lanes of voxels.
MR_SIMD void add_row(const std::uint8_t* mask, const double* c, const double* x, std::int64_t n,
                     Moments& moments) {
  Moments s = moments;
  const double c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];
  for (std::int64_t first = 0; first < n; first += sum_lanes) {
    Bytes bytes;
    Doubles at;
    __builtin_memcpy(&bytes, mask + first, sizeof bytes);
    __builtin_memcpy(&at, x + first, sizeof at);
    const auto m = __builtin_convertvector(bytes, Doubles);
    const Doubles value = m * (c0 + at * (c1 + at * (c2 + at * c3)));
    s.n += m;
    s.sum += value;
    s.squares += value * value;
    const Doubles low = m > 0 ? value : s.least, high = m > 0 ? value : s.most;
    s.least = low < s.least ? low : s.least;
    s.most = high > s.most ? high : s.most;
  }
  moments = s;
}

}  // namespace

std::array<double, HarmonicField::terms> solid_harmonics(double x, double y, double z) {
  const double xx = x * x, yy = y * y, zz = z * z;
  return {x,
          y,
          z,
          x * y,
          y * z,
          z * x,
          xx - yy,
          2 * zz - xx - yy,
          z * (2 * zz - 3 * xx - 3 * yy),
          x * (4 * zz - xx - yy),
          y * (4 * zz - xx - yy),
          z * (xx - yy),
          x * y * z,
          x * (xx - 3 * yy),
          y * (3 * xx - yy)};
}

double HarmonicField::at(const Point& x) const {
  const auto h = solid_harmonics(x[0], x[1], x[2]);
  return std::inner_product(h.begin(), h.end(), coefficients_.begin(), offset_);
}

HarmonicField::Cubic HarmonicField::along(std::size_t axis, Point x) const {
  const auto value = [&](double coordinate) {
    x[axis] = coordinate;
    return at(x);
  };
  const double before = value(-1), middle = value(0), after = value(1), far = value(2);
  const double even = (after + before) / 2 - middle, odd = (after - before) / 2;
  const double third = (far - middle - 4 * even - 2 * odd) / 6;
  return {middle, odd - third, even, third};
}

std::vector<double> HarmonicField::coordinates(std::size_t axis) const {
  std::vector<double> all;
  for (std::int64_t i = 0; i < size_[axis]; ++i)
    all.push_back(static_cast<double>(i - size_[axis] / 2) * spacing_[axis]);
  return all;
}

HarmonicField::HarmonicField(const Context& context, const std::string& purpose,
                             const std::string& artifact)
    : roles_(context.roles) {
  unit_mm_ = 0;
  for (std::size_t a = 0; a < 3; ++a) {
    size_[a] = context.volume.length(static_cast<int>(a));
    unit_mm_ = std::max(unit_mm_, static_cast<double>(size_[a]) * context.volume.spacing_mm[a] / 2);
  }
  for (std::size_t a = 0; a < 3; ++a) spacing_[a] = context.volume.spacing_mm[a] / unit_mm_;
  const auto key = context.stream(purpose);
  for (std::size_t t = 0; t < terms; ++t) coefficients_[t] = normal(key, t);

  const auto mask = foreground_of_any_frame(context);
  const auto i = coordinates(0), j = coordinates(1), k = coordinates(2);
  auto padded = i;
  padded.resize(static_cast<std::size_t>(whole_lanes(size_[0])));
  const auto of_plane = [&](std::int64_t plane) {
    Moments moments;
    PaddedRows<std::uint8_t> rows(size_[0]);
    const auto* row = mask.data() + plane * size_[1] * size_[0];
    for (const double y : j) {
      add_row(rows(row), along(0, {0, y, k[static_cast<std::size_t>(plane)]}).data(), padded.data(),
              whole_lanes(size_[0]), moments);
      row += size_[0];
    }
    return moments;
  };
  Moments lanes;
  for (const auto& plane : parallel_map(context.threads, size_[2], of_plane)) lanes += plane;
  const double n = total(lanes.n), mean = n > 0 ? total(lanes.sum) / n : 0;
  double least = lanes.least[0], most = lanes.most[0];
  for (int l = 1; l < sum_lanes; ++l) {
    least = std::min(least, lanes.least[l]);
    most = std::max(most, lanes.most[l]);
  }
  offset_ = -mean;
  peak_ = std::max(most - mean, mean - least);
  if (!(peak_ > 1e-6))
    throw DataError(artifact + ": the foreground is too small for a field that varies");
  rms_ = std::sqrt(std::max(0.0, total(lanes.squares) / n - mean * mean));
}

void HarmonicField::scale(double factor) {
  for (auto& c : coefficients_) c *= factor;
  offset_ *= factor;
  peak_ *= std::fabs(factor);
  rms_ *= std::fabs(factor);
}

Array<float> HarmonicField::slice(std::int64_t index) const {
  const auto s = static_cast<std::size_t>(roles_.slice);
  const auto p = static_cast<std::size_t>(roles_.phase_encode);
  const auto r = static_cast<std::size_t>(roles_.readout);
  Array<float> out({size_[p], size_[r]});
  Point x{};
  x[s] = static_cast<double>(index - size_[s] / 2) * spacing_[s];
  const auto samples = coordinates(r);
  for (std::int64_t line = 0; line < size_[p]; ++line) {
    x[p] = static_cast<double>(line - size_[p] / 2) * spacing_[p];
    evaluate(along(r, x).data(), samples.data(), size_[r], out.data() + line * size_[r]);
  }
  return out;
}

Record HarmonicField::record() const {
  return Record()
      .set("coefficients", coefficients_)
      .set("offset", offset_)
      .set("unit_mm", unit_mm_);
}

}  // namespace mr::artifact
