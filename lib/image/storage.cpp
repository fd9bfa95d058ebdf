#include "image/storage.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/simd.h"
#include "base/text.h"
#include "image/image_file.h"

namespace mr::image {
namespace {

struct Kind {
  const char* name;
  std::size_t bytes;
};
constexpr Kind kinds[] = {{"uint8", 1},   {"int8", 1},    {"uint16", 2},    {"int16", 2},
                          {"uint32", 4},  {"int32", 4},   {"uint64", 8},    {"int64", 8},
                          {"float32", 4}, {"float64", 8}, {"complex64", 8}, {"complex128", 16}};

const Kind& kind(Datatype type) {
  return kinds[static_cast<std::size_t>(type)];
}

/// Calls f with a value of the C++ type that holds one real number of the datatype.
template <typename F>
auto with_type(Datatype type, F f) {
  switch (type) {
    case Datatype::u8:
      return f(std::uint8_t{});
    case Datatype::i8:
      return f(std::int8_t{});
    case Datatype::u16:
      return f(std::uint16_t{});
    case Datatype::i16:
      return f(std::int16_t{});
    case Datatype::u32:
      return f(std::uint32_t{});
    case Datatype::i32:
      return f(std::int32_t{});
    case Datatype::u64:
      return f(std::uint64_t{});
    case Datatype::i64:
      return f(std::int64_t{});
    case Datatype::f32:
    case Datatype::c64:
      return f(float{});
    case Datatype::f64:
    case Datatype::c128:
      break;
  }
  return f(double{});
}

bool is_plain(const Storage& s) {
  return s.slope == 1 && s.intercept == 0;
}

double to_stored(double value, const Storage& s) {
  return (value - s.intercept) / s.slope;
}

constexpr std::int64_t piece = 1024;  // numbers that stay in the first cache

/// Stored integers as numbers. 2^32 - 1 reads as 2^32 in float32 and must go back: the bounds catch
/// that half step.
MR_SIMD void to_integers(const float* values, std::int64_t n, const Storage& storage,
                         const std::array<double, 2>& range, double* numbers) {
  const double slope = storage.slope, intercept = storage.intercept;
  const double lowest = range[0], highest = range[1];
  for (std::int64_t i = 0; i < n; ++i) {
    double x = (static_cast<double>(values[i]) - intercept) / slope;
    x = x < lowest ? lowest : x;
    x = x > highest ? highest : x;
    numbers[i] = (x + 0x1.8p52) - 0x1.8p52;  // to the nearest, ties to even, for |x| < 2^51
  }
}

/// {least, largest} of finite numbers. n >= 1
MR_SIMD std::array<float, 2> ends_of(const float* values, std::int64_t n) {
  float low = values[0], high = values[0];
  for (std::int64_t i = 0; i < n; ++i) {
    low = values[i] < low ? values[i] : low;
    high = values[i] > high ? values[i] : high;
  }
  return {low, high};
}

MR_SIMD bool all_finite(const float* values, std::int64_t n) {
  std::int32_t bad = 0;
  for (std::int64_t i = 0; i < n; ++i)
    bad += !(__builtin_fabsf(values[i]) <= std::numeric_limits<float>::max());
  return bad == 0;
}

const FileOrigin* file_origin(const Volume& volume) {
  return dynamic_cast<const FileOrigin*>(volume.origin.get());
}

bool keeps_scaling(const FileOrigin& origin, const Storage& s) {
  return s == origin.storage;
}

std::int64_t planes(const Volume& volume) {
  return volume.shape()[0] * volume.shape()[1];
}

/// Does any voxel differ from what the source decodes to?
bool changed(const Volume& volume, const FileOrigin& origin) {
  if (origin.stored.empty() || volume.shape() != origin.shape) return true;
  const auto n = numbers_per_plane(volume);
  const auto bytes = origin.stored.size() / static_cast<std::size_t>(planes(volume));
  std::vector<float> source(static_cast<std::size_t>(n));
  for (std::int64_t p = 0; p < planes(volume); ++p) {
    decode(origin.stored.data() + static_cast<std::size_t>(p) * bytes,
           plane_storage(volume, origin.storage, p), n, source.data());
    if (!std::equal(source.begin(), source.end(), plane_values(volume, p))) return true;
  }
  return false;
}

/// A scaling under which [low, high] fits [lowest, highest]. 0 stays exact unless the datatype is
/// unsigned and a value negative. The 1e-6 is room for rounding `slope` to what the file can say.
Storage rescaled(Datatype type, double low, double high, double lowest, double highest,
                 const FileOrigin* origin) {
  const auto storable = [&](double x) {
    return origin ? origin->storable(x) : static_cast<double>(static_cast<float>(x));
  };
  Storage s{type, 1, 0};
  if (low < 0 && lowest >= 0) {
    s.intercept = storable(low - 1e-6 * std::fabs(low));
    s.slope = (std::max(high, 0.0) - s.intercept) / highest;
  } else {
    s.slope = std::max(high / highest, low < 0 ? low / lowest : 0.0);
  }
  s.slope = storable(std::max(s.slope * (1 + 1e-6), 1e-37));  // no subnormal float32
  return s;
}

/// Of stored integers that the file can hold.
std::array<double, 2> stored_range(Datatype type, const FileOrigin* origin) {
  if (origin && origin->storage.datatype == type) return {origin->lowest, origin->highest};
  return range_of(type);
}

}  // namespace

std::string datatype_name(Datatype type) {
  return kind(type).name;
}
std::vector<std::string> datatype_names() {
  std::vector<std::string> names;
  for (const auto& one : kinds) names.emplace_back(one.name);
  return names;
}
std::size_t bytes_of(Datatype type) {
  return kind(type).bytes;
}
bool is_complex(Datatype type) {
  return type >= Datatype::c64;
}
bool is_integer(Datatype type) {
  return type < Datatype::f32;
}

std::array<double, 2> range_of(Datatype type) {
  return with_type(type, [](auto zero) -> std::array<double, 2> {
    using Limits = std::numeric_limits<decltype(zero)>;
    auto highest = static_cast<double>(Limits::max());
    // 2^63 - 1 and 2^64 - 1 are no doubles; the double above them would overflow.
    if (Limits::is_integer && Limits::digits > 53) highest = std::nextafter(highest, 0);
    return {static_cast<double>(Limits::lowest()), highest};
  });
}

bool loses_bits(const Storage& s) {
  if (!is_integer(s.datatype))
    return s.datatype == Datatype::f64 || s.datatype == Datatype::c128 || !is_plain(s);
  const auto [low, high] = range_of(s.datatype);
  const double largest = std::fabs(s.slope) * std::max(-low, high) + std::fabs(s.intercept);
  return largest * 0x1p-24 > 0.25 * std::fabs(s.slope);  // rounding to float32 against half a step
}

void decode(const char* stored, const Storage& s, std::int64_t n, float* values) {
  with_type(s.datatype, [&](auto zero) {
    using T = decltype(zero);
    const auto* in = reinterpret_cast<const T*>(stored);
    if (is_plain(s))
      for (std::int64_t i = 0; i < n; ++i) values[i] = static_cast<float>(in[i]);
    else
      for (std::int64_t i = 0; i < n; ++i)
        values[i] = static_cast<float>(static_cast<double>(in[i]) * s.slope + s.intercept);
  });
}

void encode(const float* values, const Storage& s, std::int64_t n, char* stored) {
  with_type(s.datatype, [&](auto zero) {
    using T = decltype(zero);
    auto* out = reinterpret_cast<T*>(stored);
    std::array<double, piece> numbers;
    for (std::int64_t first = 0; first < n; first += piece) {
      const auto count = std::min(piece, n - first);
      if (std::numeric_limits<T>::is_integer && sizeof(T) <= 4) {
        to_integers(values + first, count, s, range_of(s.datatype), numbers.data());
        for (std::int64_t i = 0; i < count; ++i)
          out[first + i] = static_cast<T>(static_cast<std::int64_t>(numbers[i]));
      } else if (std::numeric_limits<T>::is_integer) {
        for (std::int64_t i = 0; i < count; ++i)
          out[first + i] = static_cast<T>(std::nearbyint(std::clamp(
              to_stored(values[first + i], s), range_of(s.datatype)[0], range_of(s.datatype)[1])));
      } else {
        for (std::int64_t i = 0; i < count; ++i)
          out[first + i] = static_cast<T>(to_stored(values[first + i], s));
      }
    }
  });
}

void swap_bytes(char* data, std::size_t element_bytes, std::size_t n) {
  const auto swap_all = [&](auto zero, auto swap_one) {
    using T = decltype(zero);
    for (std::size_t i = 0; i < n; ++i) {
      T x;
      std::memcpy(&x, data + i * sizeof(T), sizeof(T));
      x = swap_one(x);
      std::memcpy(data + i * sizeof(T), &x, sizeof(T));
    }
  };
  if (element_bytes == 2)
    swap_all(std::uint16_t{}, [](std::uint16_t x) { return __builtin_bswap16(x); });
  if (element_bytes == 4)
    swap_all(std::uint32_t{}, [](std::uint32_t x) { return __builtin_bswap32(x); });
  if (element_bytes == 8)
    swap_all(std::uint64_t{}, [](std::uint64_t x) { return __builtin_bswap64(x); });
}

std::int64_t numbers_per_plane(const Volume& volume) {
  return volume.shape()[2] * volume.shape()[3] * (volume.is_complex() ? 2 : 1);
}

const float* plane_values(const Volume& volume, std::int64_t plane) {
  const auto* first = volume.is_complex()
                          ? reinterpret_cast<const float*>(volume.complex_voxels.data())
                          : volume.voxels.data();
  return first + plane * numbers_per_plane(volume);
}

Storage plane_storage(const Volume& volume, const Storage& storage, std::int64_t plane) {
  const auto* origin = file_origin(volume);
  if (!origin || origin->planes.empty() || !keeps_scaling(*origin, storage)) return storage;
  return origin->planes[static_cast<std::size_t>(plane)];
}

void StorageFit::add(const Volume& frames, std::optional<std::int64_t> first_frame) {
  require_finite(frames, "image to be written", first_frame);
  if (!first_) {
    first_ = frames.storage;
    origin_ = frames.origin;
    is_complex_ = frames.is_complex();
  }
  const auto& s = *first_;
  const auto* origin = file_origin(frames);
  if (is_complex_ != is_complex(s.datatype)) return;
  if (!is_integer(s.datatype)) {
    rescale_ = rescale_ || (!is_plain(s) &&
                            (!origin || !keeps_scaling(*origin, s) || changed(frames, *origin)));
    return;
  }
  const auto [lowest, highest] = stored_range(s.datatype, origin);
  for (std::int64_t p = 0; p < planes(frames); ++p) {
    const float* values = plane_values(frames, p);
    const auto [a, b] = ends_of(values, numbers_per_plane(frames));
    const auto own = plane_storage(frames, s, p);
    for (const double end : {to_stored(a, own), to_stored(b, own)}) {
      const auto rounded = static_cast<float>(std::nearbyint(end));
      rescale_ = rescale_ ||
                 !(rounded >= static_cast<float>(lowest) && rounded <= static_cast<float>(highest));
    }
    low_ = std::min<double>(low_, a);
    high_ = std::max<double>(high_, b);
  }
}

Storage StorageFit::storage() const {
  const auto type = first_->datatype;
  if (is_complex_ && !is_complex(type)) return {Datatype::c64, 1, 0};
  if (!is_complex_ && is_complex(type))
    return {type == Datatype::c64 ? Datatype::f32 : Datatype::f64, 1, 0};
  if (!rescale_) return *first_;
  if (!is_integer(type)) return {type, 1, 0};
  const auto* origin = dynamic_cast<const FileOrigin*>(origin_.get());
  const auto [lowest, highest] = stored_range(type, origin);
  return rescaled(type, low_, high_, lowest, highest, origin);
}

Storage fitting_storage(const Volume& volume) {
  StorageFit fit;
  fit.add(volume);
  return fit.storage();
}

void encode_plane(const Volume& volume, const Storage& storage, std::int64_t plane, char* stored) {
  const auto n = numbers_per_plane(volume);
  const auto own = plane_storage(volume, storage, plane);
  const float* values = plane_values(volume, plane);
  encode(values, own, n, stored);
  const auto* origin = file_origin(volume);
  if (!origin || origin->stored.empty() || !keeps_scaling(*origin, storage) ||
      volume.shape() != origin->shape)
    return;
  const auto bytes = bytes_of(own.datatype) / (is_complex(own.datatype) ? 2 : 1);
  const char* source = origin->stored.data() + static_cast<std::size_t>(plane * n) * bytes;
  std::vector<float> was(static_cast<std::size_t>(n));
  decode(source, own, n, was.data());
  for (std::size_t i = 0; i < was.size(); ++i)
    if (was[i] == values[i]) std::memcpy(stored + i * bytes, source + i * bytes, bytes);
}

void quantise(Volume& volume) {
  quantise(volume, fitting_storage(volume));
}

void quantise(Volume& volume, const Storage& storage) {
  const bool exact = storage.datatype == Datatype::f32 || storage.datatype == Datatype::c64;
  if (!exact || !is_plain(storage)) {
    const auto n = numbers_per_plane(volume);
    std::vector<char> stored(static_cast<std::size_t>(n) * 8);
    for (std::int64_t p = 0; p < planes(volume); ++p) {
      encode_plane(volume, storage, p, stored.data());
      decode(stored.data(), plane_storage(volume, storage, p), n,
             const_cast<float*>(plane_values(volume, p)));
    }
  }
  volume.storage = storage;
}

void require_finite(const Volume& volume, const std::string& name,
                    std::optional<std::int64_t> first_frame) {
  const auto n = numbers_per_plane(volume);
  const std::int64_t step = volume.is_complex() ? 2 : 1;
  std::int64_t bad = 0, first = 0;
  for (std::int64_t p = 0; p < planes(volume); ++p) {
    const float* values = plane_values(volume, p);
    if (all_finite(values, n)) continue;
    for (std::int64_t i = 0; i < n; i += step)
      if (!std::isfinite(values[i]) || !std::isfinite(values[i + step - 1]))
        if (bad++ == 0) first = (p * n + i) / step;
  }
  if (bad == 0) return;
  const auto& shape = volume.shape();
  const auto i = first % shape[3], j = first / shape[3] % shape[2];
  const auto k = first / shape[3] / shape[2] % shape[1];
  const auto f = first / shape[3] / shape[2] / shape[1];
  std::string where = std::to_string(i) + ", " + std::to_string(j) + ", " + std::to_string(k);
  if (shape[0] > 1 || first_frame) where += ", " + std::to_string(first_frame.value_or(0) + f);
  throw DataError(
      name + ": " + std::to_string(bad) +
      (bad == 1 ? " voxel is not finite, at (" : " voxels are not finite, the first at (") + where +
      ")");
}

}  // namespace mr::image
