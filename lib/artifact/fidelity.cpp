// How far a corrupted image is from the clean one.
#include <algorithm>
#include <cmath>
#include <limits>

#include "artifact/engine.h"
#include "artifact/recipe.h"
#include "base/error.h"
#include "base/json.h"
#include "base/simd.h"
#include "base/text.h"

namespace mr::artifact {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t radius = 3;  // of the 7x7 window [px]
constexpr std::int64_t window = 2 * radius + 1;
constexpr std::int64_t lanes = 8;

struct Sums {
  double n = 0, x = 0, y = 0, xx = 0, xy = 0, dd = 0;  // d = y - x

  void operator+=(const Sums& other) {
    n += other.n;
    x += other.x;
    y += other.y;
    xx += other.xx;
    xy += other.xy;
    dd += other.dd;
  }
};

/// Sums over voxels with mask 1; count is a multiple of `lanes`.
MR_SIMD void accumulate(const float* x, const float* y, const std::uint8_t* mask,
                        std::int64_t count, double* total) {
  double sum[6][lanes] = {};
  for (std::int64_t i = 0; i < count; i += lanes)
    for (std::int64_t l = 0; l < lanes; ++l) {
      const double m = mask[i + l];
      const double a = m * static_cast<double>(x[i + l]), b = m * static_cast<double>(y[i + l]);
      sum[0][l] += m;
      sum[1][l] += a;
      sum[2][l] += b;
      sum[3][l] += a * a;
      sum[4][l] += a * b;
      sum[5][l] += (b - a) * (b - a);
    }
  for (int s = 0; s < 6; ++s)
    for (std::int64_t l = 0; l < lanes; ++l) total[s] += sum[s][l];
}

Sums sums(const float* x, const float* y, const std::uint8_t* mask, std::int64_t count) {
  double total[6] = {};
  const auto whole = count / lanes * lanes;
  accumulate(x, y, mask, whole, total);
  float last_x[lanes] = {}, last_y[lanes] = {};
  std::uint8_t last_mask[lanes] = {};
  std::copy_n(x + whole, count - whole, last_x);
  std::copy_n(y + whole, count - whole, last_y);
  std::copy_n(mask + whole, count - whole, last_mask);
  accumulate(last_x, last_y, last_mask, lanes, total);
  return {total[0], total[1], total[2], total[3], total[4], total[5]};
}

/// Magnitude voxels, in place for a real image (the same memory), else copied.
class Magnitude {
 public:
  explicit Magnitude(const image::Volume& volume) {
    if (!volume.is_complex()) {
      data_ = volume.voxels.data();
      return;
    }
    copy_ = Array<float>(volume.shape());
    for (std::int64_t i = 0; i < copy_.size(); ++i) copy_[i] = std::abs(volume.complex_voxels[i]);
    data_ = copy_.data();
  }
  const float* data() const { return data_; }

 private:
  Array<float> copy_;
  const float* data_;
};

/// SSIM of one row of windows from sums of x, y, x^2, y^2 and x y; weight[i] is 1 / voxels of the
/// window i, which lies at columns i .. i + 6. Rows have room for `window` columns more.
MR_SIMD void ssim_row(const float* __restrict x, const float* __restrict y, std::int64_t row_stride,
                      std::int64_t width, const float* __restrict weight, float c1, float c2,
                      float* __restrict column_sums, float* __restrict ssim) {
  const auto padded = width + window - 1;
  float* __restrict sx = column_sums;
  float* __restrict sy = sx + padded;
  float* __restrict sxx = sy + padded;
  float* __restrict syy = sxx + padded;
  float* __restrict sxy = syy + padded;
  for (std::int64_t i = 0; i < padded; ++i) {
    float tx = 0, ty = 0, txx = 0, tyy = 0, txy = 0;
    for (std::int64_t r = 0; r < window; ++r) {
      const float a = x[r * row_stride + i], b = y[r * row_stride + i];
      tx += a;
      ty += b;
      txx += a * a;
      tyy += b * b;
      txy += a * b;
    }
    sx[i] = tx;
    sy[i] = ty;
    sxx[i] = txx;
    syy[i] = tyy;
    sxy[i] = txy;
  }
  for (std::int64_t i = 0; i < width; ++i) {
    float mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (std::int64_t j = i; j < i + window; ++j) {
      mx += sx[j];
      my += sy[j];
      xx += sxx[j];
      yy += syy[j];
      xy += sxy[j];
    }
    const float w = weight[i];
    mx *= w;
    my *= w;
    const float mean_product = mx * my, mean_squares = mx * mx + my * my;
    ssim[i] = (2 * mean_product + c1) * (2 * (xy * w - mean_product) + c2) /
              ((mean_squares + c1) * ((xx + yy) * w - mean_squares + c2));
  }
}

/// 1 where a window has a voxel of the mask (0 or 1), laid out as for ssim_row.
MR_SIMD void vicinity_row(const std::uint8_t* __restrict mask, std::int64_t row_stride,
                          std::int64_t width, std::uint8_t* __restrict columns,
                          std::uint8_t* __restrict near) {
  for (std::int64_t i = 0; i < width + window - 1; ++i) {
    std::uint8_t any = 0;
    for (std::int64_t r = 0; r < window; ++r) any |= mask[r * row_stride + i];
    columns[i] = any;
  }
  for (std::int64_t i = 0; i < width; ++i) {
    std::uint8_t any = 0;
    for (std::int64_t j = i; j < i + window; ++j) any |= columns[j];
    near[i] = any;
  }
}

/// Length of a window at `index` within 0 .. n - 1.
std::int64_t cut(std::int64_t index, std::int64_t n) {
  return std::min(index + radius, n - 1) - std::max(index - radius, std::int64_t{0}) + 1;
}

/// Rows and columns of slices, as stored.
struct Slices {
  std::int64_t rows, row_stride, columns, column_stride;
};

/// Mean SSIM over the pixels of slices whose window has one of the mask; slices come one by one.
class MeanSsim {
 public:
  MeanSsim(const Slices& slices, double peak)
      : s_(slices),
        width_(s_.columns + 2 * radius),
        c1_(static_cast<float>(0.01 * peak * 0.01 * peak)),
        c2_(static_cast<float>(0.03 * peak * 0.03 * peak)),
        x_({s_.rows + 2 * radius, width_}),
        y_(x_.shape()),
        weight_({s_.columns}),
        sums_({5, width_}),
        ssim_({s_.columns}),
        mask_(x_.shape()),
        any_({width_}),
        near_({s_.columns}) {}

  void add(const float* x, const float* y, const std::uint8_t* mask) {
    copy(x, x_);
    copy(y, y_);
    copy(mask, mask_);
    for (std::int64_t r = 0; r < s_.rows; ++r) {
      vicinity_row(mask_.data() + r * width_, width_, s_.columns, any_.data(), near_.data());
      if (std::find(near_.begin(), near_.end(), 1) == near_.end()) continue;
      for (std::int64_t c = 0; c < s_.columns; ++c)
        weight_[c] = 1.0f / static_cast<float>(cut(r, s_.rows) * cut(c, s_.columns));
      ssim_row(x_.data() + r * width_, y_.data() + r * width_, width_, s_.columns, weight_.data(),
               c1_, c2_, sums_.data(), ssim_.data());
      for (std::int64_t c = 0; c < s_.columns; ++c) {
        total_ += near_[c] != 0 ? static_cast<double>(ssim_[c]) : 0;
        count_ += near_[c];
      }
    }
  }
  double value() const { return count_ > 0 ? total_ / static_cast<double>(count_) : nan; }

 private:
  /// Into the middle of a plane whose border stays zero.
  template <typename T>
  void copy(const T* from, Array<T>& to) const {
    for (std::int64_t r = 0; r < s_.rows; ++r) {
      auto* row = to.data() + (r + radius) * width_ + radius;
      const auto* source = from + r * s_.row_stride;
      if (s_.column_stride == 1)
        std::copy_n(source, s_.columns, row);
      else
        for (std::int64_t c = 0; c < s_.columns; ++c) row[c] = source[c * s_.column_stride];
    }
  }

  Slices s_;
  std::int64_t width_;
  float c1_, c2_;
  Array<float> x_, y_, weight_, sums_, ssim_;
  Array<std::uint8_t> mask_, any_, near_;
  double total_ = 0;
  std::int64_t count_ = 0;
};

Slices slices_of(const image::Volume& volume, const Roles& roles) {
  const int slower = roles.slice == 2 ? 1 : 2, faster = roles.slice == 0 ? 1 : 0;
  return {volume.length(slower), stride(volume, slower), volume.length(faster),
          stride(volume, faster)};
}

bool has_gain_by_slice(const Roles& roles) {
  return roles.mode == image::Mode::two_d;
}

/// The parts of an image that have a gain of their own, frame after frame.
class GainUnits {
 public:
  explicit GainUnits(const image::Volume& volume) {
    const auto roles = roles_of(volume);
    by_slice_ = has_gain_by_slice(roles);
    voxels_ = mr::count(volume.shape()) / volume.frames();
    slices_ = by_slice_ ? volume.length(roles.slice) : 1;
    step_ = by_slice_ ? stride(volume, roles.slice) : voxels_;
    count_ = static_cast<std::size_t>(volume.frames() * slices_);
  }
  std::size_t count() const { return count_; }
  std::size_t of(std::int64_t voxel) const {
    return static_cast<std::size_t>(voxel / voxels_ * slices_ + voxel % voxels_ / step_ % slices_);
  }
  std::string name(std::size_t unit) const {
    return by_slice_ ? "slice " + std::to_string(unit) : "the volume";
  }

 private:
  bool by_slice_;
  std::int64_t voxels_, slices_, step_;
  std::size_t count_;
};

}  // namespace

const char* gain_unit(const image::Volume& volume) {
  return has_gain_by_slice(roles_of(volume)) ? "slice" : "volume";
}

struct FidelityMeter::State {
  State(const image::Volume& like, double peak_of_clean)
      : roles(roles_of(like)), peak(peak_of_clean), ssim(slices_of(like, roles), peak) {}
  Roles roles;
  double peak;
  MeanSsim ssim;
  Sums sums;
};

FidelityMeter::FidelityMeter() = default;
FidelityMeter::~FidelityMeter() = default;

void FidelityMeter::add(const image::Volume& clean, const image::Volume& corrupted,
                        const Facts& facts) {
  if (clean.shape() != corrupted.shape() || clean.shape() != facts.foreground.shape())
    throw DataError("fidelity: the clean and the corrupted image differ in size");
  if (!state_) state_ = std::make_unique<State>(clean, facts.peak);
  auto& s = *state_;
  const Magnitude x(clean), y(corrupted);
  const auto voxels = count(clean.shape()) / clean.frames();
  for (std::int64_t first = 0; first < count(clean.shape()); first += voxels) {
    s.sums += sums(x.data() + first, y.data() + first, facts.foreground.data() + first, voxels);
    for (std::int64_t slice = 0; slice < clean.length(s.roles.slice); ++slice) {
      const auto at = first + slice * stride(clean, s.roles.slice);
      s.ssim.add(x.data() + at, y.data() + at, facts.foreground.data() + at);
    }
  }
}

Fidelity FidelityMeter::fidelity() const {
  if (!state_ || !(state_->sums.xx > 0)) return {nan, nan, nan, nan, nan, nan};
  const auto& s = state_->sums;
  Fidelity f;
  f.gain = s.xy / s.xx;
  f.nrmse = std::sqrt(s.dd / s.xx);
  // |y - g x|^2 = |y - x|^2 - (g - 1)^2 |x|^2 (artifacts.md §8).
  const double residual = std::max(0.0, s.dd - (f.gain - 1) * (f.gain - 1) * s.xx);
  f.nrmse_matched = f.gain > 0 ? std::sqrt(residual / s.xx) / f.gain : nan;
  const double var_x = s.xx - s.x * s.x / s.n;
  // Least squares of d = y - x on (x, 1) has the residual of y on (x, 1), without cancellation.
  const double d = s.y - s.x, cov_dx = (s.xy - s.xx) - d * s.x / s.n, var_d = s.dd - d * d / s.n;
  const double affine = var_d - (var_x > 0 ? cov_dx * cov_dx / var_x : 0);
  f.affine_residual = std::sqrt(std::max(0.0, affine) / s.xx);
  f.psnr_db = 20 * std::log10(state_->peak / std::sqrt(s.dd / s.n));
  f.ssim = state_->ssim.value();
  return f;
}

Fidelity compare(const image::Volume& clean, const image::Volume& corrupted, const Facts& facts) {
  FidelityMeter meter;
  meter.add(clean, corrupted, facts);
  return meter.fidelity();
}

std::vector<double> match_gain(const image::Volume& clean, image::Volume& corrupted,
                               const Facts& facts) {
  const Magnitude x(clean), y(corrupted);
  const GainUnits units(clean);
  std::vector<double> xx(units.count()), xy(units.count()), gains(units.count(), 1);
  for (std::int64_t i = 0; i < count(clean.shape()); ++i) {
    if (!facts.foreground[i]) continue;
    const double a = static_cast<double>(x.data()[i]), b = static_cast<double>(y.data()[i]);
    xx[units.of(i)] += a * a;
    xy[units.of(i)] += a * b;
  }
  for (std::size_t u = 0; u < gains.size(); ++u) {
    if (xx[u] > 0) gains[u] = xy[u] / xx[u];
    if (!(gains[u] > 0))
      throw DataError("gain " + shortest(gains[u]) + " of " + units.name(u) +
                      ": want > 0 to match it");
  }
  for (std::int64_t i = 0; i < count(clean.shape()); ++i) {
    const auto g = static_cast<float>(gains[units.of(i)]);
    if (corrupted.is_complex())
      corrupted.complex_voxels[i] /= g;
    else
      corrupted.voxels[i] /= g;
  }
  return gains;
}

Json match_gain_step(const image::Volume& clean, image::Volume& corrupted, const Facts& facts) {
  return {{"artifact", "match-gain"}, {"gain", match_gain(clean, corrupted, facts)}};
}

void apply_gain(image::Volume& volume, const std::vector<double>& gains) {
  const GainUnits units(volume);
  if (gains.size() != units.count())
    throw DataError("gains: want " + std::to_string(units.count()) + ", got " +
                    std::to_string(gains.size()));
  for (std::int64_t i = 0; i < count(volume.shape()); ++i) {
    const auto g = static_cast<float>(gains[units.of(i)]);
    if (volume.is_complex())
      volume.complex_voxels[i] *= g;
    else
      volume.voxels[i] *= g;
  }
}

Json to_json(const Fidelity& f) {
  Json j = Json::object();
  const auto set = [&](const char* name, double value) {
    j[name] = std::isfinite(value) ? Json(value) : Json();
  };
  set("gain", f.gain);
  set("nrmse", f.nrmse);
  set("nrmse_matched", f.nrmse_matched);
  set("affine_residual", f.affine_residual);
  set("psnr_db", f.psnr_db);
  set("ssim", f.ssim);
  return j;
}

}  // namespace mr::artifact
