#include "artifact/object/smooth_field.h"

#include <cmath>

#include "artifact/export/intensity.h"
#include "artifact/rows.h"
#include "base/simd.h"
#include "base/threads.h"

namespace mr::artifact {

namespace {

constexpr double pi = 3.14159265358979323846;

double cosine(std::size_t order, std::int64_t index, std::int64_t n) {
  return std::cos(pi * static_cast<double>(order) * (static_cast<double>(index) + 0.5) /
                  static_cast<double>(n));
}

/// out = sum of c[order] cosines[order][x] over four orders.
MR_SIMD void sum_series(const double* c, const double* cosines, std::int64_t n, double* out) {
  for (std::int64_t x = 0; x < n; ++x)
    out[x] = c[0] * cosines[x] + c[1] * cosines[n + x] + c[2] * cosines[2 * n + x] +
             c[3] * cosines[3 * n + x];
}

MR_SIMD void unite(const std::uint8_t* foreground, const float* fat, std::int64_t n,
                   std::uint8_t* object) {
  for (std::int64_t i = 0; i < n; ++i)
    object[i] = foreground[i] | static_cast<std::uint8_t>(fat[i] >= 0.5f);
}

struct Phasor {
  float re, im;
};

inline Phasor phasor(float re, float im) {
  const float size = __builtin_sqrtf(re * re + im * im);
  const bool has_phase = size > 0;
  const float per_size = 1 / (has_phase ? size : 1.0f);
  return {has_phase ? re * per_size : 1.0f, im * per_size};
}

MR_SIMD void add_complex(const float* signal, std::int64_t n, float* re, float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto along = phasor(re[i], im[i]);
    re[i] += signal[i] * along.re;
    im[i] += signal[i] * along.im;
  }
}

MR_SIMD void add_real(const float* signal, std::int64_t n, float* re) {
  for (std::int64_t i = 0; i < n; ++i) re[i] += signal[i];
}

MR_SIMD void replace_complex(const std::uint8_t* replaced, const float* signal, std::int64_t n,
                             float* re, float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto along = phasor(re[i], im[i]);
    const float new_re = signal[i] * along.re, new_im = signal[i] * along.im;
    re[i] = replaced[i] != 0 ? new_re : re[i];
    im[i] = replaced[i] != 0 ? new_im : im[i];
  }
}

MR_SIMD void replace_real(const std::uint8_t* replaced, const float* signal, std::int64_t n,
                          float* re) {
  for (std::int64_t i = 0; i < n; ++i) re[i] = replaced[i] != 0 ? signal[i] : re[i];
}

}  // namespace

SmoothField::SmoothField(const Context& context, RandomKey key, int order)
    : readout_(context.readout()),
      slice_cosine_(static_cast<std::size_t>(context.slices())),
      line_cosine_(static_cast<std::size_t>(context.lines())),
      readout_cosine_(orders_ * static_cast<std::size_t>(readout_)) {
  for (std::size_t order_along = 0; order_along < orders_; ++order_along) {
    for (std::int64_t i = 0; i < context.slices(); ++i)
      slice_cosine_[static_cast<std::size_t>(i)][order_along] =
          cosine(order_along, i, context.slices());
    for (std::int64_t i = 0; i < context.lines(); ++i)
      line_cosine_[static_cast<std::size_t>(i)][order_along] =
          cosine(order_along, i, context.lines());
    for (std::int64_t i = 0; i < readout_; ++i)
      readout_cosine_[order_along * static_cast<std::size_t>(readout_) +
                      static_cast<std::size_t>(i)] = cosine(order_along, i, readout_);
  }
  // The index of a coefficient does not depend on the axes' lengths.
  const auto orders = static_cast<std::size_t>(order) + 1;
  const auto along = [&](std::int64_t n) { return n > 1 ? orders : 1; };
  for (std::size_t a = 0; a < along(context.slices()); ++a)
    for (std::size_t b = 0; a + b < orders && b < along(context.lines()); ++b)
      for (std::size_t c = 0; a + b + c < orders && c < along(readout_); ++c)
        if (a + b + c > 0)
          terms_.push_back(
              {{a, b, c},
               normal(key, (a * orders + b) * orders + c) / static_cast<double>(a + b + c)});
  fill_coefficients();
}

void SmoothField::fill_coefficients() {
  for (const auto& term : terms_)
    coefficient_[term.order[0]][term.order[1]][term.order[2]] = term.coefficient;
}

SmoothField SmoothField::scaled(double factor) const {
  auto field = *this;
  for (auto& term : field.terms_) term.coefficient *= factor;
  field.fill_coefficients();
  return field;
}

void SmoothField::line(std::int64_t slice, std::int64_t line, double* out) const {
  const auto& along_slices = slice_cosine_[static_cast<std::size_t>(slice)];
  const auto& along_lines = line_cosine_[static_cast<std::size_t>(line)];
  Along series{};
  for (std::size_t a = 0; a < orders_; ++a)
    for (std::size_t b = 0; a + b < orders_; ++b) {
      const double weight = along_slices[a] * along_lines[b];
      for (std::size_t c = 0; c < orders_; ++c) series[c] += weight * coefficient_[a][b][c];
    }
  sum_series(series.data(), readout_cosine_.data(), readout_, out);
}

Record SmoothField::record() const {
  auto list = Record::list();
  for (const auto& term : terms_)
    list.push(Record::list(term.order[0], term.order[1], term.order[2], term.coefficient));
  return list;
}

MapSlices map_slices(const Context& context, Map map) {
  return {context, context.maps.at(map).voxels.data()};
}

StoredSlices<std::uint8_t> foreground_slices(const Context& context) {
  const auto frame = context.slices() * context.lines() * context.readout();
  return {context, context.facts.foreground.data() + context.frame * frame};
}

std::vector<std::uint8_t> object_with_fat(const Context& context) {
  const auto fat_map = map_slices(context, Map::fat);
  const auto foreground = foreground_slices(context);
  const auto slices = context.slices(), lines = context.lines(), readout = context.readout();
  std::vector<std::uint8_t> object(static_cast<std::size_t>(slices * lines * readout));
  parallel_for(context.threads, slices, [&](std::int64_t s) {
    std::vector<std::uint8_t> mask_copy;
    std::vector<float> fat_copy;
    auto* out = object.data() + s * lines * readout;
    for (std::int64_t y = 0; y < lines; ++y, out += readout)
      unite(foreground.line(s, y, mask_copy), fat_map.line(s, y, fat_copy), readout, out);
  });
  return object;
}

std::vector<double> object_quantiles(
    const Context& context, const std::vector<std::uint8_t>& object,
    const std::vector<double>& shares,
    const std::function<void(std::int64_t slice, std::int64_t line, double* out)>& body) {
  const auto readout = context.readout(), plane = context.lines() * readout;
  const auto of_slice = [&](std::int64_t s) {
    const auto* inside = object.data() + s * plane;
    const auto n = static_cast<std::size_t>(count_ones(inside, plane));
    std::vector<float> values(n + 1);  // one more, to write what is out
    std::vector<double> row(static_cast<std::size_t>(readout));
    float* next = values.data();
    for (std::int64_t y = 0; y < context.lines(); ++y, inside += readout) {
      if (count_ones(inside, readout) == 0) continue;
      body(s, y, row.data());
      for (std::size_t x = 0; x < row.size(); ++x) {
        *next = static_cast<float>(row[x]);
        next += inside[x];
      }
    }
    values.pop_back();
    return values;
  };
  std::vector<float> values;
  for (const auto& slice : parallel_map(context.threads, context.slices(), of_slice))
    values.insert(values.end(), slice.begin(), slice.end());
  std::vector<double> quantiles;
  for (const double share : shares) quantiles.push_back(quantile(values, share, context.threads));
  return quantiles;
}

void add_in_phase(const float* signal, std::int64_t n, float* re, float* im) {
  if (im)
    add_complex(signal, n, re, im);
  else
    add_real(signal, n, re);
}

void replace_in_phase(const std::uint8_t* replaced, const float* signal, std::int64_t n, float* re,
                      float* im) {
  if (im)
    replace_complex(replaced, signal, n, re, im);
  else
    replace_real(replaced, signal, n, re);
}

}  // namespace mr::artifact
