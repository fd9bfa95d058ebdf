#include "artifact/field/displacement.h"

#include <algorithm>
#include <cmath>

#include "artifact/field/solid_harmonics.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

/// Largest magnitude of a map within the foreground of any frame.
double peak_of(const image::Volume& map, const Context& context) {
  const auto& foreground = context.facts.foreground;
  const auto voxels = count(map.shape()) / map.frames();
  double peak = 0;
  for (std::int64_t i = 0; i < foreground.size(); ++i)
    if (foreground[i])
      peak = std::max(peak, std::fabs(static_cast<double>(map.voxels[i % voxels])));
  return peak;
}

}  // namespace

void displace_line(const float* distance, std::int64_t n, Ends ends, std::vector<double>& values) {
  const auto edge = [&](std::int64_t j) {  // between voxels j - 1 and j, before + 1/2 and after
    const auto before = static_cast<double>(distance[std::max(j - 1, std::int64_t{0})]);
    const auto after = static_cast<double>(distance[std::min(j, n - 1)]);
    return static_cast<double>(j) + (before + after) / 2;
  };
  std::vector<double> out(values.size(), 0.0);
  for (std::int64_t j = 0; j < n; ++j) {
    const double value = values[static_cast<std::size_t>(j)];
    const auto [low, high] = std::minmax({edge(j), edge(j + 1)});
    const auto first = static_cast<std::int64_t>(std::floor(low));
    const auto last = std::max(first, static_cast<std::int64_t>(std::ceil(high)) - 1);
    for (auto cell = first; cell <= last; ++cell) {
      if (ends == Ends::lose && (cell < 0 || cell >= n)) continue;
      const double covered =
          std::min(high, static_cast<double>(cell + 1)) - std::max(low, static_cast<double>(cell));
      const double share = first == last ? 1 : covered / (high - low);
      out[static_cast<std::size_t>((cell % n + n) % n)] += share * value;
    }
  }
  values.swap(out);
}

void displace(const Array<float>& distance, Role along, Ends ends, float* re, float* im) {
  const auto lines = distance.shape(0), readout = distance.shape(1);
  const bool by_readout = along == Role::readout;
  const auto n = by_readout ? readout : lines, others = by_readout ? lines : readout;
  const auto step = by_readout ? std::int64_t{1} : readout, apart = by_readout ? readout : 1;
  std::vector<float> moves(static_cast<std::size_t>(n));
  std::vector<double> values(moves.size());
  for (std::int64_t line = 0; line < others; ++line)
    for (float* part : {re, im}) {
      if (!part) continue;
      for (std::int64_t i = 0; i < n; ++i) {
        moves[static_cast<std::size_t>(i)] = distance[line * apart + i * step];
        values[static_cast<std::size_t>(i)] = static_cast<double>(part[line * apart + i * step]);
      }
      displace_line(moves.data(), n, ends, values);
      for (std::int64_t i = 0; i < n; ++i)
        part[line * apart + i * step] = static_cast<float>(values[static_cast<std::size_t>(i)]);
    }
}

std::function<Array<float>(std::int64_t slice)> displacement_by_field(const Context& context,
                                                                      const Values& values,
                                                                      const std::string& artifact,
                                                                      double peak, Record& record) {
  if (values.at("proxy") != 0) {
    HarmonicField field(context, "field", artifact);
    field.scale(peak / field.measure().peak);
    record.set("field", "drawn");
    record.set("displacement", field.record());
    return [field](std::int64_t slice) { return field.slice(slice); };
  }
  const auto& map = context.maps.at(Map::field);
  const double peak_hz = peak_of(map, context);
  if (!(peak_hz > 0 && std::isfinite(peak_hz)))
    throw DataError(artifact + ": the field map: want a field in the foreground, found at most " +
                    std::to_string(peak_hz) + " Hz");
  record.set("field", "map");
  record.set("hz_per_voxel", peak_hz / peak);
  return [map = &map, roles = context.roles, scale = peak / peak_hz](std::int64_t slice) {
    auto distance = map_slice(roles, *map, slice);
    for (auto& d : distance) d = static_cast<float>(scale * static_cast<double>(d));
    return distance;
  };
}

Drawn draw_distortion(const Context& context, const Values& values, const std::string& artifact,
                      Role along) {
  Drawn drawn;
  const auto distance =
      displacement_by_field(context, values, artifact, values.at("peak_px"), drawn.values);
  drawn.apply = [distance, along](Block& block, int threads) {
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      displace(distance(slice), along, Ends::wrap, re, im);
    });
  };
  return drawn;
}

}  // namespace mr::artifact
