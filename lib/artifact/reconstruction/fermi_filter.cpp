#include <cmath>

#include "artifact/elementary.h"
#include "artifact/engine.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

/// 1 / (1 + exp((r - radius) / width)), scaled to 1 at r = 0; a sharp edge where the width is 0.
struct Fermi {
  float radius, width, scale;
};

/// r2  squared distance from zero frequency of the row, and of each sample along it
MR_SIMD void multiply_row(Fermi fermi, float r2_of_row, const float* r2, std::int64_t n, float* re,
                          float* im) {
  const float slope = 1 / fermi.width;
  for (std::int64_t x = 0; x < n; ++x) {
    const float beyond = (__builtin_sqrtf(r2_of_row + r2[x]) - fermi.radius) * slope;
    const float weight = fermi.scale / (1 + fast_exp(beyond > 40 ? 40 : beyond));
    re[x] *= weight;
    im[x] *= weight;
  }
}

void cut_row(float radius, float r2_of_row, const float* r2, std::int64_t n, float* re, float* im) {
  for (std::int64_t x = 0; x < n; ++x)
    if (r2_of_row + r2[x] > radius * radius) re[x] = im[x] = 0;
}

/// (k / (n / 2))^2 of every sample along an axis; 0 for an axis of one voxel.
std::vector<float> squares(std::int64_t n) {
  std::vector<float> all;
  for (std::int64_t i = 0; i < n; ++i) {
    const double k = n > 1 ? static_cast<double>(i - n / 2) / (static_cast<double>(n) / 2) : 0;
    all.push_back(static_cast<float>(k * k));
  }
  return all;
}

bool acts(const Values& values) {
  return values.at("radius") < 2;
}

/// Over the ellipse (in 3-D the ellipsoid) of k-space whose half axes are those of what was
/// measured, so that corners go first.
Drawn draw(const Context& context, const Values& values) {
  const double radius = values.at("radius"), width = values.at("width");
  const Fermi fermi{static_cast<float>(radius), static_cast<float>(width),
                    static_cast<float>(width > 0 ? 1 + std::exp(-radius / width) : 1)};
  const auto slices = context.is_3d()
                          ? squares(context.slices())
                          : std::vector<float>(static_cast<std::size_t>(context.slices()));
  Drawn drawn;
  drawn.in_kspace = [fermi, slices, lines = squares(context.lines()),
                     readout = squares(context.readout())](Block& block, int threads) {
    const auto n = block.readout();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      for (std::int64_t line = 0; line < block.lines(); ++line) {
        const float r2 =
            slices[static_cast<std::size_t>(slice)] + lines[static_cast<std::size_t>(line)];
        if (fermi.width > 0)
          multiply_row(fermi, r2, readout.data(), n, re + line * n, im + line * n);
        else
          cut_row(fermi.radius, r2, readout.data(), n, re + line * n, im + line * n);
      }
    });
  };
  return drawn;
}

}  // namespace

Artifact fermi_filter() {
  return {
      {"fermi-filter",
       "Window over the ellipse of k-space: the corners are lost, as scanners filter or save time",
       "Bernstein, Fain and Riederer 2001, J Magn Reson Imaging 14:270",
       Stage::reconstruction,
       {{"radius",
         "1",
         "where the window has fallen to a half / half width of k-space",
         0.05,
         2,
         {1, 0.9, 0.8, 0.65, 0.5},
         2},
        {"width",
         "1",
         "of the edge / half width of k-space; 0: sharp, as of an elliptic acquisition",
         0,
         1,
         {0.05, 0.05, 0.05, 0.05, 0.05},
         0.05}},
       2,
       false},
      acts,
      draw,
      true};
}

}  // namespace mr::artifact
