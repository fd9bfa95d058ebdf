#include "artifact/export/intensity.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "artifact/rows.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

MR_SIMD void take_magnitude(const float* re, const float* im, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = __builtin_sqrtf(re[i] * re[i] + im[i] * im[i]);
}

/// Gives complex numbers of modulus `before` the modulus `after`; equal ones keep their bits.
MR_SIMD void set_magnitude(const float* before, const float* after, std::int64_t n, float* re,
                           float* im) {
  for (std::int64_t i = 0; i < n; ++i) {
    const bool stays = after[i] == before[i], has_phase = before[i] > 0;
    const float factor = after[i] / (has_phase ? before[i] : 1.0f);
    const float new_re = has_phase ? re[i] * factor : after[i];
    const float new_im = has_phase ? im[i] * factor : 0.0f;
    re[i] = stays ? re[i] : new_re;
    im[i] = stays ? im[i] : new_im;
  }
}

MR_SIMD void take_magnitude(const float* x, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = __builtin_fabsf(x[i]);
}

/// Of complex numbers, parts side by side.
MR_SIMD void take_complex_magnitude(const float* x, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = __builtin_sqrtf(x[2 * i] * x[2 * i] + x[2 * i + 1] * x[2 * i + 1]);
}

constexpr std::int64_t piece = 4096;  // voxels that stay in the first cache

/// Magnitudes of n voxels of the clean image from `first` on.
void read(const image::Volume& volume, std::int64_t first, std::int64_t n, float* out) {
  if (volume.is_complex())
    take_complex_magnitude(reinterpret_cast<const float*>(volume.complex_voxels.data() + first), n,
                           out);
  else
    take_magnitude(volume.voxels.data() + first, n, out);
}

/// Moves those that the mask (0 or 1) names to the front, and returns how many they are.
std::int64_t keep(const std::uint8_t* mask, std::int64_t n, float* values) {
  const auto inside = count_ones(mask, n);
  if (inside == 0 || inside == n) return inside;
  std::int64_t kept = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    values[kept] = values[i];
    kept += mask[i];
  }
  return kept;
}

MR_SIMD void add_up(const float* values, std::int64_t n, Lanes& sums) {
  constexpr std::int64_t lanes = lane_count;
  for (; n >= lanes; values += lanes, n -= lanes) {
    Lanes some;
    __builtin_memcpy(&some, values, sizeof some);
    sums += some;
  }
  for (int l = 0; l < n; ++l) sums[l] += values[l];
}

struct Counts {
  std::int32_t below = 0, at_low = 0, at_high = 0, above = 0;
};

MR_SIMD Counts count_about(float low, float high, const float* values, std::int64_t n) {
  Counts counts;
  for (std::int64_t i = 0; i < n; ++i) {
    counts.below += values[i] < low;
    counts.at_low += values[i] == low;
    counts.at_high += values[i] == high;
    counts.above += values[i] > high;
  }
  return counts;
}

/// A quantile of numbers that are seen once, in pieces: a sample of them says between which two it
/// must lie, and only those between are kept and sorted. Exact: where the sample misled, there is
/// no answer.
class Selection {
 public:
  Selection() = default;  // keeps all
  Selection(std::vector<float>& sample, double share) {
    const auto size = static_cast<double>(sample.size());
    const double rank = share * (size - 1), apart = 5 * std::sqrt(size * share * (1 - share)) + 5;
    const auto at = [&](double place) {
      const auto nth = sample.begin() + static_cast<std::ptrdiff_t>(place);
      std::nth_element(sample.begin(), nth, sample.end());
      return *nth;
    };
    if (rank - apart >= 0) low_ = at(rank - apart);
    if (rank + apart <= size - 1) high_ = at(rank + apart);
    if (low_ == high_) high_ = std::nextafter(high_, infinity);
  }

  void add(const float* values, std::int64_t n) {
    constexpr std::int64_t few = 512;
    std::array<float, few> between;
    for (; n > 0; values += few, n -= few) {
      const auto size = std::min(few, n);
      const auto counts = count_about(low_, high_, values, size);
      below_ += counts.below;
      at_low_ += counts.at_low;
      at_high_ += counts.at_high;
      above_ += counts.above;
      if (counts.below + counts.at_low + counts.at_high + counts.above == size) continue;
      std::size_t found = 0;
      for (std::int64_t i = 0; i < size; ++i) {
        between[found] = values[i];
        found += values[i] > low_ && values[i] < high_;
      }
      between_.insert(between_.end(), between.begin(), between.begin() + found);
    }
  }

  void add(const Selection& other) {
    below_ += other.below_;
    at_low_ += other.at_low_;
    at_high_ += other.at_high_;
    above_ += other.above_;
    between_.insert(between_.end(), other.between_.begin(), other.between_.end());
  }

  /// Hyndman and Fan's type 7.
  std::optional<double> quantile(double share) {
    const auto within = at_low_ + static_cast<std::int64_t>(between_.size()) + at_high_;
    const auto last = below_ + within + above_ - 1;
    const double rank = share * static_cast<double>(last);
    const auto lower = std::min(static_cast<std::int64_t>(rank), last);
    const auto upper = std::min(lower + 1, last);
    if (lower < below_ || upper >= below_ + within) return std::nullopt;
    const double low = at(lower), high = at(upper);
    return low + (rank - static_cast<double>(lower)) * (high - low);
  }

 private:
  static constexpr float infinity = std::numeric_limits<float>::infinity();

  double at(std::int64_t rank) {
    const auto place = rank - below_ - at_low_;
    if (place < 0) return static_cast<double>(low_);
    if (place >= static_cast<std::int64_t>(between_.size())) return static_cast<double>(high_);
    std::nth_element(between_.begin(), between_.begin() + place, between_.end());
    return static_cast<double>(between_[static_cast<std::size_t>(place)]);
  }

  float low_ = -infinity, high_ = infinity;
  std::int64_t below_ = 0, at_low_ = 0, at_high_ = 0, above_ = 0;
  std::vector<float> between_;
};

/// An odd step, so that a sample does not keep to one column, and takes about 2^15 of n.
std::int64_t sample_step(std::int64_t n) {
  return n / 32768 | 1;
}

}  // namespace

void on_magnitude(Block& block, bool complex_image, int threads,
                  const std::function<void(float* values, std::int64_t slice)>& body) {
  if (!complex_image && block.is_real()) {
    for_slices(block, threads, [&](float* re, float*, std::int64_t slice) { body(re, slice); });
    return;
  }
  block.make_complex();
  const auto n = block.plane_size();
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    std::vector<float> before(static_cast<std::size_t>(n));
    take_magnitude(re, im, n, before.data());
    auto after = before;
    body(after.data(), slice);
    if (complex_image)
      set_magnitude(before.data(), after.data(), n, re, im);
    else
      std::copy(after.begin(), after.end(), re);
  });
  if (!complex_image) block.im = {};
}

void for_clean_magnitudes(const Context& context, Where where, std::int64_t part,
                          const std::function<void(float* values, std::int64_t n)>& body) {
  const auto end = std::min((part + 1) * scan_part, count(context.volume.shape()));
  std::vector<float> values(static_cast<std::size_t>(piece));
  for (auto first = part * scan_part; first < end; first += piece) {
    auto n = std::min(piece, end - first);
    read(context.volume, first, n, values.data());
    if (where == Where::foreground)
      n = keep(context.facts.foreground.data() + first, n, values.data());
    if (n > 0) body(values.data(), n);
  }
}

double sum_of(const float* values, std::int64_t n) {
  Lanes sums{};
  add_up(values, n, sums);
  double total = 0;
  for (int l = 0; l < lane_count; ++l) total += static_cast<double>(sums[l]);
  return total;
}

std::vector<double> clean_quantiles(const Context& context, Where where,
                                    const std::vector<double>& shares) {
  std::vector<float> sample;
  const auto all = count(context.volume.shape());
  for (std::int64_t i = 0; i < all; i += sample_step(all)) {
    if (where == Where::foreground && context.facts.foreground[i] == 0) continue;
    sample.emplace_back();
    read(context.volume, i, 1, &sample.back());
  }
  const auto select = [&](std::vector<Selection> selections) {
    const auto parts = scan_clean_magnitudes(
        context, where, selections,
        [](std::vector<Selection>& some, const float* values, std::int64_t n) {
          for (auto& selection : some) selection.add(values, n);
        });
    for (const auto& part : parts)
      for (std::size_t i = 0; i < part.size(); ++i) selections[i].add(part[i]);
    return selections;
  };
  std::vector<Selection> selections;
  for (const double share : shares) selections.emplace_back(sample, share);
  selections = select(std::move(selections));
  std::vector<double> found;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    auto value = selections[i].quantile(shares[i]);
    if (!value) value = select({Selection()})[0].quantile(shares[i]);
    found.push_back(*value);
  }
  return found;
}

double quantile(const std::vector<float>& values, double share, int threads) {
  const auto n = static_cast<std::int64_t>(values.size());
  std::vector<float> sample;
  for (std::int64_t i = 0; i < n; i += sample_step(n))
    sample.push_back(values[static_cast<std::size_t>(i)]);
  const auto select = [&](Selection selection) {
    const auto of_part = [&](std::int64_t part) {
      auto some = selection;
      some.add(values.data() + part * scan_part, std::min(scan_part, n - part * scan_part));
      return some;
    };
    for (const auto& part : parallel_map(threads, parts_of(n), of_part)) selection.add(part);
    return selection;
  };
  if (const auto found = select({sample, share}).quantile(share)) return *found;
  return *select({}).quantile(share);
}

}  // namespace mr::artifact
