#include <algorithm>
#include <cmath>

#include "artifact/engine.h"
#include "base/error.h"
#include "base/text.h"
#include "kspace/shift.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// Share of fat in the slices of an image.
using FatShare = std::function<Array<float>(std::int64_t slice)>;

FatShare fat_by_map(const Context& context) {
  const auto& map = context.maps.at(Map::fat);
  const auto [low, high] = std::minmax_element(map.voxels.begin(), map.voxels.end());
  // Shares that were interpolated may miss 0 or 1 by a little.
  if (!(*low >= -0.01f && *high <= 1.01f))
    throw DataError("chemical-shift: the fat map: want shares of 0..1, found " +
                    shortest(static_cast<double>(*low)) + ".." +
                    shortest(static_cast<double>(*high)));
  return [map = &map, roles = context.roles](std::int64_t slice) {
    return map_slice(roles, *map, slice);
  };
}

/// Magnitude of one frame of the image as it was given.
image::Volume magnitude(const Context& context) {
  const auto& volume = context.volume;
  auto shape = volume.shape();
  const auto voxels = count(shape) / shape[0], first = context.frame * voxels;
  shape[0] = 1;
  image::Volume out;
  out.voxels = Array<float>(shape);
  for (std::int64_t i = 0; i < voxels; ++i)
    out.voxels[i] = volume.is_complex() ? std::abs(volume.complex_voxels[first + i])
                                        : std::fabs(volume.voxels[first + i]);
  return out;
}

/// Proxy: bright tissue is taken for fat, all of it from `high` on, none of it up to `low`.
FatShare fat_by_brightness(const Context& context, Record& record) {
  if (context.volume.acquisition.dim4 == "coil")
    throw DataError("chemical-shift: proxy=1 wants a combined image, found one frame per coil");
  const double low = 0.6 * context.facts.peak, high = 0.8 * context.facts.peak;
  record.set("fat_from", std::array<double, 2>{low, high});
  auto share = magnitude(context);
  for (auto& x : share.voxels)
    x = static_cast<float>(std::clamp((static_cast<double>(x) - low) / (high - low), 0.0, 1.0));
  return
      [share, roles = context.roles](std::int64_t slice) { return map_slice(roles, share, slice); };
}

/// Splits off the fat of a slice and adds it again, moved along the readout and turned in phase.
void move_fat(const Array<float>& share, double shift_px, std::complex<double> turn, Block& block,
              float* re, float* im) {
  const Shape plane{1, block.lines(), block.readout()};
  Array<float> fat_re(plane), fat_im(plane);
  for (std::int64_t i = 0; i < share.size(); ++i) {
    fat_re[i] = share[i] * re[i];
    fat_im[i] = share[i] * im[i];
    re[i] -= fat_re[i];
    im[i] -= fat_im[i];
  }
  kspace::shift_lines(fat_re, fat_im, {2, {0, 0, 0}, shift_px}, 1);
  const std::complex<float> factor(turn);
  for (std::int64_t i = 0; i < share.size(); ++i) {
    re[i] += factor.real() * fat_re[i] - factor.imag() * fat_im[i];
    im[i] += factor.imag() * fat_re[i] + factor.real() * fat_im[i];
  }
}

bool acts(const Values& values) {
  return values.at("shift_px") != 0 || values.at("phase_deg") != 0;
}

/// I = water + fat moved by (difference of frequencies) / (bandwidth of a voxel), and turned by its
/// precession up to the echo: 180 degrees cancel water and fat at their borders.
Drawn draw(const Context& context, const Values& values) {
  Drawn drawn;
  const auto fat =
      values.at("proxy") != 0 ? fat_by_brightness(context, drawn.values) : fat_by_map(context);
  const auto turn = std::polar(1.0, values.at("phase_deg") * pi / 180);
  drawn.values.set("fat", values.at("proxy") != 0 ? "bright tissue" : "map");
  drawn.apply = [=, shift = values.at("shift_px")](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      move_fat(fat(slice), shift, turn, block, re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact chemical_shift() {
  return {
      {"chemical-shift",
       "Fat displaced along the readout: dark and bright rims, or cancelled at borders",
       "Babcock et al. 1985, J Comput Assist Tomogr 9:252; 3.5 ppm: 224 Hz at 1.5 T, Bernstein, "
       "King and Zhou 2004, ch. 17.3",
       Stage::field,
       {{"shift_px",
         "voxel",
         "displacement of fat, its frequency difference / bandwidth of a voxel",
         -100,
         100,
         {0.5, 1, 2, 4, 7},
         0},
        {"phase_deg",
         "deg",
         "phase of fat against water at the echo; 180: opposed",
         -360,
         360,
         {0, 0, 0, 0, 0},
         0},
        {"proxy",
         "1",
         "1: without a map of fat, takes the brightest tissue for fat",
         0,
         1,
         {0, 0, 0, 0, 0},
         0}},
       2,
       false},
      acts,
      draw,
      false,
      {Map::fat}};
}

}  // namespace mr::artifact
