#include "artifact/field/displacement.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "artifact/elementary.h"
#include "artifact/field/foreground.h"
#include "artifact/field/solid_harmonics.h"
#include "artifact/rows.h"
#include "base/error.h"
#include "base/simd.h"
#include "base/threads.h"

namespace mr::artifact {
namespace {

/// In lanes, since compilers do not reorder maxima. n  a multiple of the lanes
using LanePeaks = std::array<float, 16>;

MR_SIMD void add_peak(const std::uint8_t* mask, const float* values, std::int64_t n,
                      LanePeaks& peak) {
  LanePeaks most = peak;
  for (std::int64_t first = 0; first < n; first += static_cast<std::int64_t>(most.size()))
    for (std::size_t l = 0; l < most.size(); ++l) {
      const float size = std::fabs(values[first + static_cast<std::int64_t>(l)]);
      const bool larger = (mask[first + static_cast<std::int64_t>(l)] != 0) & (size > most[l]);
      most[l] = larger ? size : most[l];
    }
  peak = most;
}

/// Largest magnitude of a map within the foreground of any frame.
double peak_of(const image::Volume& map, const Context& context) {
  const auto mask = foreground_of_any_frame(context);
  const auto of_part = [&](std::int64_t index) {
    LanePeaks peak{};
    const auto first = index * scan_part, end = std::min(first + scan_part, mask.size());
    const auto whole = first + (end - first) / 16 * 16;
    add_peak(mask.data() + first, map.voxels.data() + first, whole - first, peak);
    for (auto i = whole; i < end; ++i)
      if (mask[i]) peak[0] = std::max(peak[0], std::fabs(map.voxels[i]));
    return *std::max_element(peak.begin(), peak.end());
  };
  const auto peaks = parallel_map(context.threads, parts_of(mask.size()), of_part);
  return static_cast<double>(*std::max_element(peaks.begin(), peaks.end()));
}

/// The axis that voxels move along: n cells, of which what leaves the image is lost or comes back.
struct Axis {
  std::int64_t n;
  Ends ends;
};

/// Where the boxes of some voxels come to lie that follow each other in memory: most cover one cell
/// or two.
struct Boxes {
  std::vector<std::int32_t> cell;  // the first one, plus 1
  std::vector<float> share, next;  // of that cell and of the one behind it; 0 for wide boxes
  std::vector<float> low, high;    // edges, from the voxel's own first edge
  bool any_wide = false;

  explicit Boxes(std::int64_t voxels)
      : cell(static_cast<std::size_t>(voxels)),
        share(cell.size()),
        next(cell.size()),
        low(cell.size()),
        high(cell.size()) {}

  bool is_wide(std::size_t i) const { return high[i] > std::floor(low[i]) + 2; }
};

constexpr float farthest = 1e6f;  // voxels; where a map has no signal it may hold anything

[[gnu::always_inline]] inline float within_reach(float edge) {
  const float low = edge > -farthest ? edge : -farthest;
  return low < farthest ? low : farthest;
}

/// Edges that the distances of neighbours `before` and `after` and their own set.
MR_SIMD void find_edges(const float* before, const float* own, const float* after, std::int64_t n,
                        float* low, float* high) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float a = within_reach((before[i] + own[i]) / 2);
    const float b = within_reach(1 + (own[i] + after[i]) / 2);
    low[i] = a < b ? a : b;
    high[i] = a < b ? b : a;
  }
}

/// share, next and cell of boxes; voxel i is voxel first + i step of its line. Where nothing wraps
/// `period` is 0.
MR_SIMD void share_out(const float* low, const float* high, std::int64_t voxels, float first,
                       float step, float cells, float period, float* share, float* next,
                       std::int32_t* cell) {
  const float by_cells = 1 / cells;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(voxels); ++i) {
    const float whole = fast_floor(low[i]), edge = whole + 1;
    const float split = (edge - low[i]) / (high[i] - low[i]);  // above 1 within one cell
    const float part = split < 1 ? split : 1.0f;
    const float at = first + static_cast<float>(i) * step + whole;
    const float turned = at - period * fast_floor(at * by_cells);  // or off by one period
    const float not_below = turned + (turned < 0 ? period : 0.0f);
    const float place = not_below - (not_below >= cells ? period : 0.0f);
    const float from_first = place >= -1 ? place : -1.0f;
    const float within = from_first < cells ? from_first : -1.0f;
    const float kept = (within == place ? 1.0f : 0.0f) * (high[i] > edge + 1 ? 0.0f : 1.0f);
    share[i] = kept * part;
    next[i] = kept * (1 - part);
    cell[i] = static_cast<std::int32_t>(within) + 1;
  }
}

/// Boxes that cover more than two cells.
MR_SIMD std::int32_t count_wide(const float* low, const float* high, std::int64_t voxels) {
  std::int32_t wide = 0;
  for (std::int64_t i = 0; i < voxels; ++i) wide += high[i] > fast_floor(low[i]) + 2 ? 1 : 0;
  return wide;
}

MR_SIMD void add_planes(const float* a, const float* b, std::int64_t n, float* sum) {
  for (std::int64_t i = 0; i < n; ++i) sum[i] = a[i] + b[i];
}

/// Sums of what arrives in the cells of `width` lines side by side, of one part of the image. A
/// voxel's two shares go into two planes [n + 1, width], so that neighbours do not wait for each
/// other: row c + 1 of `own` belongs to cell c, and so does row c of `behind`.
class Sums {
 public:
  Sums(Axis axis, std::int64_t width)
      : axis_(axis), width_(width), own_(static_cast<std::size_t>((axis.n + 1) * width)) {
    behind_ = own_;
  }

  /// values[i] belongs to line i * apart, where it is voxel first + i step.
  void add(const Boxes& boxes, std::int64_t first, std::int64_t step, std::int64_t apart,
           const float* values) {
    const auto voxels = static_cast<std::int64_t>(boxes.cell.size());
    for (std::int64_t i = 0; i < voxels; ++i) {
      const auto b = static_cast<std::size_t>(i);
      const auto at = static_cast<std::size_t>(boxes.cell[b] * width_ + i * apart);
      own_[at] += boxes.share[b] * values[i];
      behind_[at] += boxes.next[b] * values[i];
    }
    for (std::int64_t i = 0; boxes.any_wide && i < voxels; ++i) {
      const auto b = static_cast<std::size_t>(i);
      if (boxes.is_wide(b))
        add_wide(static_cast<double>(boxes.low[b]), static_cast<double>(boxes.high[b]),
                 first + i * step, i * apart, values[i]);
    }
  }

  /// Writes the sums, row by row, and starts again.
  void take(float* values) {
    if (axis_.ends == Ends::wrap)
      add_scaled_row(1, behind_.data() + axis_.n * width_, width_, behind_.data());
    add_planes(own_.data() + width_, behind_.data(), axis_.n * width_, values);
    std::fill(own_.begin(), own_.end(), 0.0f);
    std::fill(behind_.begin(), behind_.end(), 0.0f);
  }

 private:
  void add_wide(double low, double high, std::int64_t voxel, std::int64_t line, float value) {
    for (double cell = std::floor(low); cell < high; ++cell) {
      const double covered = std::min(high, cell + 1) - std::max(low, cell);
      auto to = voxel + static_cast<std::int64_t>(cell);
      if (axis_.ends == Ends::wrap) to = (to % axis_.n + axis_.n) % axis_.n;
      if (to < 0 || to >= axis_.n) continue;
      own_[static_cast<std::size_t>((to + 1) * width_ + line)] +=
          static_cast<float>(covered / (high - low)) * value;
    }
  }

  Axis axis_;
  std::int64_t width_;
  std::vector<float> own_, behind_;
};

/// Boxes of voxels that are voxel first + i step of their lines.
void find_boxes(const float* before, const float* own, const float* after, std::int64_t first,
                std::int64_t step, Axis axis, Boxes& boxes) {
  const auto voxels = static_cast<std::int64_t>(boxes.cell.size());
  find_edges(before, own, after, voxels, boxes.low.data(), boxes.high.data());
  const auto cells = static_cast<float>(axis.n);
  share_out(boxes.low.data(), boxes.high.data(), voxels, static_cast<float>(first),
            static_cast<float>(step), cells, axis.ends == Ends::wrap ? cells : 0.0f,
            boxes.share.data(), boxes.next.data(), boxes.cell.data());
  boxes.any_wide = count_wide(boxes.low.data(), boxes.high.data(), voxels) > 0;
}

/// Line by line.
void displace_rows(const Array<float>& distance, Ends ends, float* re, float* im) {
  const auto n = distance.shape(1);
  const Axis axis{n, ends};
  Boxes boxes(n);
  Sums sums(axis, 1);
  std::vector<float> padded(static_cast<std::size_t>(n + 2));
  for (std::int64_t start = 0; start < distance.size(); start += n) {
    std::copy_n(distance.data() + start, n, padded.data() + 1);
    padded.front() = distance[start];
    padded.back() = distance[start + n - 1];
    find_boxes(padded.data(), padded.data() + 1, padded.data() + 2, 0, 1, axis, boxes);
    for (float* part : {re, im}) {
      if (!part) continue;
      sums.add(boxes, 0, 1, 0, part + start);
      sums.take(part + start);
    }
  }
}

/// All columns at once.
void displace_columns(const Array<float>& distance, Ends ends, float* re, float* im) {
  const auto n = distance.shape(0), columns = distance.shape(1);
  const Axis axis{n, ends};
  Boxes boxes(columns);
  std::vector<Sums> sums(im ? 2 : 1, Sums(axis, columns));
  const auto row = [&](std::int64_t line) {
    return distance.data() + std::clamp(line, std::int64_t{0}, n - 1) * columns;
  };
  for (std::int64_t line = 0; line < n; ++line) {
    find_boxes(row(line - 1), row(line), row(line + 1), line, 0, axis, boxes);
    sums[0].add(boxes, line, 0, 1, re + line * columns);
    if (im) sums[1].add(boxes, line, 0, 1, im + line * columns);
  }
  sums[0].take(re);
  if (im) sums[1].take(im);
}

MR_SIMD void scale(double factor, std::int64_t n, float* values) {
  for (std::int64_t i = 0; i < n; ++i)
    values[i] = static_cast<float>(factor * static_cast<double>(values[i]));
}

}  // namespace

void displace(const Array<float>& distance, Role along, Ends ends, float* re, float* im) {
  if (along == Role::readout)
    displace_rows(distance, ends, re, im);
  else
    displace_columns(distance, ends, re, im);
}

std::function<Array<float>(std::int64_t slice)> displacement_by_field(const Context& context,
                                                                      const Values& values,
                                                                      const std::string& artifact,
                                                                      double peak, Record& record) {
  if (values.at("proxy") != 0) {
    HarmonicField field(context, "field", artifact);
    field.scale(peak / field.measure().peak);
    record.set("field", "drawn");
    record.set("displacement", field.record());
    return [field](std::int64_t slice) { return field.slice(slice); };
  }
  const auto& map = context.maps.at(Map::field);
  const double peak_hz = peak_of(map, context);
  if (!(peak_hz > 0 && std::isfinite(peak_hz)))
    throw DataError(artifact + ": the field map: want a field in the foreground, found at most " +
                    std::to_string(peak_hz) + " Hz");
  record.set("field", "map");
  record.set("hz_per_voxel", peak_hz / peak);
  return [map = &map, roles = context.roles, factor = peak / peak_hz](std::int64_t slice) {
    auto distance = map_slice(roles, *map, slice);
    scale(factor, distance.size(), distance.data());
    return distance;
  };
}

Drawn draw_distortion(const Context& context, const Values& values, const std::string& artifact,
                      Role along) {
  Drawn drawn;
  const auto distance =
      displacement_by_field(context, values, artifact, values.at("peak_px"), drawn.values);
  drawn.apply = [distance, along](Block& block, int threads) {
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      displace(distance(slice), along, Ends::wrap, re, im);
    });
  };
  return drawn;
}

}  // namespace mr::artifact
