#include <cmath>

#include "artifact/encoding/line_weights.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;
using Column = std::vector<std::complex<double>>;

bool acts(const Values& values) {
  return values.at("peak") != 0;
}

/// The transform along phase encoding of what is added to lines, as a share of a constant offset:
/// 1 at the centre where nothing drifts, else a line through it.
Column spread(const std::vector<double>& of_line) {
  const auto n = static_cast<std::int64_t>(of_line.size());
  Column column(of_line.size());
  for (std::int64_t y = 0; y < n; ++y)
    for (std::int64_t k = 0; k < n; ++k)
      column[static_cast<std::size_t>(y)] += std::polar(
          of_line[static_cast<std::size_t>(k)] / static_cast<double>(n),
          2 * pi * static_cast<double>((k - n / 2) * (y - n / 2) % n) / static_cast<double>(n));
  return column;
}

/// K += d (1 + drift (t - t_centre) / T): a constant offset of the receiver is a point at the
/// centre of the image, of modulus d sqrt(N); one that drifts through the scan is a line along
/// phase encoding. In 2-D each slice has its point, in 3-D the volume has one.
Drawn draw(const Context& context, const Values& values) {
  const double peak = values.at("peak") * context.facts.signal, drift = values.at("drift");
  const double phase = 2 * pi * uniform(context.frame_stream("phase"), 0);
  Drawn drawn;
  drawn.values.set("peak", peak).set("phase_rad", phase);
  std::vector<double> of_line(static_cast<std::size_t>(context.lines()), 1.0);
  if (drift != 0) {
    drawn.values.update(times_record(context));
    for (std::size_t y = 0; y < of_line.size(); ++y)
      of_line[y] += drift * scan_share(context, static_cast<std::int64_t>(y));
  }
  Column column(of_line.size());
  column[column.size() / 2] = 1;
  if (drift != 0) column = spread(of_line);
  for (auto& value : column) value *= std::polar(peak, phase);
  const auto only_slice = context.is_3d() ? context.slices() / 2 : -1;
  drawn.apply = [column, only_slice](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      if (only_slice >= 0 && slice != only_slice) return;
      auto at = block.readout() / 2;
      for (const auto& value : column) {
        re[at] += static_cast<float>(value.real());
        im[at] += static_cast<float>(value.imag());
        at += block.readout();
      }
    });
  };
  return drawn;
}

}  // namespace

Artifact dc_offset() {
  return {{"dc-offset",
           "Constant offset of the receiver: a bright point at the centre of the field of view",
           "Graves and Mitchell 2013, J Magn Reson Imaging 38:269 (centre point artifact)",
           Stage::receiver,
           {{"peak",
             "1",
             "modulus of the point / mean of the foreground",
             0,
             1000,
             {1, 2, 4, 8, 16},
             0},
            {"drift",
             "1",
             "change of the offset through the scan / offset: the point becomes a line",
             -10,
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
