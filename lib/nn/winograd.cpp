#include "nn/winograd.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/array.h"

// GCC 12 or later: clang has no functions of a wider vector within one file.
#if defined(__x86_64__) && !defined(__clang__) && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define MR_WINOGRAD
#endif
#endif

namespace mr::nn {

#ifdef MR_WINOGRAD
namespace {

// Code that is compiled once for each of two vector widths; functions marked so are part of the
// one, by its width, that calls them.
#define MR_INLINE __attribute__((always_inline)) inline
#define MR_AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma")))
#define MR_AVX2 __attribute__((target("avx2,fma")))

using Index = std::int64_t;
using Floats = std::vector<float, AlignedAllocator<float>>;

constexpr Index points = 16;           // of a transformed tile or filter, 4x4
constexpr Index near_bytes = 1 << 17;  // of what a unit holds of transformed input

struct Avx512 {
  using Vector = float __attribute__((vector_size(64), may_alias));
  static constexpr Index lanes = 16;
  static constexpr Index filters = 8, vectors = 2;  // whose products are summed side by side
  static constexpr Index rows = 4, columns = 4;     // of a gradient, likewise
  static MR_INLINE Vector even(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  }
  static MR_INLINE Vector odd(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  }
  static MR_INLINE Vector low(Vector a, Vector b) {  // a and b in turn, from the first on
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  }
  static MR_INLINE Vector high(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
  }
};

struct Avx2 {
  using Vector = float __attribute__((vector_size(32), may_alias));
  static constexpr Index lanes = 8;
  static constexpr Index filters = 4, vectors = 2;
  static constexpr Index rows = 2, columns = 4;
  static MR_INLINE Vector even(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
  }
  static MR_INLINE Vector odd(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
  }
  static MR_INLINE Vector low(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  }
  static MR_INLINE Vector high(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  }
};

/// What LibTorch's kernels are held to as well, so that unlike machines may compute alike.
std::string capability() {
  const char* most = std::getenv("ATEN_CPU_CAPABILITY");
  return most == nullptr ? "" : most;
}

bool has_avx2() {
  static const bool has =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && capability() != "default";
  return has;
}

bool has_avx512() {
  static const bool has = has_avx2() && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && capability() != "avx2";
  return has;
}

constexpr Index up_to(Index n, Index step) {
  return (n + step - 1) / step * step;
}

/// What body(Avx512{}) or body(Avx2{}) gives, whichever this machine has.
template <typename Body>
auto on_this_machine(const Body& body) {
  return has_avx512() ? body(Avx512{}) : body(Avx2{});
}

/// Numbers from one point of a block of filters to the next: not a multiple of 4 KiB, which would
/// have all points in the same lines of the cache.
template <typename Isa>
Index filter_step(Index in) {
  return in * Isa::filters + 16;
}

/// How images are cut into units. A tile is 2x2 outputs; tiles are counted along rows. A band is
/// some rows of tiles of an image; a unit is a band, or several images where they are small.
struct Units {
  Index tiles_x, tiles_y;
  Index rows;     // of tiles in a band
  Index bands;    // of an image
  Index vectors;  // of tiles in a band, the last not always full
  Index bands_per_unit, all_bands;

  /// The fewest vectors in all, of which some are padding: a unit has a multiple of `at_once`, and
  /// at most `most` unless a row of tiles has more. Of cuts alike in this the one whose units have
  /// nearest to `wanted`, but not more.
  Units(const Convolution3x3& c, Index lanes, Index at_once, Index wanted, Index most)
      : tiles_x((c.width + 1) / 2), tiles_y((c.height + 1) / 2), all_bands(0) {
    double least = 0;
    for (Index r = 1; r <= tiles_y; ++r)
      for (Index n = 1; n <= (r == tiles_y ? c.images : 1); ++n) {
        const Index of_band = (r * tiles_x + lanes - 1) / lanes, of_image = (tiles_y + r - 1) / r;
        const Index of_unit = up_to(of_band * n, at_once);
        const double cost = static_cast<double>(of_unit * of_image) / static_cast<double>(n);
        const bool first = all_bands == 0;
        if (!first && of_unit > most) break;
        if (!first && (cost > least || (cost == least && of_unit > wanted))) continue;
        least = cost;
        rows = r;
        bands = of_image;
        vectors = of_band;
        bands_per_unit = n;
        all_bands = c.images * bands;
      }
  }
  Index count() const { return (all_bands + bands_per_unit - 1) / bands_per_unit; }
  Index image(Index band) const { return band / bands; }
  Index first_row(Index band) const { return band % bands * rows; }
};

/// Bytes of a vector of tiles, transformed, in all channels.
template <typename Isa>
Index vector_bytes(const Convolution3x3& c) {
  return points * Isa::lanes * Index{sizeof(float)} * c.in;
}

/// Vectors of tiles, as many as each of `threads` gets.
template <typename Isa>
Index share(const Convolution3x3& c, int threads) {
  const Index tiles = c.images * ((c.height + 1) / 2) * ((c.width + 1) / 2);
  return tiles / (Isa::lanes * threads);
}

template <typename Isa>
Units convolution_units(const Convolution3x3& c, int threads) {
  const Index wanted =
      std::min(share<Isa>(c, threads), std::max(Isa::vectors, near_bytes / vector_bytes<Isa>(c)));
  return {c, Isa::lanes, Isa::vectors, wanted,
          std::max(Isa::vectors, std::min(4 * wanted, 4 * near_bytes / vector_bytes<Isa>(c)))};
}

/// A sum over the lanes costs what three products do: several vectors share it.
template <typename Isa>
Units gradient_units(const Convolution3x3& c, int threads) {
  const Index wanted = std::clamp<Index>(share<Isa>(c, threads), 4, 16);
  return {c, Isa::lanes, 1, wanted, wanted + 4};
}

template <typename Isa>
struct Kernel {
  using Vector = typename Isa::Vector;
  static constexpr Index lanes = Isa::lanes;

  static MR_INLINE Vector load(const float* p) {
    Vector v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static MR_INLINE void store(float* p, Vector v) { std::memcpy(p, &v, sizeof v); }

  /// Vectors of scratch; standard containers drop what a vector type is.
  struct Vectors {
    Floats values;
    explicit Vectors(Index n) : values(static_cast<std::size_t>(n * lanes)) {}
    MR_INLINE Vector* at(Index i) { return reinterpret_cast<Vector*>(values.data()) + i; }
    void clear() { std::fill(values.begin(), values.end(), 0.F); }
  };

  /// Vectors from one point of `n` to the next; not a multiple of 4 KiB either.
  static Index apart(Index n) { return n + 1; }

  /// A band's pixels with their neighbours: rows 2t - 1 (0) and 2t (1) of each row t of tiles and
  /// one more, in columns -1, 0, ... and in columns 1, 2, ...; both as long as the tiles are wide,
  /// so that tiles that follow each other lie side by side across rows.
  struct Pixels {
    Index pitch, size;
    Floats values;
    explicit Pixels(const Units& u)
        : pitch(2 * u.tiles_x),
          size(up_to((u.rows + 1) * pitch + 2 * lanes, lanes)),
          values(static_cast<std::size_t>(4 * size)) {}
    float* at(Index parity, Index shift) { return values.data() + (2 * parity + shift) * size; }

    MR_INLINE void take(const Convolution3x3& c, const Units& u, const float* plane,
                        Index first_row) {
      for (Index r = 0; r < 2 * u.rows + 2; ++r) {
        const Index y = 2 * first_row - 1 + r;
        float* from_left = at(r % 2, 0) + r / 2 * pitch;
        float* from_right = at(r % 2, 1) + r / 2 * pitch;
        if (y < 0 || y >= c.height) {
          std::fill_n(from_left, pitch, 0.F);
          std::fill_n(from_right, pitch, 0.F);
          continue;
        }
        const float* row = plane + y * c.width;
        from_left[0] = 0;
        std::copy_n(row, pitch - 1, from_left + 1);
        std::copy_n(row + 1, c.width - 1, from_right);
        std::fill(from_right + c.width - 1, from_right + pitch, 0.F);
      }
    }
  };

  /// B^T d B of the v-th vector of tiles, a number of each side by side; `step` vectors from one
  /// point to the next.
  static MR_INLINE void transform_input(Pixels& pixels, Index v, Vector* out, Index step) {
    Vector t[4][4];
    for (Index i = 0; i < 4; ++i) {
      const float* left = pixels.at(i % 2, 0) + i / 2 * pixels.pitch + v * 2 * lanes;
      const float* right = left + pixels.size;
      const Vector l0 = load(left), l1 = load(left + lanes);
      const Vector r0 = load(right), r1 = load(right + lanes);
      const Vector d0 = Isa::even(l0, l1), d1 = Isa::odd(l0, l1);
      const Vector d2 = Isa::even(r0, r1), d3 = Isa::odd(r0, r1);
      t[i][0] = d0 - d2;
      t[i][1] = d1 + d2;
      t[i][2] = d2 - d1;
      t[i][3] = d1 - d3;
    }
    for (Index j = 0; j < 4; ++j) {
      out[j * step] = t[0][j] - t[2][j];
      out[(4 + j) * step] = t[1][j] + t[2][j];
      out[(8 + j) * step] = t[2][j] - t[1][j];
      out[(12 + j) * step] = t[1][j] - t[3][j];
    }
  }

  /// Of `n` channels the sums of products with `filters` filters.
  static MR_INLINE void multiply(const float* filters, const Vector* input, Index n, Vector* out) {
    Vector sum[Isa::filters][Isa::vectors] = {};
    for (Index c = 0; c < n; ++c)
      for (Index k = 0; k < Isa::filters; ++k)
        for (Index t = 0; t < Isa::vectors; ++t)
          sum[k][t] += input[c * Isa::vectors + t] * filters[c * Isa::filters + k];
    for (Index k = 0; k < Isa::filters; ++k)
      for (Index t = 0; t < Isa::vectors; ++t) out[k * Isa::vectors + t] = sum[k][t];
  }

  /// A^T m A + bias: of a vector of tiles, the upper and the lower row.
  static MR_INLINE void transform_output(const Vector* m, Index step, float bias, float* upper,
                                         float* lower) {
    Vector r0[4], r1[4];
    for (Index j = 0; j < 4; ++j) {
      const Vector m1 = m[(4 + j) * step], m2 = m[(8 + j) * step];
      r0[j] = m[j * step] + m1 + m2;
      r1[j] = m1 - m2 - m[(12 + j) * step];
    }
    store_row(r0, bias, upper);
    store_row(r1, bias, lower);
  }
  static MR_INLINE void store_row(const Vector* r, float bias, float* out) {
    const Vector left = r[0] + r[1] + r[2] + bias, right = r[1] - r[2] - r[3] + bias;
    store(out, Isa::low(left, right));
    store(out + lanes, Isa::high(left, right));
  }

  static MR_INLINE void convolve(const Convolution3x3& c, const Units& u, const float* x,
                                 const float* filters, const float* bias, float* y, Index first,
                                 Index last) {
    const Index groups = up_to(u.bands_per_unit * u.vectors, Isa::vectors) / Isa::vectors;
    const Index map = c.height * c.width, filter_step = mr::nn::filter_step<Isa>(c.in);
    Pixels pixels(u);
    const Index step = apart(groups * c.in * Isa::vectors);
    Vectors input(points * step);
    Vectors products(points * Isa::filters * Isa::vectors);
    const Index row_size = groups * Isa::vectors * 2 * lanes;  // of a unit's tiles, row by row
    Floats rows(static_cast<std::size_t>(Isa::filters * 2 * row_size));
    for (Index unit = first; unit < last; ++unit) {
      const Index band0 = unit * u.bands_per_unit;
      const Index bands = std::min(u.bands_per_unit, u.all_bands - band0);
      for (Index channel = 0; channel < c.in; ++channel)
        for (Index b = 0; b < bands; ++b) {
          const Index image = u.image(band0 + b);
          pixels.take(c, u, x + (image * c.in + channel) * map, u.first_row(band0 + b));
          for (Index v = 0; v < u.vectors; ++v) {
            const Index at = b * u.vectors + v;
            transform_input(
                pixels, v,
                input.at((at / Isa::vectors * c.in + channel) * Isa::vectors + at % Isa::vectors),
                step);
          }
        }
      for (Index k0 = 0; k0 < c.out; k0 += Isa::filters) {
        const Index some = std::min(Isa::filters, c.out - k0);
        for (Index g = 0; g < groups; ++g) {
          for (Index p = 0; p < points; ++p)
            multiply(filters + (k0 / Isa::filters * points + p) * filter_step,
                     input.at(p * step + g * c.in * Isa::vectors), c.in,
                     products.at(p * Isa::filters * Isa::vectors));
          for (Index k = 0; k < some; ++k)
            for (Index t = 0; t < Isa::vectors; ++t) {
              float* upper = rows.data() + k * 2 * row_size + (g * Isa::vectors + t) * 2 * lanes;
              transform_output(products.at(k * Isa::vectors + t), Isa::filters * Isa::vectors,
                               bias == nullptr ? 0 : bias[k0 + k], upper, upper + row_size);
            }
        }
        for (Index b = 0; b < bands; ++b) {
          const Index image = u.image(band0 + b), row0 = 2 * u.first_row(band0 + b);
          const Index row1 = std::min(c.height, row0 + 2 * u.rows);
          for (Index k = 0; k < some; ++k) {
            const float* from = rows.data() + k * 2 * row_size + b * u.vectors * 2 * lanes;
            float* to = y + (image * c.out + k0 + k) * map;
            for (Index row = row0; row < row1; ++row)
              std::copy_n(from + row % 2 * row_size + (row - row0) / 2 * pixels.pitch, c.width,
                          to + row * c.width);
          }
        }
      }
    }
  }

  /// A dy A^T of the tiles of a vector.
  static MR_INLINE void transform_gradient(const float* upper, const float* lower, Vector* out,
                                           Index step) {
    const Vector u0 = load(upper), u1 = load(upper + lanes);
    const Vector l0 = load(lower), l1 = load(lower + lanes);
    const Vector a[2] = {Isa::even(u0, u1), Isa::odd(u0, u1)};
    const Vector b[2] = {Isa::even(l0, l1), Isa::odd(l0, l1)};
    Vector t[4][2];
    for (Index j = 0; j < 2; ++j) {
      t[0][j] = a[j];
      t[1][j] = a[j] + b[j];
      t[2][j] = a[j] - b[j];
      t[3][j] = -b[j];
    }
    for (Index i = 0; i < 4; ++i) {
      out[4 * i * step] = t[i][0];
      out[(4 * i + 1) * step] = t[i][0] + t[i][1];
      out[(4 * i + 2) * step] = t[i][0] - t[i][1];
      out[(4 * i + 3) * step] = -t[i][1];
    }
  }

  /// Adds to sum [rows, columns] the sums over `n` vectors, and over their lanes, of the products
  /// of each of `rows` with each of `columns`, which lie n vectors apart.
  static MR_INLINE void add_products(const Vector* rows, const Vector* columns, Index n,
                                     float* sum) {
    Vector s[Isa::rows * Isa::columns] = {};
    for (Index v = 0; v < n; ++v)
      for (Index i = 0; i < Isa::rows; ++i)
        for (Index j = 0; j < Isa::columns; ++j)
          s[i * Isa::columns + j] += rows[i * n + v] * columns[j * n + v];
    // Each round halves the vectors: neighbours of one are added, and lie in order in the other.
    static_assert(Isa::rows * Isa::columns == lanes);
    for (Index left = lanes / 2; left > 0; left /= 2)
      for (Index i = 0; i < left; ++i)
        s[i] = Isa::even(s[2 * i], s[2 * i + 1]) + Isa::odd(s[2 * i], s[2 * i + 1]);
    store(sum, load(sum) + s[0]);
  }

  /// Of the maps [first_map, first_map + maps).
  static MR_INLINE void gradient(const Convolution3x3& c, const Units& u, const float* x,
                                 const float* dy, Index first_map, Index maps, float* sum,
                                 Index first, Index last) {
    const Index vectors = u.bands_per_unit * u.vectors;
    const Index outs = up_to(maps, Isa::rows), ins = up_to(c.in, Isa::columns);
    const Index map = c.height * c.width;
    Pixels pixels(u);
    const Index in_step = apart(ins * vectors), out_step = apart(outs * vectors);
    Vectors input(points * in_step), gradients(points * out_step);
    const Index row_size = u.vectors * 2 * lanes;
    Floats rows(static_cast<std::size_t>(2 * row_size));  // 0 beyond the tiles
    for (Index unit = first; unit < last; ++unit) {
      const Index band0 = unit * u.bands_per_unit;
      const Index bands = std::min(u.bands_per_unit, u.all_bands - band0);
      if (bands < u.bands_per_unit) input.clear();
      for (Index b = 0; b < bands; ++b) {
        const Index image = u.image(band0 + b), row0 = u.first_row(band0 + b);
        for (Index channel = 0; channel < c.in; ++channel) {
          pixels.take(c, u, x + (image * c.in + channel) * map, row0);
          for (Index v = 0; v < u.vectors; ++v)
            transform_input(pixels, v, input.at(channel * vectors + b * u.vectors + v), in_step);
        }
        for (Index k = 0; k < maps; ++k) {
          const float* plane = dy + (image * c.out + first_map + k) * map;
          for (Index r = 0; r < 2 * u.rows; ++r) {
            float* to = rows.data() + r % 2 * row_size + r / 2 * pixels.pitch;
            std::fill_n(to, pixels.pitch, 0.F);
            if (2 * row0 + r < c.height) std::copy_n(plane + (2 * row0 + r) * c.width, c.width, to);
          }
          for (Index v = 0; v < u.vectors; ++v)
            transform_gradient(rows.data() + v * 2 * lanes, rows.data() + row_size + v * 2 * lanes,
                               gradients.at(k * vectors + b * u.vectors + v), out_step);
        }
      }
      for (Index p = 0; p < points; ++p)
        for (Index k = 0; k < outs; k += Isa::rows)
          for (Index channel = 0; channel < ins; channel += Isa::columns)
            add_products(gradients.at(p * out_step + k * vectors),
                         input.at(p * in_step + channel * vectors), vectors,
                         sum + (p * outs + k) * ins + channel * Isa::rows);
    }
  }
};

MR_AVX512 void convolve_units(Avx512, const Convolution3x3& c, const Units& u, const float* x,
                              const float* filters, const float* bias, float* y, Index first,
                              Index last) {
  Kernel<Avx512>::convolve(c, u, x, filters, bias, y, first, last);
}
MR_AVX2 void convolve_units(Avx2, const Convolution3x3& c, const Units& u, const float* x,
                            const float* filters, const float* bias, float* y, Index first,
                            Index last) {
  Kernel<Avx2>::convolve(c, u, x, filters, bias, y, first, last);
}
MR_AVX512 void gradient_of_units(Avx512, const Convolution3x3& c, const Units& u, const float* x,
                                 const float* dy, Index first_map, Index maps, float* sum,
                                 Index first, Index last) {
  Kernel<Avx512>::gradient(c, u, x, dy, first_map, maps, sum, first, last);
}
MR_AVX2 void gradient_of_units(Avx2, const Convolution3x3& c, const Units& u, const float* x,
                               const float* dy, Index first_map, Index maps, float* sum,
                               Index first, Index last) {
  Kernel<Avx2>::gradient(c, u, x, dy, first_map, maps, sum, first, last);
}

/// G w G^T of the blocks [first, last) of [K, C] filters, each [points, C, filters of a block];
/// filter(k, c) gives the first of the nine numbers of a filter, which lie `next` apart.
template <typename Isa, typename Filter>
void transform_filters(Index out, Index in, const Filter& filter, Index next, Index first,
                       Index last, float* all) {
  const auto half = [](float p, float q, float r) { return .5F * (p + q + r); };
  const Index block = Isa::filters, step = filter_step<Isa>(in);
  for (Index k = first * block; k < std::min(out, last * block); ++k)
    for (Index c = 0; c < in; ++c) {
      const float* w = filter(k, c);
      float t[4][3];
      for (Index j = 0; j < 3; ++j) {
        const float top = w[j * next], middle = w[(3 + j) * next], bottom = w[(6 + j) * next];
        t[0][j] = top;
        t[1][j] = half(top, middle, bottom);
        t[2][j] = half(top, -middle, bottom);
        t[3][j] = bottom;
      }
      float* to = all + k / block * points * step + c * block + k % block;
      for (Index i = 0; i < 4; ++i) {
        const float row[4] = {t[i][0], half(t[i][0], t[i][1], t[i][2]),
                              half(t[i][0], -t[i][1], t[i][2]), t[i][2]};
        for (Index j = 0; j < 4; ++j) to[(4 * i + j) * step] = row[j];
      }
    }
}

/// `filter` and `next` as above.
template <typename Isa, typename Filter>
void convolve(const Convolution3x3& c, const float* x, const Filter& filter, Index next,
              const float* bias, float* y, const Threads& threads) {
  const Index blocks = up_to(c.out, Isa::filters) / Isa::filters;
  Floats filters(static_cast<std::size_t>(blocks * points * filter_step<Isa>(c.in)));
  threads.ranges(blocks, [&](Index first, Index last) {
    transform_filters<Isa>(c.out, c.in, filter, next, first, last, filters.data());
  });
  const auto units = convolution_units<Isa>(c, threads.count);
  threads.ranges(units.count(), [&](Index first, Index last) {
    convolve_units(Isa{}, c, units, x, filters.data(), bias, y, first, last);
  });
}

/// G^T s G of the filters [first, last) of a sum of gradients of `maps` maps.
template <typename Isa>
void transform_sum(const Convolution3x3& c, Index maps, const float* sum, float* dw, Index first,
                   Index last) {
  const Index rows = Isa::rows, columns = Isa::columns;
  const Index outs = up_to(maps, rows), ins = up_to(c.in, columns);
  dw += first * c.in * 9;
  for (Index k = first; k < last; ++k)
    for (Index channel = 0; channel < c.in; ++channel) {
      const float* from = sum + (k / rows * rows) * ins + channel / columns * columns * rows +
                          k % rows * columns + channel % columns;
      float t[3][4];
      for (Index j = 0; j < 4; ++j) {
        const auto s = [&](Index i) { return from[(4 * i + j) * outs * ins]; };
        t[0][j] = s(0) + .5F * (s(1) + s(2));
        t[1][j] = .5F * (s(1) - s(2));
        t[2][j] = .5F * (s(1) + s(2)) + s(3);
      }
      for (const auto& row : t) {
        *dw++ = row[0] + .5F * (row[1] + row[2]);
        *dw++ = .5F * (row[1] - row[2]);
        *dw++ = .5F * (row[1] + row[2]) + row[3];
      }
    }
}

template <typename Isa>
void filter_gradient(const Convolution3x3& c, const float* x, const float* dy, float* dw,
                     const Threads& threads) {
  const auto units = gradient_units<Isa>(c, threads.count);
  // Some maps at a time: each thread has a sum of its own.
  constexpr Index sums_size = 1 << 26;
  const Index map_size = points * up_to(c.in, Isa::columns) * threads.count;
  const Index step = std::max(Isa::rows, sums_size / map_size / Isa::rows * Isa::rows);
  for (Index first_map = 0; first_map < c.out; first_map += step) {
    const Index maps = std::min(step, c.out - first_map);
    const Index size = points * up_to(maps, Isa::rows) * up_to(c.in, Isa::columns);
    std::map<Index, Floats> sums;  // by the first unit: added in order
    std::mutex adding;
    threads.ranges(units.count(), [&](Index first, Index last) {
      Floats sum(static_cast<std::size_t>(size));
      gradient_of_units(Isa{}, c, units, x, dy, first_map, maps, sum.data(), first, last);
      const std::lock_guard<std::mutex> lock(adding);
      sums.emplace(first, std::move(sum));
    });
    auto& total = sums.begin()->second;
    for (auto part = std::next(sums.begin()); part != sums.end(); ++part)
      std::transform(total.begin(), total.end(), part->second.begin(), total.begin(),
                     std::plus<>());
    threads.ranges(maps, [&](Index first, Index last) {
      transform_sum<Isa>(c, maps, total.data(), dw + first_map * c.in * 9, first, last);
    });
  }
}

}  // namespace

bool suits_winograd(const Convolution3x3& c) {
  constexpr Index few = 8;               // channels, of which the transforms cost most
  constexpr Index far_bytes = 16 << 20;  // of a row of tiles
  const Index lanes = on_this_machine([](auto isa) { return Index{isa.lanes}; });
  const Index bytes = on_this_machine([&](auto isa) { return vector_bytes<decltype(isa)>(c); });
  const Index tiles_x = (c.width + 1) / 2, tiles_y = (c.height + 1) / 2;
  return has_avx2() && c.in >= few && c.out >= few &&
         up_to(tiles_x, lanes) / lanes * bytes <= far_bytes &&
         4 * points * up_to(tiles_y * tiles_x, lanes) < 3 * 9 * c.height * c.width;
}

void winograd_convolve(const Convolution3x3& c, const float* x, const float* w, const float* bias,
                       float* y, const Threads& threads) {
  const auto filter = [&](Index k, Index channel) { return w + (k * c.in + channel) * 9; };
  on_this_machine([&](auto isa) { convolve<decltype(isa)>(c, x, filter, 1, bias, y, threads); });
}

void winograd_image_gradient(const Convolution3x3& c, const float* dy, const float* w, float* dx,
                             const Threads& threads) {
  const Convolution3x3 transposed{c.images, c.out, c.in, c.height, c.width};
  const auto last = [&](Index channel, Index k) { return w + (k * c.in + channel) * 9 + 8; };
  on_this_machine(
      [&](auto isa) { convolve<decltype(isa)>(transposed, dy, last, -1, nullptr, dx, threads); });
}

void winograd_filter_gradient(const Convolution3x3& c, const float* x, const float* dy, float* dw,
                              const Threads& threads) {
  on_this_machine([&](auto isa) { filter_gradient<decltype(isa)>(c, x, dy, dw, threads); });
}

#else

bool suits_winograd(const Convolution3x3&) {
  return false;
}
void winograd_convolve(const Convolution3x3&, const float*, const float*, const float*, float*,
                       const Threads&) {}
void winograd_image_gradient(const Convolution3x3&, const float*, const float*, float*,
                             const Threads&) {}
void winograd_filter_gradient(const Convolution3x3&, const float*, const float*, float*,
                              const Threads&) {}

#endif

}  // namespace mr::nn
