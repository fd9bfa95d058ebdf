#include <algorithm>

#include "artifact/export/intensity.h"
#include "artifact/object_extent.h"
#include "base/simd.h"

namespace mr::artifact {
namespace {

/// Mixes a line with the padding, whose share grows as `kept_line` and `kept` fall.
MR_SIMD void cover(double kept_line, const double* kept, double padding, std::int64_t n, float* x) {
  for (std::int64_t i = 0; i < n; ++i) {
    const double share = kept_line * kept[i], value = static_cast<double>(x[i]);
    x[i] = static_cast<float>(share * value + (1 - share) * padding);
  }
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
std::vector<double> kept_along(const Context& context, Role role, double share, Record& record,
                               const char* name) {
  const auto object = object_extent(context, role);
  const double cut = share * static_cast<double>(object.count());
  const double from = static_cast<double>(object.first) + cut;
  const double to = static_cast<double>(object.last + 1) - cut;
  record.set(name, std::array<double, 2>{from, to});
  return kept_shares(context.volume.length(context.roles.axis(role)), from, to);
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
  auto lines = kept_along(context, Role::phase_encode, share, drawn.values, "kept_phase_encode");
  auto readout = kept_along(context, Role::readout, share, drawn.values, "kept_readout");
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
