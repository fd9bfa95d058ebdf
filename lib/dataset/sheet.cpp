#include "dataset/sheet.h"

#include <algorithm>

#include "base/error.h"
#include "base/threads.h"
#include "dataset/picture.h"
#include "image/glyphs.h"
#include "image/png.h"

namespace mr::dataset {
namespace {

constexpr int columns = 6;       // clean, then severities 1 to 5
constexpr int longest_px = 128;  // of a tile; small ones are enlarged, dot by dot
constexpr int gap = 2, dot = 2;  // [px]
constexpr int caption = image::glyph_height * dot + 4;
constexpr std::uint8_t paper = 255, ink = 0;

/// An artifact's pictures, or why there are none.
struct Row {
  std::vector<Picture> pictures;
  std::string refused;
};

/// Each pixel `times` x `times`.
Picture enlarged(const Picture& picture, int times) {
  Picture out{picture.rows * times, picture.columns * times, {}};
  for (int y = 0; y < out.rows; ++y)
    for (int x = 0; x < out.columns; ++x)
      out.pixels.push_back(
          picture.pixels[static_cast<std::size_t>(y / times * picture.columns + x / times)]);
  return out;
}

Picture tile(const image::Volume& volume, const Slice& slice) {
  const auto picture = picture_of(volume, slice, longest_px);
  return enlarged(picture, std::max(1, longest_px / std::max(picture.rows, picture.columns)));
}

Row draw_row(const CleanImage& clean, const std::string& id, const std::string& artifact,
             const Slice& slice, const Picture& untouched, std::uint64_t seed) {
  Row row{{untouched}, ""};
  for (int severity = 1; severity < columns; ++severity) {
    artifact::Recipe recipe;
    recipe.steps.push_back({artifact, static_cast<double>(severity), {}});
    auto volume = clean.volume;
    try {
      artifact::corrupt(volume, recipe, clean.facts, {seed, id, std::nullopt, {}}, 1, clean.maps);
    } catch (const DataError& e) {
      row.refused = e.what();
      return row;
    }
    row.pictures.push_back(tile(volume, slice));
  }
  return row;
}

class Canvas {
 public:
  Canvas(int width, int height)
      : width_(width),
        height_(height),
        pixels_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), paper) {}

  void paste(const Picture& picture, float black, float white, int left, int top) {
    const auto grey = to_grey(picture, black, white);
    for (int y = 0; y < picture.rows; ++y)
      std::copy_n(grey.begin() + y * picture.columns, picture.columns,
                  pixels_.begin() + (top + y) * width_ + left);
  }

  void write(const std::string& text, int left, int top) {
    image::draw_text(text, left, top, dot, ink, width_, pixels_);
  }

  std::string png() const { return image::encode_png(pixels_, width_, height_); }

 private:
  int width_, height_;
  std::vector<std::uint8_t> pixels_;
};

Picture difference(const Picture& picture, const Picture& clean) {
  auto out = picture;
  for (std::size_t i = 0; i < out.pixels.size(); ++i) out.pixels[i] -= clean.pixels[i];
  return out;
}

/// A caption, the pictures, their differences from the first.
void add_row(const std::string& artifact, const std::vector<Picture>& pictures, int top,
             Canvas& canvas) {
  const auto& clean = pictures[0];
  const float white = white_of(clean);
  canvas.write(artifact, gap, top + 2);
  for (int c = 0; c < columns; ++c) {
    const auto& picture = pictures[static_cast<std::size_t>(c)];
    const int left = gap + c * (clean.columns + gap);
    canvas.paste(picture, 0, white, left, top + caption);
    canvas.paste(difference(picture, clean), -white / 2, white / 2, left,
                 top + caption + clean.rows + gap);
  }
}

}  // namespace

std::string contact_sheet(const CleanImage& clean, const std::string& id,
                          const SheetOptions& options, const std::string& name,
                          const Messages& messages) {
  const auto roles = artifact::roles_of(clean.volume);
  const auto slices = clean.volume.length(roles.slice);
  const Slice slice{roles.slice, options.slice.value_or(slices / 2)};
  if (slice.index < 0 || slice.index >= slices)
    throw DataError(name + ": slice " + std::to_string(slice.index) + ": want 0.." +
                    std::to_string(slices - 1));
  const auto untouched = tile(clean.volume, slice);
  std::vector<Row> rows(options.artifacts.size());
  Progress progress(messages, "corrupting", static_cast<std::int64_t>(rows.size()));
  parallel_for(options.threads, static_cast<std::int64_t>(rows.size()), [&](std::int64_t i) {
    throw_if_stopped();
    const auto r = static_cast<std::size_t>(i);
    rows[r] = draw_row(clean, id, options.artifacts[r], slice, untouched, options.seed);
  });
  std::vector<std::size_t> shown;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    progress.advance();
    if (rows[r].refused.empty())
      shown.push_back(r);
    else
      messages.warn("left out: " + rows[r].refused);
  }
  if (shown.empty()) throw DataError(name + ": no artifact to show");
  const int height = caption + 2 * (untouched.rows + gap) + gap, header = caption;
  Canvas canvas(gap + columns * (untouched.columns + gap),
                header + height * static_cast<int>(shown.size()));
  for (int c = 0; c < columns; ++c)
    canvas.write(c == 0 ? "clean" : std::to_string(c), gap + c * (untouched.columns + gap), 2);
  for (std::size_t r = 0; r < shown.size(); ++r)
    add_row(options.artifacts[shown[r]], rows[shown[r]].pictures,
            header + height * static_cast<int>(r), canvas);
  return canvas.png();
}

}  // namespace mr::dataset
