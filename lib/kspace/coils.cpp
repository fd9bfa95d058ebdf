#include "kspace/coils.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/simd.h"

namespace mr::kspace {
namespace {

constexpr double pi = 3.14159265358979323846;

double dot(const Vector3& a, const Vector3& b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

constexpr std::int64_t at_once = 8;  // points side by side

/// Complete elliptic integrals K(m), E(m) of 1 - m = complement, by the arithmetic-geometric mean,
/// which converges quadratically (Abramowitz and Stegun 1964, 17.6): six steps give double
/// precision up to m = 1 - 1e-8.
MR_SIMD void elliptic(const double* complement, double* first, double* second) {
  double mean[at_once], other[at_once], sum[at_once];
  for (std::int64_t l = 0; l < at_once; ++l) {
    mean[l] = 1;
    other[l] = std::sqrt(complement[l]);
    sum[l] = (1 - complement[l]) / 2;
  }
  double power = 0.5;
  for (int step = 0; step < 6; ++step) {
    power *= 2;
    for (std::int64_t l = 0; l < at_once; ++l) {
      const double c = (mean[l] - other[l]) / 2, next = (mean[l] + other[l]) / 2;
      other[l] = std::sqrt(mean[l] * other[l]);
      mean[l] = next;
      sum[l] += power * c * c;
    }
  }
  for (std::int64_t l = 0; l < at_once; ++l) {
    first[l] = pi / (2 * mean[l]);
    second[l] = first[l] * (1 - sum[l]);
  }
}

/// Field of a loop of radius a at distances r from its axis and z from its plane, point by point:
/// along the axis, and away from it divided by r.
MR_SIMD void fields_at(double a, const double* r, const double* z, double* radial_by_r,
                       double* axial) {
  double complement[at_once], first[at_once], second[at_once];
  for (std::int64_t l = 0; l < at_once; ++l) {
    const double near = (a - r[l]) * (a - r[l]) + z[l] * z[l];
    complement[l] = near / ((a + r[l]) * (a + r[l]) + z[l] * z[l]);
  }
  elliptic(complement, first, second);
  for (std::int64_t l = 0; l < at_once; ++l) {
    const double rr = r[l] * r[l], zz = z[l] * z[l];
    const double far = (a + r[l]) * (a + r[l]) + zz;
    const double by_near = second[l] / (far * complement[l]);
    const double scale = 1 / (2 * pi * std::sqrt(far));
    axial[l] = scale * (first[l] + (a * a - rr - zz) * by_near);
    // Close to the axis the radial terms cancel each other: there, their first order.
    const double squares = a * a + zz;
    const double close = 0.75 * a * a * z[l] / (squares * squares * std::sqrt(squares));
    const double apart =
        scale * z[l] / std::max(rr, 1e-300) * ((a * a + rr + zz) * by_near - first[l]);
    radial_by_r[l] = rr < 1e-8 * squares ? close : apart;
  }
}

/// A point from the axis of a loop, at right angles; along: from the loop's plane.
Vector3 from_axis(const Loop& loop, const Vector3& point, double& along) {
  Vector3 from{};
  for (std::size_t a = 0; a < 3; ++a) from[a] = point[a] - loop.centre[a];
  along = dot(from, loop.axis);
  for (std::size_t a = 0; a < 3; ++a) from[a] -= along * loop.axis[a];
  return from;
}

double root_of_squares(const std::vector<Loop>& loops, const Vector3& point) {
  double sum = 0;
  for (const auto& loop : loops) {
    const auto b = loop_field(loop, point);
    sum += b[0] * b[0] + b[1] * b[1];
  }
  return std::sqrt(sum);
}

double distance_from_wire(const Loop& loop, const Vector3& point) {
  double along = 0;
  const auto out = from_axis(loop, point, along);
  return std::hypot(std::sqrt(dot(out, out)) - loop.radius, along);
}

/// Field b_x, b_y of a loop at `at_once` points of a row.
void fields_in_row(const Loop& loop, const double* x, double y, double z, double* b_x,
                   double* b_y) {
  alignas(64) double away_x[at_once], away_y[at_once], r[at_once], along[at_once];
  alignas(64) double radial_by_r[at_once], axial[at_once];
  const double from_y = y - loop.centre[1], from_z = z - loop.centre[2];
  for (std::int64_t l = 0; l < at_once; ++l) {
    const double from_x = x[l] - loop.centre[0];
    along[l] = from_x * loop.axis[0] + from_y * loop.axis[1] + from_z * loop.axis[2];
    away_x[l] = from_x - along[l] * loop.axis[0];
    away_y[l] = from_y - along[l] * loop.axis[1];
    const double away_z = from_z - along[l] * loop.axis[2];
    r[l] = std::sqrt(away_x[l] * away_x[l] + away_y[l] * away_y[l] + away_z * away_z);
  }
  fields_at(loop.radius, r, along, radial_by_r, axial);
  for (std::int64_t l = 0; l < at_once; ++l) {
    b_x[l] = axial[l] * loop.axis[0] + radial_by_r[l] * away_x[l];
    b_y[l] = axial[l] * loop.axis[1] + radial_by_r[l] * away_y[l];
  }
}

constexpr std::int64_t nodes = 8, largest_tile = 64, smallest_tile = 16;  // voxels along a side
static_assert(nodes == at_once && smallest_tile % lane_count == 0);

/// The polynomial through values at Chebyshev's nodes of a row of voxels.
struct Interpolation {
  std::array<double, nodes> place{};  // of the nodes [voxel], from the first one
  Array<float> weights;               // [nodes, voxels]

  explicit Interpolation(std::int64_t voxels) : weights({nodes, voxels}) {
    const double half = static_cast<double>(voxels - 1) / 2;
    for (std::size_t i = 0; i < nodes; ++i)
      place[i] = half * (1 - std::cos(pi * (static_cast<double>(i) + 0.5) / nodes));
    for (std::size_t i = 0; i < nodes; ++i)
      for (std::int64_t x = 0; x < voxels; ++x) {
        double product = 1;
        for (std::size_t j = 0; j < nodes; ++j)
          if (j != i) product *= (static_cast<double>(x) - place[j]) / (place[i] - place[j]);
        weights[static_cast<std::int64_t>(i) * voxels + x] = static_cast<float>(product);
      }
  }
};

/// One row of a tile: at_nodes [nodes, nodes], rows first; weights [nodes, voxels] as of the
/// interpolation.
MR_SIMD void interpolate_row(const float* at_nodes, const float* weights, std::int64_t voxels,
                             std::int64_t row, float* out) {
  float across[nodes] = {};
  for (std::int64_t j = 0; j < nodes; ++j)
    for (std::int64_t i = 0; i < nodes; ++i)
      across[i] += weights[j * voxels + row] * at_nodes[j * nodes + i];
  const auto* w = reinterpret_cast<const Lanes*>(weights);
  auto* to = reinterpret_cast<Lanes*>(out);
  const auto groups = voxels / lane_count;
  for (std::int64_t g = 0; g < groups; ++g) {
    Lanes sum = across[0] * w[g];
    for (std::int64_t i = 1; i < nodes; ++i) sum += across[i] * w[i * groups + g];
    to[g] = sum;
  }
}

MR_SIMD void scale_pairs(float scale, const float* re, const float* im, std::int64_t n,
                         float* pairs) {
  for (std::int64_t i = 0; i < n; ++i) {
    pairs[2 * i] = scale * re[i];
    pairs[2 * i + 1] = scale * im[i];
  }
}

MR_SIMD void take_roots(const float* squares, std::int64_t n, float* roots) {
  for (std::int64_t i = 0; i < n; ++i) roots[i] = __builtin_sqrtf(squares[i]);
}

/// One or two numbers that depend on where a voxel of a slice lies. They are analytic but for the
/// wires, so that polynomials converge the faster the smaller a tile of voxels is against its
/// distance from them (Trefethen 2013, Approximation Theory and Approximation Practice, ch. 8).
class SliceOfFields {
 public:
  static constexpr std::size_t most = 2;
  using Points = std::array<std::array<double, at_once>, most>;
  /// `at_once` points of a row
  using Sample = std::function<void(const double* x, double y, double z, Points& values)>;
  /// numbers of `count` voxels from (row, column) on, each from values[number]
  using Write = std::function<void(std::int64_t row, std::int64_t column, std::int64_t count,
                                   const std::array<const float*, most>& values)>;

  SliceOfFields(const CoilGrid& grid, std::int64_t slice, std::size_t numbers)
      : rows_(grid.size[1]), columns_(grid.size[2]), numbers_(numbers) {
    const double half = std::max(static_cast<double>(rows_) * grid.spacing_mm[1],
                                 static_cast<double>(columns_) * grid.spacing_mm[2]) /
                        2;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      step_[axis] = grid.spacing_mm[axis] / half;
      first_[axis] = -static_cast<double>(grid.size[axis] - 1) / 2 * step_[axis];
    }
    z_ = first_[0] + static_cast<double>(slice) * step_[0];
    for (auto size = largest_tile; size >= smallest_tile; size /= 2) tilings_.emplace_back(size);
  }

  void fill(const std::vector<Loop>& loops, const Sample& sample, const Write& write) const {
    std::size_t level = 0;
    for (; level < tilings_.size(); ++level)
      if (size_of(level) <= std::min(rows_, columns_)) break;
    if (level == tilings_.size()) return fill_exactly(0, 0, rows_, columns_, sample, write);
    const auto size = size_of(level);
    // The last tile of a row or column may overlap the one before it.
    for (std::int64_t y = 0; y < rows_; y += size)
      for (std::int64_t x = 0; x < columns_; x += size)
        fill_tile({loops, sample, write}, level, std::min(y, rows_ - size),
                  std::min(x, columns_ - size));
  }

 private:
  struct Task {
    const std::vector<Loop>& loops;
    const Sample& sample;
    const Write& write;
  };

  static std::int64_t size_of(std::size_t level) { return largest_tile >> level; }
  double x_at(double column) const { return first_[2] + column * step_[2]; }
  double y_at(double row) const { return first_[1] + row * step_[1]; }

  /// Whether the wires are so far that the polynomials are true to 1e-6: a point at distance d from
  /// the middle of a row of half width h lies on or beyond the ellipse of convergence e^acosh(d /
  /// h).
  bool is_smooth(const std::vector<Loop>& loops, std::int64_t size, std::int64_t row,
                 std::int64_t column) const {
    const double middle = static_cast<double>(size - 1) / 2;
    const double a = middle * step_[1], b = middle * step_[2];
    const Vector3 centre{x_at(static_cast<double>(column) + middle),
                         y_at(static_cast<double>(row) + middle), z_};
    return std::all_of(loops.begin(), loops.end(), [&](const Loop& loop) {
      return distance_from_wire(loop, centre) >= 4.5 * std::max(a, b) + std::min(a, b);
    });
  }

  void fill_tile(const Task& task, std::size_t level, std::int64_t row, std::int64_t column) const {
    const auto size = size_of(level), half = size / 2;
    if (is_smooth(task.loops, size, row, column))
      interpolate_tile(task, level, row, column);
    else if (size == smallest_tile)
      fill_exactly(row, column, size, size, task.sample, task.write);
    else
      for (const auto y : {row, row + half})
        for (const auto x : {column, column + half}) fill_tile(task, level + 1, y, x);
  }

  void interpolate_tile(const Task& task, std::size_t level, std::int64_t row,
                        std::int64_t column) const {
    const auto size = size_of(level);
    const auto& tiling = tilings_[level];
    std::array<double, nodes> x{};
    for (std::size_t i = 0; i < nodes; ++i)
      x[i] = x_at(static_cast<double>(column) + tiling.place[i]);
    std::array<std::array<float, nodes * nodes>, most> at_nodes;
    Points points;
    for (std::size_t j = 0; j < nodes; ++j) {
      task.sample(x.data(), y_at(static_cast<double>(row) + tiling.place[j]), z_, points);
      for (std::size_t v = 0; v < numbers_; ++v)
        std::copy(points[v].begin(), points[v].end(), at_nodes[v].begin() + j * nodes);
    }
    alignas(64) std::array<std::array<float, largest_tile>, most> values;
    for (std::int64_t y = 0; y < size; ++y) {
      for (std::size_t v = 0; v < numbers_; ++v)
        interpolate_row(at_nodes[v].data(), tiling.weights.data(), size, y, values[v].data());
      task.write(row + y, column, size, {values[0].data(), values[1].data()});
    }
  }

  void fill_exactly(std::int64_t row, std::int64_t column, std::int64_t rows, std::int64_t columns,
                    const Sample& sample, const Write& write) const {
    std::array<double, at_once> x{};
    Points points;
    std::array<std::array<float, at_once>, most> values;
    for (auto at = column; at < column + columns; at += at_once) {
      for (std::size_t i = 0; i < at_once; ++i)
        x[i] = x_at(static_cast<double>(at) + static_cast<double>(i));
      for (auto y = row; y < row + rows; ++y) {
        sample(x.data(), y_at(static_cast<double>(y)), z_, points);
        for (std::size_t v = 0; v < numbers_; ++v)
          std::copy(points[v].begin(), points[v].end(), values[v].begin());
        write(y, at, std::min(at_once, column + columns - at),
              {values[0].data(), values[1].data()});
      }
    }
  }

  std::int64_t rows_, columns_;
  std::size_t numbers_;       // of a voxel
  Vector3 first_{}, step_{};  // of the voxels: z, y, x
  double z_ = 0;
  std::vector<Interpolation> tilings_;  // of tiles of 64, 32, 16
};

}  // namespace

std::vector<Loop> ring_of_loops(int count, double distance, double radius, double first_rad) {
  std::vector<Loop> loops;
  for (int c = 0; c < count; ++c) {
    const double angle = first_rad + 2 * pi * c / count;
    const Vector3 outwards{std::cos(angle), std::sin(angle), 0};
    loops.push_back({{distance * outwards[0], distance * outwards[1], 0},
                     {-outwards[0], -outwards[1], 0},
                     radius});
  }
  return loops;
}

Vector3 loop_field(const Loop& loop, const Vector3& point) {
  double r[at_once] = {}, z[at_once] = {}, radial_by_r[at_once], axial[at_once];
  const auto out = from_axis(loop, point, z[0]);
  r[0] = std::sqrt(dot(out, out));
  fields_at(loop.radius, r, z, radial_by_r, axial);
  Vector3 field{};
  for (std::size_t i = 0; i < 3; ++i) field[i] = axial[0] * loop.axis[i] + radial_by_r[0] * out[i];
  return field;
}

Array<std::complex<float>> loop_sensitivities(const std::vector<Loop>& loops, const CoilGrid& grid,
                                              std::int64_t slice) {
  const double scale = 1 / root_of_squares(loops, {0, 0, 0});
  const auto rows = grid.size[1], columns = grid.size[2];
  const SliceOfFields fields(grid, slice, 2);
  Array<std::complex<float>> out({static_cast<std::int64_t>(loops.size()), rows, columns});
  auto* plane = out.data();
  for (const auto& loop : loops) {
    fields.fill(
        {loop},
        [&](const double* x, double y, double z, SliceOfFields::Points& b) {
          fields_in_row(loop, x, y, z, b[0].data(), b[1].data());
        },
        [&](std::int64_t row, std::int64_t column, std::int64_t count, const auto& b) {
          scale_pairs(static_cast<float>(scale), b[0], b[1], count,
                      reinterpret_cast<float*>(plane + row * columns + column));
        });
    plane += rows * columns;
  }
  return out;
}

Array<float> combined_sensitivity(const std::vector<Loop>& loops, const CoilGrid& grid,
                                  std::int64_t slice) {
  const double scale = 1 / root_of_squares(loops, {0, 0, 0});
  const auto rows = grid.size[1], columns = grid.size[2];
  Array<float> out({rows, columns});
  // The sum of squares, not its root, is analytic as far as the wires.
  const auto sample = [&](const double* x, double y, double z, SliceOfFields::Points& squares) {
    squares = {};
    for (const auto& loop : loops) {
      SliceOfFields::Points b;
      fields_in_row(loop, x, y, z, b[0].data(), b[1].data());
      for (std::size_t l = 0; l < at_once; ++l)
        squares[0][l] += scale * scale * (b[0][l] * b[0][l] + b[1][l] * b[1][l]);
    }
  };
  const auto write = [&](std::int64_t row, std::int64_t column, std::int64_t count,
                         const auto& squares) {
    take_roots(squares[0], count, out.data() + row * columns + column);
  };
  SliceOfFields(grid, slice, 1).fill(loops, sample, write);
  return out;
}

}  // namespace mr::kspace
