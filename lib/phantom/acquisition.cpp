#include "phantom/acquisition.h"

#include <algorithm>
#include <cmath>

namespace mr::phantom {
namespace {

constexpr double pi = 3.14159265358979323846;

Vec place(const image::Affine& a, double i, double j, double k) {
  const auto row = [&](int r) { return a[r][0] * i + a[r][1] * j + a[r][2] * k + a[r][3]; };
  return {row(0), row(1), row(2)};
}

/// Calls body(voxel index, its centre) for each voxel, in order of memory.
template <typename Body>
void each_voxel(const Geometry& geometry, Body body) {
  const auto a = affine(geometry);
  std::int64_t voxel = 0;
  for (int k = 0; k < geometry.slices; ++k)
    for (int j = 0; j < geometry.matrix; ++j)
      for (int i = 0; i < geometry.matrix; ++i) body(voxel++, place(a, i, j, k));
}

Shape with_first(std::int64_t n, const Shape& rest) {
  Shape shape{n};
  shape.insert(shape.end(), rest.begin(), rest.end());
  return shape;
}

}  // namespace

image::Affine affine(const Geometry& geometry) {
  const double p = geometry.in_plane_mm(), d = geometry.slice_spacing_mm();
  const double middle = (geometry.matrix - 1) / 2.0, last = (geometry.slices - 1) / 2.0;
  if (geometry.plane == Plane::coronal)
    return {{{-p, 0, 0, p * middle}, {0, 0, -d, d * last}, {0, p, 0, -p * middle}, {0, 0, 0, 1}}};
  return {{{0, 0, d, -d * last}, {-p, 0, 0, p * middle}, {0, p, 0, -p * middle}, {0, 0, 0, 1}}};
}

Rendering render(const Anatomy& anatomy, const Geometry& geometry) {
  constexpr int across = 3;
  constexpr float weight = 1.0f / (across * across);
  const auto a = affine(geometry);
  const double pixel_mm2 = geometry.in_plane_mm() * geometry.in_plane_mm();
  const double depth = geometry.thickness_mm / geometry.slice_spacing_mm();  // in slice spacings
  const double reach =
      0.5 * std::sqrt(2 * pixel_mm2 + Geometry::thickness_mm * Geometry::thickness_mm);
  Rendering out;
  out.share = Array<float>({geometry.slices, geometry.matrix, geometry.matrix, tissue_count});
  out.finding_mm2 = Array<double>({finding_count, geometry.slices});
  float* share = out.share.data();
  const auto add = [&](const Content& content, float part, int slice) {
    const auto added = static_cast<float>(content.share) * part;
    share[static_cast<int>(content.base)] += part - added;
    share[static_cast<int>(content.added)] += added;
    if (content.finding >= 0)
      out.finding_mm2[content.finding * geometry.slices + slice] += added * pixel_mm2;
  };
  for (int k = 0; k < geometry.slices; ++k)
    for (int j = 0; j < geometry.matrix; ++j)
      for (int i = 0; i < geometry.matrix; ++i, share += tissue_count) {
        const auto middle = anatomy.at(place(a, i, j, k));
        if (middle.clearance > reach) {  // the voxel lies within one tissue
          add(middle, 1, k);
          continue;
        }
        for (int n = 0; n < across * across; ++n) {
          // A Latin square: each row and each column of the nine points meets all three depths.
          const int x = n % across, y = n / across;
          const double di = (x + 0.5) / across - 0.5, dj = (y + 0.5) / across - 0.5;
          const double dk = depth * (((x + y) % across + 0.5) / across - 0.5);
          add(anatomy.at(place(a, i + di, j + dj, k + dk)), weight, k);
        }
      }
  return out;
}

Array<float> tissue_map(const Rendering& rendering) {
  const auto& s = rendering.share.shape();
  Array<float> out({s[0], s[1], s[2]});
  for (std::int64_t v = 0; v < out.size(); ++v) {
    const float* first = rendering.share.data() + v * tissue_count;
    out[v] = static_cast<float>(std::max_element(first, first + tissue_count) - first);
  }
  return out;
}

Array<float> fat_map(const Rendering& rendering) {
  const auto& s = rendering.share.shape();
  Array<float> out({s[0], s[1], s[2]});
  for (std::int64_t v = 0; v < out.size(); ++v) {
    double fat = 0, all = 0;
    for (int t = 0; t < tissue_count; ++t) {
      const auto& p = properties(static_cast<Tissue>(t));
      const auto protons =
          static_cast<double>(rendering.share[v * tissue_count + t]) * p.proton_density;
      fat += protons * p.fat_fraction;
      all += protons;
    }
    out[v] = all > 0 ? static_cast<float>(fat / all) : 0;
  }
  return out;
}

Array<float> spin_echo_image(const Rendering& rendering, const SpinEcho& spin_echo,
                             const Geometry& geometry, RandomKey texture) {
  std::array<float, tissue_count> value;
  for (int t = 0; t < tissue_count; ++t)
    value[t] = static_cast<float>(signal(static_cast<Tissue>(t), spin_echo));
  constexpr int waves = 12;
  const double amplitude = 0.03 * std::sqrt(2.0 / waves);  // standard deviation 0.03 in all
  std::array<Vec, waves> wave;                             // rad / mm, periods of 5 to 30 mm
  std::array<double, waves> phase;
  for (std::uint64_t w = 0; w < waves; ++w) {
    const Vec direction{normal(texture, 5 * w), normal(texture, 5 * w + 1),
                        normal(texture, 5 * w + 2)};
    wave[w] = 2 * pi / uniform(texture, 5 * w + 3, 5, 30) / norm(direction) * direction;
    phase[w] = uniform(texture, 5 * w + 4, 0, 2 * pi);
  }
  Array<float> out(geometry.shape());
  each_voxel(geometry, [&](std::int64_t v, const Vec& p) {
    const float* share = rendering.share.data() + v * tissue_count;
    if (share[static_cast<int>(Tissue::air)] == 1) return;
    double modulation = 1;
    for (int w = 0; w < waves; ++w) modulation += amplitude * std::cos(dot(wave[w], p) + phase[w]);
    float sum = 0;
    for (int t = 0; t < tissue_count; ++t) sum += share[t] * value[t];
    out[v] = static_cast<float>(modulation) * sum;
  });
  return out;
}

Array<Complex> sensitivities(const Geometry& geometry, int coils, RandomKey key) {
  constexpr double ring_mm = 95, reach_mm = 75;  // of the elements; of one element's sensitivity
  const double turn = uniform(key, 0, 0, 2 * pi);
  // |c| = 1 / (1 + d^2 / reach^2) each, so that the root sum of squares is 1 in the middle.
  const double scale = (1 + ring_mm * ring_mm / (reach_mm * reach_mm)) / std::sqrt(coils);
  const std::int64_t voxels = count(geometry.shape());
  Array<Complex> out(with_first(coils, geometry.shape()));
  for (int c = 0; c < coils; ++c) {
    const double angle = turn + 2 * pi * c / coils;
    const Vec element{ring_mm * std::cos(angle), ring_mm * std::sin(angle), 0};
    const double offset = uniform(key, static_cast<std::uint64_t>(c) + 1, 0, 2 * pi);
    each_voxel(geometry, [&](std::int64_t v, const Vec& p) {
      const Vec d = p - element;
      const double size = scale / (1 + dot(d, d) / (reach_mm * reach_mm));
      const double phase = offset + dot(element, p) / (ring_mm * ring_mm);
      out[c * voxels + v] = Complex(std::polar(size, phase));
    });
  }
  return out;
}

Array<Complex> receive(const Array<float>& signal, const Array<Complex>& sensitivity,
                       double noise_sd, RandomKey key) {
  Array<Complex> coils(sensitivity.shape());
  fill_normal(key, 0, reinterpret_cast<float*>(coils.data()),
              2 * static_cast<std::size_t>(coils.size()));
  const std::int64_t voxels = signal.size();
  for (std::int64_t n = 0; n < coils.size(); ++n)
    coils[n] = static_cast<float>(noise_sd) * coils[n] + signal[n % voxels] * sensitivity[n];
  return coils;
}

Array<float> root_sum_of_squares(const Array<Complex>& coils) {
  Shape shape = coils.shape();
  shape[0] = 1;
  Array<float> out(shape);
  for (std::int64_t n = 0; n < coils.size(); ++n) out[n % out.size()] += std::norm(coils[n]);
  for (auto& value : out) value = std::sqrt(value);
  return out;
}

Array<Complex> matched_filter(const Array<Complex>& coils, const Array<Complex>& sensitivity) {
  Shape shape = coils.shape();
  shape[0] = 1;
  Array<Complex> out(shape);
  const auto shading = root_sum_of_squares(sensitivity);
  for (std::int64_t n = 0; n < coils.size(); ++n)
    out[n % out.size()] += std::conj(sensitivity[n]) * coils[n];
  for (std::int64_t v = 0; v < out.size(); ++v)
    out[v] *= sensitivity[v] / (std::abs(sensitivity[v]) * shading[v]);
  return out;
}

}  // namespace mr::phantom
