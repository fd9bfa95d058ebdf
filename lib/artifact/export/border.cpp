#include <algorithm>

#include "artifact/export/intensity.h"
#include "kspace/simd.h"

namespace mr::artifact {
namespace {

MR_SIMD void unite(const std::uint8_t* row, std::int64_t n, std::uint8_t* seen) {
  for (std::int64_t i = 0; i < n; ++i) seen[i] |= row[i];
}

/// Mixes a line with the padding, whose share grows as `kept_line` and `kept` fall.
MR_SIMD void cover(double kept_line, const double* kept, double padding, std::int64_t n, float* x) {
  for (std::int64_t i = 0; i < n; ++i) {
    const double share = kept_line * kept[i], value = static_cast<double>(x[i]);
    x[i] = static_cast<float>(share * value + (1 - share) * padding);
  }
}

/// First and one past the last index of the foreground along a stored axis, over all frames.
std::array<std::int64_t, 2> extent(const Context& context, int axis) {
  const auto n = context.volume.length(axis), apart = stride(context.volume, axis);
  const auto row = context.volume.length(0);
  const auto& foreground = context.facts.foreground;
  std::vector<std::uint8_t> seen(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < foreground.size(); i += row) {
    if (axis == 0)
      unite(foreground.data() + i, n, seen.data());
    else if (auto& at = seen[static_cast<std::size_t>(i / apart % n)]; at == 0)
      at = sum_of(foreground.data() + i, row) > 0;
  }
  const auto first = std::find(seen.begin(), seen.end(), 1);
  const auto end = std::find(seen.rbegin(), seen.rend(), 1).base();
  return first == seen.end()
             ? std::array<std::int64_t, 2>{n, 0}
             : std::array<std::int64_t, 2>{first - seen.begin(), end - seen.begin()};
}

/// Share of each voxel, an interval [i, i + 1], that lies within [from, to].
std::vector<double> kept_shares(std::int64_t n, double from, double to) {
  std::vector<double> shares;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<double>(i);
    shares.push_back(std::max(0.0, std::min(at + 1, to) - std::max(at, from)));
  }
  return shares;
}

/// Along one axis, and what is recorded of it.
std::vector<double> kept_along(const Context& context, int axis, double share, Record& record,
                               const char* name) {
  const auto [first, end] = extent(context, axis);
  const double cut = share * static_cast<double>(end - first);
  const double from = static_cast<double>(first) + cut, to = static_cast<double>(end) - cut;
  record.set(name, std::array<double, 2>{from, to});
  return kept_shares(context.volume.length(axis), from, to);
}

bool acts(const Values& values) {
  return values.at("width_percent") != 0;
}

/// A share of the object's width, as of its height, is lost at each side. In per cent of the object
/// and not of the field of view, since a border over air changes nothing. Voxels that the border
/// cuts through are mixed in proportion, so that damage grows steadily.
Drawn draw(const Context& context, const Values& values) {
  const double share = values.at("width_percent") / 100;
  const double padding = values.at("padding") * context.facts.signal;
  Drawn drawn;
  drawn.values.set("padding", padding);
  auto lines =
      kept_along(context, context.roles.phase_encode, share, drawn.values, "kept_phase_encode");
  auto readout = kept_along(context, context.roles.readout, share, drawn.values, "kept_readout");
  drawn.apply = [lines, readout, padding, complex_image = context.volume.is_complex()](
                    Block& block, int threads) {
    on_magnitude(block, complex_image, threads, [&](float* x, std::int64_t) {
      for (const double kept : lines) {
        cover(kept, readout.data(), padding, block.readout(), x);
        x += block.readout();
      }
    });
  };
  return drawn;
}

}  // namespace

Artifact border() {
  return {{"border",
           "Cropped export: a frame of one grey value covers the edge of the object",
           "Area-weighted coverage: Porter and Duff 1984, SIGGRAPH 18:253 (over)",
           Stage::export_,
           {{"width_percent",
             "%",
             "lost at each side, of the object's width and height",
             0,
             49,
             {2, 4, 8, 12, 20},
             0},
            {"padding",
             "1",
             "grey value of the frame / mean of the foreground",
             0,
             10,
             {0, 0, 0, 0, 0},
             0}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
