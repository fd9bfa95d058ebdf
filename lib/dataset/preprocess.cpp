#include "dataset/preprocess.h"

#include <algorithm>
#include <cmath>

#include "artifact/recipe.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace mr::dataset {
namespace {

const std::vector<std::string> standardisation_names = {"none", "scale:K", "volume-percentile",
                                                        "slice-zscore"};

/// Percentile p in [0, 1] by linear interpolation of order statistics (type 7); reorders `values`.
double percentile(std::vector<float>& values, double p) {
  const double rank = p * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(rank);
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values.begin(), nth, values.end());
  const double low = *nth, part = rank - static_cast<double>(below);
  if (part == 0) return low;
  return low + part * (*std::min_element(nth + 1, values.end()) - low);
}

std::int64_t frame_size(const image::Volume& volume) {
  return count(volume.shape()) / volume.frames();
}

/// What a network sees of voxel i of a frame: of coils the root of the sum of squares, of repeats
/// in time and of echoes the first.
float magnitude_at(const image::Volume& volume, std::int64_t i) {
  const auto at = [&](std::int64_t v) {
    return volume.is_complex() ? std::abs(volume.complex_voxels[v]) : volume.voxels[v];
  };
  if (volume.frames() == 1 || volume.acquisition.dim4 != "coil") return at(i);
  double squares = 0;
  for (std::int64_t f = 0; f < volume.frames(); ++f) {
    const double value = at(f * frame_size(volume) + i);
    squares += value * value;
  }
  return static_cast<float>(std::sqrt(squares));
}

/// Stored axis and direction of a picture's rows or columns.
struct PictureAxis {
  int axis;
  bool reversed;
};

struct PictureAxes {
  PictureAxis rows, columns;
};

/// Rows run superior to inferior, or anterior to posterior where the slice is axial; columns run
/// right to left, or anterior to posterior: as a radiologist holds a film.
PictureAxes picture_axes(const image::Affine& affine, int slice_axis) {
  const auto codes = image::orientation(affine);
  const auto runs = [&](int axis, char first, char second) {
    const char code = codes[static_cast<std::size_t>(axis)];
    return code == first || code == second;
  };
  int a = slice_axis == 0 ? 1 : 0, b = slice_axis == 2 ? 1 : 2;
  const bool a_is_row = runs(a, 'S', 'I') || (runs(a, 'A', 'P') && !runs(b, 'S', 'I'));
  if (!a_is_row) std::swap(a, b);
  const auto code = [&](int axis) { return codes[static_cast<std::size_t>(axis)]; };
  // A code names where the index grows to: growing to S must be reversed to begin at the top.
  const bool flip_rows = code(a) == 'S' || code(a) == 'A';
  const bool flip_columns = code(b) == 'R' || code(b) == 'A';
  return {{a, flip_rows}, {b, flip_columns}};
}

struct Picture {
  int height = 0, width = 0;
  std::vector<float> pixels;
};

Picture take_slice(const image::Volume& volume, const Slice& slice, const PictureAxes& axes) {
  const std::int64_t strides[3] = {1, volume.length(0), volume.length(0) * volume.length(1)};
  Picture picture{static_cast<int>(volume.length(axes.rows.axis)),
                  static_cast<int>(volume.length(axes.columns.axis)),
                  {}};
  picture.pixels.resize(static_cast<std::size_t>(picture.height) *
                        static_cast<std::size_t>(picture.width));
  std::size_t at = 0;
  for (std::int64_t r = 0; r < picture.height; ++r)
    for (std::int64_t c = 0; c < picture.width; ++c) {
      const auto y = axes.rows.reversed ? picture.height - 1 - r : r;
      const auto x = axes.columns.reversed ? picture.width - 1 - c : c;
      picture.pixels[at++] =
          magnitude_at(volume, slice.index * strides[slice.axis] + y * strides[axes.rows.axis] +
                                   x * strides[axes.columns.axis]);
    }
  return picture;
}

/// Resamples lines of length n (stride 1 apart, `lines` of them) to m samples `ratio` source
/// samples apart, centres aligned: a triangle filter as wide as the larger of the two spacings,
/// so that shrinking does not alias.
std::vector<float> resample_lines(const std::vector<float>& in, int lines, int n, int m,
                                  double ratio) {
  std::vector<float> out(static_cast<std::size_t>(lines) * static_cast<std::size_t>(m));
  const double support = std::max(1.0, ratio);
  for (int j = 0; j < m; ++j) {
    const double centre = (j - 0.5 * (m - 1)) * ratio + 0.5 * (n - 1);
    const int first = std::max(0, static_cast<int>(std::ceil(centre - support)));
    const int last = std::min(n - 1, static_cast<int>(std::floor(centre + support)));
    double total = 0;
    std::vector<double> weights;
    for (int i = first; i <= last; ++i) {
      weights.push_back(std::max(0.0, 1 - std::abs(i - centre) / support));
      total += weights.back();
    }
    for (int line = 0; line < lines && total > 0; ++line) {
      double sum = 0;
      for (int i = first; i <= last; ++i)
        sum += weights[static_cast<std::size_t>(i - first)] *
               in[static_cast<std::size_t>(line) * static_cast<std::size_t>(n) +
                  static_cast<std::size_t>(i)];
      out[static_cast<std::size_t>(line) * static_cast<std::size_t>(m) +
          static_cast<std::size_t>(j)] = static_cast<float>(sum / total);
    }
  }
  return out;
}

void transpose(Picture& picture) {
  Picture turned{picture.width, picture.height, std::vector<float>(picture.pixels.size())};
  for (int r = 0; r < picture.height; ++r)
    for (int c = 0; c < picture.width; ++c)
      turned.pixels[static_cast<std::size_t>(c * picture.height + r)] =
          picture.pixels[static_cast<std::size_t>(r * picture.width + c)];
  picture = std::move(turned);
}

void resample_columns(Picture& picture, double spacing_mm, double wanted_mm) {
  const double ratio = wanted_mm / spacing_mm;
  const int width = std::max(1, static_cast<int>(std::lround(picture.width / ratio)));
  picture.pixels = resample_lines(picture.pixels, picture.height, picture.width, width, ratio);
  picture.width = width;
}

void crop_or_pad(const Picture& picture, const Preprocess& preprocess, float* out) {
  const int height = preprocess.size[0], width = preprocess.size[1];
  const int top = (picture.height - height) / 2 -
                  ((picture.height < height && (height - picture.height) % 2) ? 1 : 0);
  const int left = (picture.width - width) / 2 -
                   ((picture.width < width && (width - picture.width) % 2) ? 1 : 0);
  for (int r = 0; r < height; ++r)
    for (int c = 0; c < width; ++c) {
      const int y = r + top, x = c + left;
      const bool inside = y >= 0 && y < picture.height && x >= 0 && x < picture.width;
      *out++ = inside ? picture.pixels[static_cast<std::size_t>(y * picture.width + x)] : 0.0f;
    }
}

void zscore(float* pixels, std::size_t n) {
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < n; ++i) sum += pixels[i];
  const double mean = sum / static_cast<double>(n);
  for (std::size_t i = 0; i < n; ++i) squares += (pixels[i] - mean) * (pixels[i] - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(n));
  const double factor = deviation > 0 ? 1 / deviation : 0;
  for (std::size_t i = 0; i < n; ++i) pixels[i] = static_cast<float>((pixels[i] - mean) * factor);
}

/// The slice that a sample names, or the only one of a one-slice image.
Slice resolve_slice(const image::Volume& volume, const std::optional<Slice>& slice) {
  if (slice) {
    if (slice->index < 0 || slice->index >= volume.length(slice->axis))
      throw DataError("has no slice " + std::to_string(slice->index) + " along axis " +
                      std::string(1, "ijk"[slice->axis]) + ": its length is " +
                      std::to_string(volume.length(slice->axis)));
    return *slice;
  }
  for (const int axis : {2, 1, 0})
    if (volume.length(axis) == 1) return {axis, 0};
  throw DataError("is a volume, and the sample names no slice (mr-manifest slices names them)");
}

void extract_slice(const image::Volume& volume, const Slice& slice, const Scaling& scaling,
                   const Preprocess& preprocess, float* out) {
  const auto axes = picture_axes(volume.affine, slice.axis);
  auto picture = take_slice(volume, slice, axes);
  for (auto& pixel : picture.pixels)
    pixel = static_cast<float>((pixel - scaling.offset) * scaling.factor);
  if (preprocess.spacing_mm) {
    const auto spacing = [&](const PictureAxis& a) {
      return volume.spacing_mm[static_cast<std::size_t>(a.axis)];
    };
    resample_columns(picture, spacing(axes.columns), *preprocess.spacing_mm);
    transpose(picture);
    resample_columns(picture, spacing(axes.rows), *preprocess.spacing_mm);
    transpose(picture);
  }
  crop_or_pad(picture, preprocess, out);
  if (preprocess.standardisation == Standardisation::slice_zscore)
    zscore(out, static_cast<std::size_t>(preprocess.size[0]) *
                    static_cast<std::size_t>(preprocess.size[1]));
}

}  // namespace

void set_standardisation(Preprocess& preprocess, const std::string& text) {
  if (text == "none") {
    preprocess.standardisation = Standardisation::none;
  } else if (text == "volume-percentile") {
    preprocess.standardisation = Standardisation::volume_percentile;
  } else if (text == "slice-zscore") {
    preprocess.standardisation = Standardisation::slice_zscore;
  } else if (text.rfind("scale:", 0) == 0) {
    const auto scale = to_number(text.substr(6));
    if (!scale || *scale <= 0)
      throw UsageError("bad standardisation '" + text + "': want scale:K with K > 0");
    preprocess.scale = *scale;
    preprocess.standardisation = Standardisation::scale;
  } else {
    throw UsageError(unknown("standardisation", text, standardisation_names));
  }
}

std::string standardisation_name(const Preprocess& preprocess) {
  switch (preprocess.standardisation) {
    case Standardisation::none:
      return "none";
    case Standardisation::scale:
      return "scale:" + shortest(preprocess.scale);
    case Standardisation::volume_percentile:
      return "volume-percentile";
    case Standardisation::slice_zscore:
      return "slice-zscore";
  }
  throw Error(ExitStatus::internal, "standardisation out of range");
}

Json to_json(const Preprocess& preprocess) {
  return {{"standardisation", standardisation_name(preprocess)},
          {"orientation",
           "closest RAS: rows superior to inferior (axial: anterior to posterior), "
           "columns right to left (sagittal: anterior to posterior)"},
          {"spacing_mm", preprocess.spacing_mm ? Json(*preprocess.spacing_mm) : Json()},
          {"neighbours", preprocess.neighbours},
          {"depth", preprocess.depth ? Json(*preprocess.depth) : Json()},
          {"size", preprocess.size}};
}

Preprocess preprocess_from_json(const Json& object, const std::string& name) {
  Preprocess preprocess;
  set_standardisation(preprocess, string_member(object, "standardisation", name));
  const auto& size = member(object, "size", name);
  if (!size.is_array() || size.size() != 2 || !size[0].is_number_integer() ||
      !size[1].is_number_integer() || size[0] < 1 || size[1] < 1)
    throw DataError(name + ": size: want [rows, columns], got " + to_line(size));
  preprocess.size = {size[0].get<int>(), size[1].get<int>()};
  if (!member(object, "spacing_mm", name).is_null())
    preprocess.spacing_mm = number_member(object, "spacing_mm", name);
  preprocess.neighbours = static_cast<int>(integer_member(object, "neighbours", name));
  if (preprocess.neighbours < 1 || preprocess.neighbours % 2 == 0)
    throw DataError(name + ": neighbours: want an odd number, got " +
                    std::to_string(preprocess.neighbours));
  if (!member(object, "depth", name).is_null())
    preprocess.depth = static_cast<int>(integer_member(object, "depth", name));
  if (preprocess.depth && *preprocess.depth < 1)
    throw DataError(name + ": depth: want at least 1, got " + std::to_string(*preprocess.depth));
  return preprocess;
}

bool scales_by_image(const Preprocess& preprocess) {
  return preprocess.standardisation == Standardisation::volume_percentile;
}

Scaling measure_scaling(const image::Volume& volume, const Preprocess& preprocess) {
  if (preprocess.standardisation == Standardisation::scale) return {0, preprocess.scale};
  if (!scales_by_image(preprocess)) return {0, 1};
  std::vector<float> values(static_cast<std::size_t>(frame_size(volume)));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = magnitude_at(volume, static_cast<std::int64_t>(i));
  const double low = percentile(values, 0.01), high = percentile(values, 0.99);
  return {low, high > low ? 1 / (high - low) : 0};
}

std::vector<std::int64_t> input_shape(const Preprocess& preprocess) {
  const auto& size = preprocess.size;
  if (preprocess.depth) return {1, *preprocess.depth, size[0], size[1]};
  return {preprocess.neighbours, size[0], size[1]};
}

std::size_t input_elements(const Preprocess& preprocess) {
  std::size_t n = 1;
  for (const auto length : input_shape(preprocess)) n *= static_cast<std::size_t>(length);
  return n;
}

std::vector<std::optional<Slice>> input_slices(const image::Volume& volume,
                                               const std::optional<Slice>& wanted,
                                               const Preprocess& preprocess) {
  if (preprocess.depth && wanted)
    throw DataError("the sample is a slice; want whole images for an input of volumes");
  const auto first =
      preprocess.depth ? Slice{artifact::roles_of(volume).slice, 0} : resolve_slice(volume, wanted);
  const auto n = volume.length(first.axis);
  const char code = image::orientation(volume.affine)[static_cast<std::size_t>(first.axis)];
  const bool reversed = code == 'L' || code == 'P' || code == 'I';
  const auto count = static_cast<std::int64_t>(preprocess.depth.value_or(preprocess.neighbours));
  // Padding goes before the first slice where the count does not halve, as in crop_or_pad.
  const auto before = preprocess.depth
                          ? (n - count) / 2 - ((n < count && (count - n) % 2 != 0) ? 1 : 0)
                          : -(count / 2);
  std::vector<std::optional<Slice>> slices;
  for (std::int64_t i = 0; i < count; ++i) {
    if (!preprocess.depth) {
      const auto index = first.index + (reversed ? -(before + i) : before + i);
      slices.emplace_back(Slice{first.axis, std::clamp<std::int64_t>(index, 0, n - 1)});
    } else if (before + i < 0 || before + i >= n) {
      slices.emplace_back();
    } else {
      slices.emplace_back(Slice{first.axis, reversed ? n - 1 - before - i : before + i});
    }
  }
  return slices;
}

void extract(const image::Volume& volume, const std::optional<Slice>& slice, const Scaling& scaling,
             const Preprocess& preprocess, float* out) {
  extract(volume, input_slices(volume, slice, preprocess), scaling, preprocess, out);
}

void extract(const image::Volume& volume, const std::vector<std::optional<Slice>>& slices,
             const Scaling& scaling, const Preprocess& preprocess, float* out) {
  const auto pixels =
      static_cast<std::size_t>(preprocess.size[0]) * static_cast<std::size_t>(preprocess.size[1]);
  for (const auto& slice : slices) {
    if (slice)
      extract_slice(volume, *slice, scaling, preprocess, out);
    else
      std::fill_n(out, pixels, 0.0f);
    out += pixels;
  }
}

PictureSize picture_size(const image::Volume& volume, const std::optional<Slice>& wanted) {
  const auto axes = picture_axes(volume.affine, resolve_slice(volume, wanted).axis);
  const auto spacing = [&](int axis) { return volume.spacing_mm[static_cast<std::size_t>(axis)]; };
  return {{static_cast<int>(volume.length(axes.rows.axis)),
           static_cast<int>(volume.length(axes.columns.axis))},
          {spacing(axes.rows.axis), spacing(axes.columns.axis)}};
}

}  // namespace mr::dataset
