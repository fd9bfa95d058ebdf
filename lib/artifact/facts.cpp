// Facts of the clean image.
#include <algorithm>
#include <cmath>

#include "artifact/recipe.h"
#include "artifact/rows.h"
#include "base/error.h"

namespace mr::artifact {
namespace {

constexpr int bins = 256;
using Histogram = std::array<std::int64_t, bins>;

int bin_of(float magnitude, double scale) {
  const double bin = static_cast<double>(magnitude) * scale;
  return bin >= bins - 1 ? bins - 1 : bin > 0 ? static_cast<int>(bin) : 0;
}

/// Last bin of the background: the split with the largest variance between classes.
int otsu_split(const Histogram& histogram) {
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

/// Only the bins that hold the wanted ranks are sorted.
template <typename Values>
double percentile(const Values& values, const Histogram& histogram, double scale, double fraction) {
  const double rank = fraction * static_cast<double>(values.size() - 1);
  const auto lower = static_cast<std::int64_t>(rank);
  std::int64_t below = 0;
  int first = 0;
  while (below + histogram[static_cast<std::size_t>(first)] <= lower)
    below += histogram[static_cast<std::size_t>(first++)];
  std::vector<float> candidates;
  for (const float value : values)
    if (bin_of(value, scale) >= first) candidates.push_back(value);
  std::sort(candidates.begin(), candidates.end());
  const auto at = [&](std::int64_t index) {
    return static_cast<double>(
        candidates[static_cast<std::size_t>(std::min(index, values.size() - 1) - below)]);
  };
  return at(lower) + (rank - static_cast<double>(lower)) * (at(lower + 1) - at(lower));
}

/// 1 within `radius` voxels along one stored axis of a 1.
Array<std::uint8_t> dilate(const Array<std::uint8_t>& mask, int axis, std::int64_t radius) {
  auto out = mask;
  const auto n = mask.shape(3 - axis);
  std::int64_t stride = 1;
  for (int a = 4 - axis; a < 4; ++a) stride *= mask.shape(a);
  for (std::int64_t start = 0; start < mask.size(); start += n * stride)
    for (auto d = std::int64_t{1}; d <= std::min(radius, n - 1); ++d) {
      const auto apart = d * stride, overlap = n * stride - apart;
      unite_row(mask.data() + start, overlap, out.data() + start + apart);
      unite_row(mask.data() + start + apart, overlap, out.data() + start);
    }
  return out;
}

/// Slice by slice where these are stored one after another, else frame by frame, so that little is
/// held twice.
Array<std::uint8_t> dilate_in_slices(const image::Volume& volume, const Array<std::uint8_t>& mask) {
  const int slice_axis = roles_of(volume).slice;
  const auto& shape = mask.shape();
  const Shape piece = {1, slice_axis == 2 ? 1 : shape[1], shape[2], shape[3]};
  Array<std::uint8_t> out(shape);
  for (std::int64_t first = 0; first < mask.size(); first += count(piece)) {
    Array<std::uint8_t> part(piece);
    std::copy_n(mask.data() + first, part.size(), part.data());
    for (int axis = 0; axis < 3; ++axis)
      if (axis != slice_axis) part = dilate(part, axis, 3);
    std::copy_n(part.data(), part.size(), out.data() + first);
  }
  return out;
}

/// The magnitude of every voxel: the volume's own numbers where none is below 0.
class Magnitudes {
 public:
  explicit Magnitudes(const image::Volume& volume) : size_(count(volume.shape())) {
    for (const float value : volume.voxels) negative_ -= std::min(static_cast<double>(value), 0.0);
    if (!volume.is_complex() && negative_ == 0) {
      data_ = volume.voxels.data();
      return;
    }
    own_ = Array<float>(volume.shape());
    for (std::int64_t i = 0; i < size_; ++i)
      own_[i] =
          volume.is_complex() ? std::abs(volume.complex_voxels[i]) : std::fabs(volume.voxels[i]);
    data_ = own_.data();
  }
  const float* begin() const { return data_; }
  const float* end() const { return data_ + size_; }
  float operator[](std::int64_t i) const { return data_[i]; }
  std::int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  double negative() const { return negative_; }  // sum of |x| over voxels below 0

 private:
  std::int64_t size_;
  double negative_ = 0;
  Array<float> own_;
  const float* data_ = nullptr;
};

}  // namespace

Facts measure_facts(const image::Volume& clean) {
  Facts facts;
  const Magnitudes magnitude(clean);
  facts.foreground = facts.vicinity = Array<std::uint8_t>(clean.shape());
  if (magnitude.empty()) return facts;
  double total = 0;
  float least = magnitude[0], most = magnitude[0];
  for (const float value : magnitude) {
    least = std::min(least, value);
    most = std::max(most, value);
    total += static_cast<double>(value);
  }
  if (!std::isfinite(total))
    throw DataError("magnitudes are too large: they are not finite, or their sum is not");
  facts.maximum = static_cast<double>(most);
  facts.peak = facts.maximum;
  if (!(most > least)) return facts;
  facts.negative_share = magnitude.negative() / total;

  const double scale = bins / static_cast<double>(most);
  Histogram histogram{};
  for (const float value : magnitude) ++histogram[static_cast<std::size_t>(bin_of(value, scale))];
  facts.peak = percentile(magnitude, histogram, scale, 0.999);
  facts.otsu_threshold = facts.maximum * (otsu_split(histogram) + 1) / bins;
  const auto threshold = static_cast<float>(facts.otsu_threshold);
  double sum = 0;
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < magnitude.size(); ++i) {
    if (!(magnitude[i] > threshold)) continue;
    facts.foreground[i] = 1;
    sum += static_cast<double>(magnitude[i]);
    ++count;
  }
  if (count > 0) facts.signal = sum / static_cast<double>(count);
  facts.vicinity = dilate_in_slices(clean, facts.foreground);
  return facts;
}

}  // namespace mr::artifact
