#include <algorithm>
#include <cmath>

#include "artifact/export/intensity.h"
#include "base/error.h"
#include "image/glyphs.h"

namespace mr::artifact {
namespace {

using image::glyph_height;
using image::glyph_width;

/// Dots of an overlay in the order in which they are burnt in: text of the first rows alternately
/// from the top and from the bottom, glyph after glyph, column after column.
struct Layout {
  std::int64_t width, height;  // of the slice, along and across the text
  std::int64_t dot;            // edge of a dot [voxel]
  std::int64_t columns() const {
    return std::max<std::int64_t>(1, width / ((glyph_width + 1) * dot));
  }
  std::int64_t rows() const {
    return std::max<std::int64_t>(1, height / ((glyph_height + 1) * dot));
  }
  std::int64_t first_row(std::int64_t r) const {
    const auto pitch = (glyph_height + 1) * dot;
    return r % 2 == 0 ? dot + r / 2 * pitch : height - (r / 2 + 1) * pitch;
  }
};

void add_glyph(const Layout& layout, int glyph, std::int64_t left, std::int64_t top,
               std::vector<std::int64_t>& voxels) {
  for (std::int64_t x = 0; x < glyph_width * layout.dot; ++x)
    for (std::int64_t y = 0; y < glyph_height * layout.dot; ++y) {
      const auto row = glyph >> (3 * (glyph_height - 1 - y / layout.dot));
      const bool inked = (row >> (glyph_width - 1 - x / layout.dot) & 1) != 0;
      if (inked && left + x < layout.width && top + y >= 0 && top + y < layout.height)
        voxels.push_back((top + y) * layout.width + left + x);
    }
}

/// Voxels [across, along] in order, and the text, a line for each row.
std::vector<std::int64_t> write_text(const Layout& layout, RandomKey key, std::size_t wanted,
                                     Record& record) {
  std::vector<std::int64_t> voxels;
  for (std::int64_t r = 0; r < layout.rows() && voxels.size() < wanted; ++r) {
    std::string line;
    for (std::int64_t c = 0; c < layout.columns(); ++c) {
      const auto which = below(key, static_cast<std::uint64_t>(r * layout.columns() + c), 36);
      line += static_cast<char>(which < 10 ? '0' + which : 'A' + which - 10);
      add_glyph(layout, image::glyph(line.back()), layout.dot + c * (glyph_width + 1) * layout.dot,
                layout.first_row(r), voxels);
    }
    record.append("text", line);
  }
  voxels.resize(std::min(voxels.size(), wanted));
  return voxels;
}

/// How a slice hangs on the wall: head or front up, the patient's left or back to the right.
struct Hanging {
  int across = 0, down = 1;  // stored axes
  bool across_reversed = false, down_reversed = false;
};

Hanging hanging_of(const Context& context) {
  const auto towards = image::orientation(context.volume.affine);
  const auto letter = [&](int axis) { return towards[static_cast<std::size_t>(axis)]; };
  const auto height = [&](int axis) {
    return std::string("RLAPSI").find(letter(axis)) / 2;  // which of two axes stands upright
  };
  Hanging h{std::min(context.roles.readout, context.roles.phase_encode),
            std::max(context.roles.readout, context.roles.phase_encode)};
  if (height(h.across) > height(h.down)) std::swap(h.across, h.down);
  h.across_reversed = letter(h.across) == 'R' || letter(h.across) == 'A';
  h.down_reversed = letter(h.down) == 'S' || letter(h.down) == 'A';
  return h;
}

/// Voxels [across, along] of the page as voxels [lines, readout] of a block.
void hang(const Hanging& hanging, const Layout& layout, bool along_readout,
          std::vector<std::int64_t>& voxels) {
  for (auto& v : voxels) {
    auto x = v % layout.width, y = v / layout.width;
    if (hanging.across_reversed) x = layout.width - 1 - x;
    if (hanging.down_reversed) y = layout.height - 1 - y;
    v = along_readout ? y * layout.width + x : x * layout.height + y;
  }
}

std::string direction(int axis, bool reversed) {
  return std::string(1, "ijk"[axis]) + (reversed ? "-" : "");
}

bool acts(const Values& values) {
  return values.at("area_percent") != 0;
}

/// The same text in every slice, at the clean image's maximum and upright on a display; all else
/// stays bit for bit. A dot is a 128th of the slice's shorter side, as of the letters on a console.
Drawn draw(const Context& context, const Values& values) {
  const auto hanging = hanging_of(context);
  const bool along_readout = hanging.across == context.roles.readout;
  Layout layout{context.lines(), context.readout(), 1};
  if (along_readout) std::swap(layout.width, layout.height);
  layout.dot = std::max<std::int64_t>(1, std::min(layout.width, layout.height) / 128);
  const auto wanted =
      std::max(1LL, std::llround(values.at("area_percent") / 100 *
                                 static_cast<double>(layout.width * layout.height)));
  Drawn drawn;
  auto voxels =
      write_text(layout, context.stream("text"), static_cast<std::size_t>(wanted), drawn.values);
  if (static_cast<long long>(voxels.size()) < wanted)
    throw DataError("burnt-in-text: want " + std::to_string(wanted) +
                    " voxels of ink, the slice has room for " + std::to_string(voxels.size()));
  drawn.values.set("dot_voxels", layout.dot);
  drawn.values.set("burnt_voxels", voxels.size());
  drawn.values.set("value", context.facts.maximum);
  drawn.values.set("right", direction(hanging.across, hanging.across_reversed));
  drawn.values.set("down", direction(hanging.down, hanging.down_reversed));
  hang(hanging, layout, along_readout, voxels);
  drawn.apply = [voxels, value = static_cast<float>(context.facts.maximum),
                 complex_image = context.volume.is_complex()](Block& block, int threads) {
    on_magnitude(block, complex_image, threads, [&](float* x, std::int64_t) {
      for (const auto v : voxels) x[v] = value;
    });
  };
  return drawn;
}

}  // namespace

Artifact burnt_in_text() {
  return {{"burnt-in-text",
           "Letters and digits of a console or report, written into the voxels of every slice",
           "DICOM PS3.3 2024, C.7.6.1.1.3 (Burned In Annotation)",
           Stage::export_,
           {{"area_percent",
             "%",
             "share of the slice's voxels that are ink",
             0,
             25,
             {1, 2, 4, 6, 10},
             0}},
           0,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
