// A smooth field drawn over the image: as fields are whose sources lie outside of it.
#pragma once
#include <array>
#include <string>

#include "artifact/engine.h"

namespace mr::artifact {

/// Sum of the solid harmonics of orders 1 to 3, each with a normal coefficient, less its mean over
/// the foreground (which the scanner takes as its centre frequency or phase). Coordinates count
/// from voxel n / 2 of each stored axis, in halves of the longest side of the image.
/// source  Romeo and Hoult 1984, Magn Reson Med 1:44, table 1 (fields that obey Laplace's equation)
class HarmonicField {
 public:
  static constexpr std::size_t terms = 15;

  /// throws DataError naming the artifact when the field does not vary over the foreground
  HarmonicField(const Context& context, const std::string& purpose, const std::string& artifact);

  struct Measure {
    double peak, rms;  // of the foreground
  };
  Measure measure() const { return {peak_, rms_}; }
  void scale(double factor);
  Array<float> slice(std::int64_t index) const;  // [lines, readout]

  /// {coefficients, in the order of solid_harmonics(), offset, unit_mm}
  Record record() const;

 private:
  using Point = std::array<double, 3>;  // along i, j, k
  using Cubic = std::array<double, 4>;  // coefficients of 1, x, x^2, x^3
  double at(const Point& x) const;
  /// The field along a line, as a function of coordinate `axis`; x holds the other two.
  Cubic along(std::size_t axis, Point x) const;
  std::vector<double> coordinates(std::size_t axis) const;

  Roles roles_;
  std::array<std::int64_t, 3> size_{};
  std::array<double, 3> spacing_{};  // in units
  std::array<double, terms> coefficients_{};
  double offset_ = 0, unit_mm_ = 1, peak_ = 0, rms_ = 0;
};

/// The 15 real solid harmonics of orders 1, 2 and 3, not normalised.
std::array<double, HarmonicField::terms> solid_harmonics(double x, double y, double z);

}  // namespace mr::artifact
