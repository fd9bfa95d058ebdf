#include "artifact/field/solid_harmonics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace mr::artifact {

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

/// Calls body(value) for each voxel of the foreground of any frame: coils see one field.
template <typename Body>
void HarmonicField::for_foreground(const Context& context, Body body) const {
  const auto& foreground = context.facts.foreground;
  const auto voxels = size_[0] * size_[1] * size_[2];
  for (std::int64_t v = 0; v < voxels; ++v) {
    bool inside = false;
    for (std::int64_t i = v; i < foreground.size(); i += voxels) inside |= foreground[i] != 0;
    if (!inside) continue;
    const std::array<std::int64_t, 3> index = {v % size_[0], v / size_[0] % size_[1],
                                               v / size_[0] / size_[1]};
    Point x;
    for (std::size_t a = 0; a < 3; ++a)
      x[a] = static_cast<double>(index[a] - size_[a] / 2) * spacing_[a];
    body(at(x));
  }
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

  double n = 0, sum = 0, squares = 0;
  for_foreground(context, [&](double value) {
    n += 1;
    sum += value;
  });
  if (n > 0) offset_ = -sum / n;
  for_foreground(context, [&](double value) {
    squares += value * value;
    peak_ = std::max(peak_, std::fabs(value));
  });
  if (!(peak_ > 1e-6))
    throw DataError(artifact + ": the foreground is too small for a field that varies");
  rms_ = std::sqrt(squares / n);
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
  Point x;
  x[s] = static_cast<double>(index - size_[s] / 2) * spacing_[s];
  for (std::int64_t line = 0; line < size_[p]; ++line) {
    x[p] = static_cast<double>(line - size_[p] / 2) * spacing_[p];
    for (std::int64_t sample = 0; sample < size_[r]; ++sample) {
      x[r] = static_cast<double>(sample - size_[r] / 2) * spacing_[r];
      out[line * size_[r] + sample] = static_cast<float>(at(x));
    }
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
