#include "base/random.h"

#include <nettle/sha2.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace mr {
namespace {

constexpr double pi = 3.14159265358979323846;

std::uint64_t load_le64(const std::uint8_t* p) {
  std::uint64_t v = 0;
  for (int i = 7; i >= 0; --i) v = v << 8 | p[i];
  return v;
}

void update_le64(sha256_ctx& context, std::uint64_t v) {
  std::array<std::uint8_t, 8> bytes{};
  for (auto& byte : bytes) {
    byte = static_cast<std::uint8_t>(v);
    v >>= 8;
  }
  sha256_update(&context, bytes.size(), bytes.data());
}

/// ln(x) for x in (0, 1], to 2 units in the last place of float: the mantissa in [sqrt(1/2),
/// sqrt(2)) goes through the series of 2 atanh(s), s = (m - 1) / (m + 1). Branch-free, so that
/// the compiler makes vector code of the loop that calls it.
inline float fast_log(float x) {
  std::uint32_t bits;
  static_assert(sizeof bits == sizeof x);
  __builtin_memcpy(&bits, &x, sizeof bits);
  const std::int32_t shifted = static_cast<std::int32_t>(bits) - 0x3f3504f3;  // sqrt(1/2)
  const std::int32_t exponent = shifted >> 23;
  const std::uint32_t mantissa_bits = bits - (static_cast<std::uint32_t>(exponent) << 23);
  float m;
  __builtin_memcpy(&m, &mantissa_bits, sizeof m);
  const float s = (m - 1.0f) / (m + 1.0f), z = s * s;
  const float series =
      2.0f +
      z * (0.666666667f + z * (0.4f + z * (0.285714286f + z * (0.222222222f + z * 0.181818182f))));
  return static_cast<float>(exponent) * 0.693147181f + s * series;
}

/// sin and cos of 2 pi u for u in [0, 1): reduced to |r| <= 1/8 turn, Taylor to float precision.
inline void fast_sincos(float u, float& sine, float& cosine) {
  const float quarter = u * 4.0f;
  const std::int32_t q = static_cast<std::int32_t>(quarter + 0.5f);
  const float r = (quarter - static_cast<float>(q)) * 1.57079633f, z = r * r;
  const float s =
      r * (1.0f +
           z * (-0.166666667f + z * (8.33333333e-3f + z * (-1.98412698e-4f + z * 2.75573192e-6f))));
  const float c =
      1.0f + z * (-0.5f + z * (4.16666667e-2f + z * (-1.38888889e-3f + z * 2.48015873e-5f)));
  const bool odd = (q & 1) != 0;
  const float a = odd ? c : s, b = odd ? s : c;
  sine = (q & 2) != 0 ? -a : a;
  cosine = ((q + 1) & 2) != 0 ? -b : b;
}

inline void philox_round(std::uint32_t* c, std::uint32_t k0, std::uint32_t k1) {
  const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0],
                      p1 = std::uint64_t{0xCD9E8D57u} * c[2];
  const std::uint32_t c1 = c[1], c3 = c[3];
  c[0] = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
  c[1] = static_cast<std::uint32_t>(p1);
  c[2] = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
  c[3] = static_cast<std::uint32_t>(p0);
}

constexpr std::size_t lanes = 64;  // counters per batch: 256 normals

/// Box and Muller 1958 on `lanes` Philox blocks from `counter` on: out has 4 * lanes numbers.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#endif
void normal_batch(std::uint64_t key, std::uint64_t counter, float* out) {
  alignas(64) std::array<std::array<std::uint32_t, lanes>, 4> c;
  const auto low = static_cast<std::uint32_t>(counter),
             high = static_cast<std::uint32_t>(counter >> 32);
  for (std::size_t i = 0; i < lanes; ++i) {
    const auto n = static_cast<std::uint32_t>(i);
    c[0][i] = low + n;
    c[1][i] = high + (low + n < low ? 1u : 0u);
    c[2][i] = 0;
    c[3][i] = 0;
  }
  std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < lanes; ++i) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0][i];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2][i];
      const std::uint32_t c1 = c[1][i], c3 = c[3][i];
      c[0][i] = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
      c[1][i] = static_cast<std::uint32_t>(p1);
      c[2][i] = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c[3][i] = static_cast<std::uint32_t>(p0);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  constexpr float scale = 1.0f / 16777216.0f;
  for (int pair = 0; pair < 2; ++pair)
    for (std::size_t i = 0; i < lanes; ++i) {
      // 24 bits each; the radius' uniform is in (0, 1], the angle's in [0, 1).
      const float u =
          (static_cast<float>(static_cast<std::int32_t>(c[2 * pair][i] >> 8)) + 1.0f) * scale;
      const float v =
          static_cast<float>(static_cast<std::int32_t>(c[2 * pair + 1][i] >> 8)) * scale;
      const float radius = __builtin_sqrtf(-2.0f * fast_log(u));
      float sine, cosine;
      fast_sincos(v, sine, cosine);
      out[4 * i + 2 * static_cast<std::size_t>(pair)] = radius * cosine;
      out[4 * i + 2 * static_cast<std::size_t>(pair) + 1] = radius * sine;
    }
}

}  // namespace

RandomKey random_key(std::uint64_t seed, std::initializer_list<std::string_view> parts) {
  sha256_ctx context;
  sha256_init(&context);
  update_le64(context, seed);
  for (const auto part : parts) {
    update_le64(context, part.size());
    sha256_update(&context, part.size(), reinterpret_cast<const std::uint8_t*>(part.data()));
  }
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
  sha256_digest(&context, digest.size(), digest.data());
  return {load_le64(digest.data())};
}

RandomKey sub_key(RandomKey key, std::uint64_t index) {
  // A counter range of its own (third word 1), so that a sub-key is never one of the key's numbers.
  std::uint32_t c[4] = {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                        1, 0};
  std::uint32_t k0 = static_cast<std::uint32_t>(key.value),
                k1 = static_cast<std::uint32_t>(key.value >> 32);
  for (int round = 0; round < 10; ++round) {
    philox_round(c, k0, k1);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {std::uint64_t{c[1]} << 32 | c[0]};
}

std::array<std::uint32_t, 4> philox(RandomKey key, std::uint64_t counter) {
  std::array<std::uint32_t, 4> c{static_cast<std::uint32_t>(counter),
                                 static_cast<std::uint32_t>(counter >> 32), 0, 0};
  std::uint32_t k0 = static_cast<std::uint32_t>(key.value),
                k1 = static_cast<std::uint32_t>(key.value >> 32);
  for (int round = 0; round < 10; ++round) {
    philox_round(c.data(), k0, k1);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

double uniform(RandomKey key, std::uint64_t index) {
  const auto c = philox(key, index);
  const std::uint64_t bits = (std::uint64_t{c[1]} << 32 | c[0]) >> 11;
  return (static_cast<double>(bits) + 0.5) * 0x1p-53;
}

double uniform(RandomKey key, std::uint64_t index, double low, double high) {
  return low + (high - low) * uniform(key, index);
}

double normal(RandomKey key, std::uint64_t index) {
  const auto c = philox(key, index);
  const double u = (static_cast<double>((std::uint64_t{c[1]} << 32 | c[0]) >> 11) + 0.5) * 0x1p-53;
  const double v = (static_cast<double>((std::uint64_t{c[3]} << 32 | c[2]) >> 11) + 0.5) * 0x1p-53;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * pi * v);
}

int poisson(RandomKey key, std::uint64_t index, double mean) {
  if (!(mean >= 0 && mean <= 100)) throw DataError("poisson: want a mean of 0 to 100");
  const double u = uniform(key, index);
  double term = std::exp(-mean), sum = term;
  int n = 0;
  while (u > sum && n < 1000) {
    ++n;
    term *= mean / n;
    sum += term;
  }
  return n;
}

std::uint64_t below(RandomKey key, std::uint64_t index, std::uint64_t n) {
  const auto c = philox(key, index);
  const std::uint64_t bits = std::uint64_t{c[1]} << 32 | c[0];
  // Multiply-shift (Lemire 2019): the bias is at most n / 2^64.
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(static_cast<Wide>(bits) * n >> 64);
}

void fill_normal(RandomKey key, std::uint64_t first, float* out, std::size_t n) {
  alignas(64) std::array<float, 4 * lanes> batch;
  while (n > 0) {
    const std::uint64_t counter = first / 4;
    const auto skip = static_cast<std::size_t>(first % 4);
    const auto take = std::min(n, batch.size() - skip);
    if (skip == 0 && n >= batch.size()) {
      normal_batch(key.value, counter, out);
    } else {
      normal_batch(key.value, counter, batch.data());
      std::copy_n(batch.data() + skip, take, out);
    }
    out += take;
    first += take;
    n -= take;
  }
}

}  // namespace mr
