// Facts of the clean image.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "artifact/recipe.h"
#include "artifact/rows.h"
#include "base/error.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

constexpr std::int64_t piece = 4096;  // voxels that stay in the first cache
constexpr int bins = 256;
using Histogram = std::array<std::int64_t, bins>;

/// [0, maximum] to 0 .. bins - 1
MR_SIMD void to_bins(const float* magnitudes, std::int64_t n, double scale, std::int32_t* bin) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto b = static_cast<std::int32_t>(static_cast<double>(magnitudes[i]) * scale);
    bin[i] = std::min(b, bins - 1);
  }
}

/// Last bin of the background: the split with the largest variance between classes.
int otsu_split(const std::array<Histogram, 4>& histograms) {
  Histogram histogram{};
  for (const auto& one : histograms)
    for (std::size_t b = 0; b < histogram.size(); ++b) histogram[b] += one[b];
  double total = 0, moment = 0;
  for (int b = 0; b < bins; ++b) {
    total += static_cast<double>(histogram[static_cast<std::size_t>(b)]);
    moment += static_cast<double>(histogram[static_cast<std::size_t>(b)]) * b;
  }
  double below = 0, moment_below = 0, best = -1;
  int split = 0;
  for (int b = 0; b + 1 < bins; ++b) {
    below += static_cast<double>(histogram[static_cast<std::size_t>(b)]);
    moment_below += static_cast<double>(histogram[static_cast<std::size_t>(b)]) * b;
    const double above = total - below;
    if (below == 0 || above == 0) continue;
    const double distance = moment_below / below - (moment - moment_below) / above;
    const double variance = below * above * distance * distance;
    if (variance > best) {
      best = variance;
      split = b;
    }
  }
  return split;
}

/// Sums in lanes, so that their order is that of the voxels alone, whatever the machine.
using LaneSums = std::array<double, sum_lanes>;

double total(const LaneSums& lanes) {
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

/// Of magnitudes, and of what lies below 0 of signed voxels. n  a multiple of the lanes
MR_SIMD void add_up(const float* x, std::int64_t n, LaneSums& sum, LaneSums& negative) {
  for (std::int64_t i = 0; i < n; i += sum_lanes)
    for (std::int64_t l = 0; l < sum_lanes; ++l) {
      const float value = x[i + l];
      sum[static_cast<std::size_t>(l)] += static_cast<double>(__builtin_fabsf(value));
      negative[static_cast<std::size_t>(l)] -= static_cast<double>(value < 0 ? value : 0.0f);
    }
}

/// Adds those above the threshold, and how many they are. n  a multiple of the lanes
MR_SIMD void add_foreground(const float* x, std::int64_t n, float threshold, LaneSums& sum,
                            LaneSums& count) {
  for (std::int64_t i = 0; i < n; i += sum_lanes)
    for (std::int64_t l = 0; l < sum_lanes; ++l) {
      const bool inside = x[i + l] > threshold;
      sum[static_cast<std::size_t>(l)] += static_cast<double>(inside ? x[i + l] : 0.0f);
      count[static_cast<std::size_t>(l)] += inside ? 1.0 : 0.0;
    }
}

MR_SIMD void mark_above(const float* x, std::int64_t n, float threshold, std::uint8_t* mask) {
  for (std::int64_t i = 0; i < n; ++i) mask[i] = x[i] > threshold;
}

MR_SIMD void take_magnitudes(const float* x, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = __builtin_fabsf(x[i]);
}

struct Range {
  float least, most;
};

/// Numbers that are not negative have the order of their bits. n >= 1
MR_SIMD Range range_of(const float* x, std::int64_t n) {
  std::int32_t low = 0x7fffffff, high = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    std::int32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    low = std::min(low, bits);
    high = std::max(high, bits);
  }
  Range range;
  __builtin_memcpy(&range.least, &low, sizeof low);
  __builtin_memcpy(&range.most, &high, sizeof high);
  return range;
}

/// Pieces of one frame: their magnitudes, and signed voxels as they are (magnitudes of a complex
/// image), with zeros behind the last up to a multiple of 8.
void for_pieces(const image::Volume& volume, std::int64_t frame,
                const std::function<void(std::int64_t at, std::int64_t n, const float* magnitudes,
                                         const float* values)>& body) {
  const auto voxels = count(volume.shape()) / volume.frames(), first = frame * voxels;
  std::vector<float> magnitudes(static_cast<std::size_t>(piece)), values(magnitudes.size());
  for (std::int64_t at = 0; at < voxels; at += piece) {
    const auto n = std::min(piece, voxels - at);
    if (volume.is_complex())
      for (std::int64_t i = 0; i < n; ++i)
        values[static_cast<std::size_t>(i)] = std::abs(volume.complex_voxels[first + at + i]);
    else
      std::copy_n(volume.voxels.data() + first + at, n, values.begin());
    std::fill(values.begin() + n, values.end(), 0.0f);
    take_magnitudes(values.data(), piece, magnitudes.data());
    body(at, n, magnitudes.data(), values.data());
  }
}

/// The largest `count` of numbers that are seen once.
class Largest {
 public:
  explicit Largest(std::int64_t count) : count_(static_cast<std::size_t>(count)) {}

  /// most  the largest of these n
  void add(const float* x, std::int64_t n, float most) {
    if (!(most > floor_)) return;
    for (std::int64_t i = 0; i < n; ++i)
      if (x[i] > floor_) kept_.push_back(x[i]);
    if (kept_.size() >= 2 * count_ + static_cast<std::size_t>(piece)) shrink();
  }
  /// The smallest of them, and the smallest but one (the same where there is one).
  std::array<double, 2> smallest() {
    shrink();
    const auto last = kept_.end() - 1;
    const float next = count_ > 1 ? *std::min_element(kept_.begin(), last) : *last;
    return {static_cast<double>(*last), static_cast<double>(next)};
  }

 private:
  void shrink() {
    const auto last = kept_.begin() + static_cast<std::ptrdiff_t>(count_) - 1;
    std::nth_element(kept_.begin(), last, kept_.end(), std::greater<>());
    kept_.resize(count_);
    floor_ = kept_.back();
  }

  std::size_t count_;
  float floor_ = -1;  // none of the largest lies below, once as many were seen
  std::vector<float> kept_;
};

constexpr double peak_share = 0.999;

}  // namespace

struct FactsMeter::State {
  explicit State(std::int64_t n)
      : voxels(n),
        rank(peak_share * static_cast<double>(std::max<std::int64_t>(n - 1, 0))),
        largest(n - static_cast<std::int64_t>(rank)) {}

  std::int64_t voxels;
  double rank;  // of the peak among the sorted magnitudes, from 0
  int pass = 0;
  double sum = 0, negative = 0, foreground_sum = 0, foreground_count = 0;
  float least = std::numeric_limits<float>::max(), most = 0;
  Largest largest;
  std::array<Histogram, 4> histograms{};  // in turns: the next voxel is often of the same bin
  Facts facts;

  void add_range(const image::Volume& volume, std::int64_t frame) {
    LaneSums sums{}, negatives{};
    for_pieces(volume, frame,
               [&](std::int64_t, std::int64_t n, const float* magnitudes, const float* values) {
                 add_up(values, whole_lanes(n), sums, negatives);
                 const auto range = range_of(magnitudes, n);
                 least = std::min(least, range.least);
                 most = std::max(most, range.most);
                 largest.add(magnitudes, n, range.most);
               });
    sum += total(sums);
    negative += total(negatives);
  }

  void add_histogram(const image::Volume& volume, std::int64_t frame) {
    std::vector<std::int32_t> bin(static_cast<std::size_t>(piece));
    for_pieces(volume, frame,
               [&](std::int64_t, std::int64_t n, const float* magnitudes, const float*) {
                 to_bins(magnitudes, n, bins / facts.maximum, bin.data());
                 for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
                   ++histograms[i % histograms.size()][static_cast<std::size_t>(bin[i])];
               });
  }

  void add_foreground_of(const image::Volume& volume, std::int64_t frame) {
    const auto threshold = static_cast<float>(facts.otsu_threshold);
    const bool series = voxels > count(volume.shape()) / volume.frames();
    if (series && facts.object.empty())
      facts.object = Array<std::uint8_t>({volume.length(2), volume.length(1), volume.length(0)});
    std::vector<std::uint8_t> mask(static_cast<std::size_t>(piece));
    LaneSums sums{}, counts{};
    for_pieces(volume, frame,
               [&](std::int64_t at, std::int64_t n, const float* magnitudes, const float*) {
                 add_foreground(magnitudes, whole_lanes(n), threshold, sums, counts);
                 if (!series) return;
                 mark_above(magnitudes, n, threshold, mask.data());
                 unite_row(mask.data(), n, facts.object.data() + at);
               });
    foreground_sum += total(sums);
    foreground_count += total(counts);
  }
};

FactsMeter::FactsMeter(std::int64_t voxels) : state_(std::make_unique<State>(voxels)) {}
FactsMeter::~FactsMeter() = default;

bool FactsMeter::next_pass() {
  auto& s = *state_;
  auto& facts = s.facts;
  switch (s.pass++) {
    case 0:
      return s.voxels > 0;
    case 1: {
      if (!std::isfinite(s.sum))
        throw DataError("magnitudes are too large: they are not finite, or their sum is not");
      facts.minimum = static_cast<double>(s.least);
      facts.maximum = static_cast<double>(s.most);
      facts.peak = facts.maximum;
      if (!(s.most > s.least)) return false;
      facts.negative_share = s.negative / s.sum;
      const auto [lower, upper] = s.largest.smallest();
      facts.peak = lower + (s.rank - std::floor(s.rank)) * (upper - lower);
      return true;
    }
    case 2:
      facts.otsu_threshold = facts.maximum * (otsu_split(s.histograms) + 1) / bins;
      return true;
    default:
      facts.signal = s.foreground_sum / s.foreground_count;
      return false;
  }
}

void FactsMeter::add(const image::Volume& frames) {
  auto& s = *state_;
  for (std::int64_t frame = 0; frame < frames.frames(); ++frame) {
    if (s.pass == 1) s.add_range(frames, frame);
    if (s.pass == 2) s.add_histogram(frames, frame);
    if (s.pass == 3) s.add_foreground_of(frames, frame);
  }
}

Facts FactsMeter::facts() {
  return std::move(state_->facts);
}

void find_foreground(const image::Volume& frames, Facts& facts) {
  facts.foreground = Array<std::uint8_t>(frames.shape());
  if (!(facts.signal > 0)) return;
  const auto voxels = count(frames.shape()) / frames.frames();
  const auto threshold = static_cast<float>(facts.otsu_threshold);
  for (std::int64_t frame = 0; frame < frames.frames(); ++frame)
    for_pieces(
        frames, frame, [&](std::int64_t at, std::int64_t n, const float* magnitudes, const float*) {
          mark_above(magnitudes, n, threshold, facts.foreground.data() + frame * voxels + at);
        });
}

Facts measure_facts(const image::Volume& clean) {
  FactsMeter meter(count(clean.shape()));
  while (meter.next_pass()) meter.add(clean);
  auto facts = meter.facts();
  find_foreground(clean, facts);
  return facts;
}

}  // namespace mr::artifact
