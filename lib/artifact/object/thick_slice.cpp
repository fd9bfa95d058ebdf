#include <algorithm>
#include <cmath>

#include "artifact/engine.h"
#include "artifact/rows.h"
#include "base/error.h"
#include "base/threads.h"

namespace mr::artifact {
namespace {

/// Integral over [from, to] of a slice profile of area 1, full width at half maximum `width`, about
/// 0: a rectangle, or a Gaussian.
double profile_area(bool gaussian, double width, double from, double to) {
  if (!gaussian) return std::max(0.0, std::min(to, width / 2) - std::max(from, -width / 2)) / width;
  const double sigma = width / (2 * std::sqrt(2 * std::log(2.0)));
  const auto below = [&](double x) { return 0.5 * std::erf(x / (sigma * std::sqrt(2.0))); };
  return below(to) - below(from);
}

/// Share of each thin slice in the thick one centred at index `centre`. What of the profile lies
/// outside of the stack is left out.
std::vector<double> shares(std::int64_t slices, double centre, double width, bool gaussian) {
  std::vector<double> w;
  double total = 0;
  for (std::int64_t s = 0; s < slices; ++s) {
    const double at = static_cast<double>(s) - centre;
    w.push_back(profile_area(gaussian, width, at - 0.5, at + 0.5));
    total += w.back();
  }
  for (auto& x : w) x /= total;
  return w;
}

/// Rows [slices][slices]: a slice read off between the centres of thick slices by linear
/// interpolation, held constant beyond the outer ones.
std::vector<std::vector<double>> resampling(std::int64_t slices, const std::vector<double>& centres,
                                            double width, bool gaussian) {
  std::vector<std::vector<double>> thick, rows;
  for (const double c : centres) thick.push_back(shares(slices, c, width, gaussian));
  const double pitch = centres.size() > 1 ? centres[1] - centres[0] : 1;
  for (std::int64_t s = 0; s < slices; ++s) {
    const double at = std::clamp((static_cast<double>(s) - centres[0]) / pitch, 0.0,
                                 static_cast<double>(centres.size() - 1));
    const auto lower = static_cast<std::size_t>(at);
    const auto upper = std::min(lower + 1, centres.size() - 1);
    const double part = at - static_cast<double>(lower);
    auto row = thick[lower];
    for (std::size_t i = 0; i < row.size(); ++i) row[i] += part * (thick[upper][i] - row[i]);
    rows.push_back(std::move(row));
  }
  return rows;
}

/// In pieces of all slices that stay in the cache.
void resample(const std::vector<std::vector<double>>& rows, Array<float>& values, int threads) {
  constexpr std::int64_t piece = 1024;
  const auto slices = values.shape(0), n = values.shape(1) * values.shape(2);
  parallel_for(threads, (n + piece - 1) / piece, [&](std::int64_t p) {
    const auto first = p * piece, width = std::min(piece, n - first);
    Array<float> out({slices, piece});
    for (std::int64_t s = 0; s < slices; ++s) {
      const auto& row = rows[static_cast<std::size_t>(s)];
      for (std::int64_t from = 0; from < slices; ++from)
        if (const auto w = static_cast<float>(row[static_cast<std::size_t>(from)]); w != 0)
          add_scaled_row(w, values.data() + from * n + first, width, out.data() + s * piece);
    }
    for (std::int64_t s = 0; s < slices; ++s)
      std::copy_n(out.data() + s * piece, width, values.data() + s * n + first);
  });
}

bool acts(const Values& values) {
  return values.at("thickness") != 1 || values.at("gap_percent") != 0;
}

/// Thick slices are means of the object over the profile, and so of the thin slices that they hold;
/// as many as it takes to cover the stack, centred on it. Complex voxels are averaged as such:
/// phase that varies through the slice costs signal, as it does in the scanner.
Drawn draw(const Context& context, const Values& values) {
  const auto slices = context.slices();
  if (slices < 2) throw DataError("thick-slice: want at least 2 slices, the image has 1");
  const double width = values.at("thickness");
  const double pitch = width * (1 + values.at("gap_percent") / 100);
  const double number = std::ceil(static_cast<double>(slices) / pitch - 1e-9);
  std::vector<double> centres;
  for (int c = 0; c < number; ++c)
    centres.push_back(static_cast<double>(slices - 1) / 2 + (c - (number - 1) / 2) * pitch);
  Drawn drawn;
  drawn.values.set("centres", centres)
      .set("thickness_mm",
           width * context.volume.spacing_mm[static_cast<std::size_t>(context.roles.slice)]);
  drawn.apply = [rows = resampling(slices, centres, width, values.at("gaussian") >= 0.5)](
                    Block& block, int threads) {
    resample(rows, block.re, threads);
    if (!block.is_real()) resample(rows, block.im, threads);
  };
  return drawn;
}

}  // namespace

Artifact thick_slice() {
  return {{"thick-slice",
           "Thick slices with gaps, interpolated back: partial volume through the plane",
           "Greenspan et al. 2002, Magn Reson Imaging 20:437 (slice profile, then sampling)",
           Stage::object,
           {{"thickness",
             "1",
             "full width at half maximum of the thick slice / distance of the image's slices",
             1,
             50,
             {1.5, 2, 3, 4, 6},
             1},
            {"gap_percent",
             "%",
             "gap between thick slices, of their thickness",
             0,
             200,
             {0, 0, 10, 20, 50},
             0},
            {"gaussian", "1", "slice profile: 0 rectangle, 1 Gaussian", 0, 1, {0, 0, 0, 0, 0}, 0}},
           0,
           false},
          acts,
          draw,
          true,
          {},
          true};
}

}  // namespace mr::artifact
