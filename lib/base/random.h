// Random numbers are a function of a key and an index: no generator, no state, no order.
// Philox4x32-10 (Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace mr {

struct RandomKey {
  std::uint64_t value = 0;
};

/// Key of a stream, from the seed and what the numbers are for, e.g.
/// random_key(seed, {"motion", occurrence, unit_id, "events"}). Parts are length-prefixed before
/// hashing (SHA-256), so {"ab", "c"} and {"a", "bc"} differ.
RandomKey random_key(std::uint64_t seed, std::initializer_list<std::string_view> parts);

/// Key of a sub-stream, e.g. one per slice.
RandomKey sub_key(RandomKey key, std::uint64_t index);

std::array<std::uint32_t, 4> philox(RandomKey key, std::uint64_t counter);

double uniform(RandomKey key, std::uint64_t index);  // in (0, 1), 53 bits
double uniform(RandomKey key, std::uint64_t index, double low, double high);
double normal(RandomKey key, std::uint64_t index);             // mean 0, variance 1
int poisson(RandomKey key, std::uint64_t index, double mean);  // by inversion; mean <= 100
std::uint64_t below(RandomKey key, std::uint64_t index, std::uint64_t n);  // 0 .. n-1

/// out[i] = element first + i of the key's normal stream, whatever the block. Box and Muller on 24
/// bits each: within 1e-6 of the exact transform, and never beyond sqrt(48 ln 2) = 5.77.
void fill_normal(RandomKey key, std::uint64_t first, float* out, std::size_t n);

/// The permutation of 0..n-1 that belongs to the key (Fisher-Yates).
template <typename Container>
void shuffle(RandomKey key, Container& items) {
  for (std::size_t i = items.size(); i > 1; --i) {
    const auto j = static_cast<std::size_t>(below(key, i, i));
    using std::swap;
    swap(items[i - 1], items[j]);
  }
}

}  // namespace mr
