// 3x3 convolutions of stride 1, padded by 1, in float32 on [N, C, H, W] as it lies in memory, and
// their gradients, by Winograd's minimal filtering F(2x2, 3x3): four outputs of a channel take 16
// products where the definition takes 36 (Lavin and Gray 2016, eq. 8 and section 4.1). An output's
// rounding is that of float32 at the largest value of the 4x4 inputs of its tile, and where one of
// them is not finite, no output of the tile is. Free of LibTorch.
#pragma once
#include <cstdint>
#include <functional>

namespace mr::nn {

/// Images x [N, C, H, W], filters w [K, C, 3, 3] and maps y [N, K, H, W].
struct Convolution3x3 {
  std::int64_t images, in, out, height, width;  // N, C, K, H, W
};

/// Who does the work.
struct Threads {
  using Range = std::function<void(std::int64_t first, std::int64_t last)>;
  int count;
  /// Calls a range's work with disjoint ranges that make up [0, n), `count` side by side.
  std::function<void(std::int64_t n, const Range& work)> ranges;
};

/// Whether this machine has the vector instructions of the functions below, which are not to be
/// called elsewhere, and the sizes are such that tiles of 2x2 pay.
bool suits_winograd(const Convolution3x3& c);

/// y of x. What comes out does not depend on the threads.
/// bias  [K], or null
void winograd_convolve(const Convolution3x3& c, const float* x, const float* w, const float* bias,
                       float* y, const Threads& threads);

/// dx, the gradient of the images, of dy, that of the maps; likewise.
void winograd_image_gradient(const Convolution3x3& c, const float* dy, const float* w, float* dx,
                             const Threads& threads);

/// dw, the gradient of the filters. The same number of threads gives the same bits.
void winograd_filter_gradient(const Convolution3x3& c, const float* x, const float* dy, float* dw,
                              const Threads& threads);

}  // namespace mr::nn
