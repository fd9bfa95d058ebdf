#include "artifact/object/smooth_field.h"

#include <cmath>

#include "artifact/export/intensity.h"

namespace mr::artifact {

constexpr double pi = 3.14159265358979323846;

SmoothField::SmoothField(const Context& context, RandomKey key, int order)
    : size_{context.slices(), context.lines(), context.readout()} {
  const auto orders = static_cast<std::size_t>(order) + 1;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    cosine_[axis].resize(size_[axis] > 1 ? orders : 1);
    for (std::size_t a = 0; a < cosine_[axis].size(); ++a)
      for (std::int64_t i = 0; i < size_[axis]; ++i)
        cosine_[axis][a].push_back(
            std::cos(pi * static_cast<double>(a) * (static_cast<double>(i) + 0.5) /
                     static_cast<double>(size_[axis])));
  }
  // The index of a coefficient does not depend on the axes' lengths.
  for (std::size_t a = 0; a < orders; ++a)
    for (std::size_t b = 0; a + b < orders; ++b)
      for (std::size_t c = 0; a + b + c < orders; ++c) {
        const bool there = a < cosine_[0].size() && b < cosine_[1].size() && c < cosine_[2].size();
        if (a + b + c > 0 && there)
          terms_.push_back(
              {{a, b, c},
               normal(key, (a * orders + b) * orders + c) / static_cast<double>(a + b + c)});
      }
}

void SmoothField::line(std::int64_t slice, std::int64_t line, double* out) const {
  std::vector<double> along(cosine_[2].size());
  for (const auto& term : terms_)
    along[term.order[2]] += term.coefficient *
                            cosine_[0][term.order[0]][static_cast<std::size_t>(slice)] *
                            cosine_[1][term.order[1]][static_cast<std::size_t>(line)];
  for (std::size_t x = 0; x < static_cast<std::size_t>(size_[2]); ++x) {
    out[x] = 0;
    for (std::size_t c = 0; c < along.size(); ++c) out[x] += along[c] * cosine_[2][c][x];
  }
}

Record SmoothField::record() const {
  auto list = Record::list();
  for (const auto& term : terms_)
    list.push(Record::list(term.order[0], term.order[1], term.order[2], term.coefficient));
  return list;
}

MapSlices map_slices(const Context& context, Map map) {
  auto slices = std::make_shared<std::vector<Array<float>>>();
  for (std::int64_t s = 0; s < context.slices(); ++s)
    slices->push_back(map_slice(context, context.maps.at(map), s));
  return slices;
}

std::vector<std::uint8_t> object_with_fat(const Context& context) {
  const auto& volume = context.volume;
  const auto& fat = context.maps.at(Map::fat);
  const auto& roles = context.roles;
  const auto slices = context.slices(), lines = context.lines(), readout = context.readout();
  const auto first = context.frame * slices * lines * readout;
  std::vector<std::uint8_t> object;
  object.reserve(static_cast<std::size_t>(slices * lines * readout));
  for (std::int64_t s = 0; s < slices; ++s)
    for (std::int64_t y = 0; y < lines; ++y)
      for (std::int64_t x = 0; x < readout; ++x) {
        const auto i = s * stride(volume, roles.slice) + y * stride(volume, roles.phase_encode) +
                       x * stride(volume, roles.readout);
        object.push_back(context.facts.foreground[first + i] != 0 || fat.voxels[i] >= 0.5f);
      }
  return object;
}

double object_quantile(
    const Context& context, const std::vector<std::uint8_t>& object, double share,
    const std::function<void(std::int64_t slice, std::int64_t line, double* out)>& body) {
  std::vector<float> values;
  std::vector<double> row(static_cast<std::size_t>(context.readout()));
  auto inside = object.begin();
  for (std::int64_t s = 0; s < context.slices(); ++s)
    for (std::int64_t y = 0; y < context.lines(); ++y) {
      body(s, y, row.data());
      for (const double value : row)
        if (*inside++ != 0) values.push_back(static_cast<float>(value));
    }
  return quantile(values, share);
}

Phasor phasor(float re, const float* im, std::int64_t at) {
  if (!im) return {};
  const float size = std::hypot(re, im[at]);
  return size > 0 ? Phasor{re / size, im[at] / size} : Phasor{};
}

}  // namespace mr::artifact
