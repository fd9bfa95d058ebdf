#include "image/glyphs.h"

#include <array>

namespace mr::image {

int glyph(char c) {
  static constexpr std::array<int, 36> digits_and_letters = {
      075557, 026227, 071747, 071717, 055711, 074717, 074757, 071111, 075757,
      075717, 025755, 065656, 034443, 065556, 074647, 074644, 034553, 055755,
      072227, 011152, 055655, 044447, 057755, 065555, 025552, 065644, 025563,
      065655, 034216, 072222, 055557, 055552, 055775, 055255, 055222, 071247};
  if (c >= '0' && c <= '9') return digits_and_letters[static_cast<std::size_t>(c - '0')];
  if (c >= 'a' && c <= 'z') return digits_and_letters[static_cast<std::size_t>(c - 'a' + 10)];
  if (c >= 'A' && c <= 'Z') return digits_and_letters[static_cast<std::size_t>(c - 'A' + 10)];
  switch (c) {
    case '-':
      return 000700;
    case '.':
      return 000002;
    case ':':
      return 002020;
    case '/':
      return 011244;
    default:
      return 0;
  }
}

void draw_text(std::string_view text, int left, int top, int dot, std::uint8_t grey, int width,
               std::vector<std::uint8_t>& pixels) {
  const int height = static_cast<int>(pixels.size()) / width;
  for (const char c : text) {
    const int bits = glyph(c);
    for (int y = 0; y < glyph_height * dot; ++y)
      for (int x = 0; x < glyph_width * dot; ++x) {
        const int row = bits >> (3 * (glyph_height - 1 - y / dot));
        const bool inked = (row >> (glyph_width - 1 - x / dot) & 1) != 0;
        if (inked && left + x >= 0 && left + x < width && top + y >= 0 && top + y < height)
          pixels[static_cast<std::size_t>((top + y) * width + left + x)] = grey;
      }
    left += (glyph_width + 1) * dot;
  }
}

}  // namespace mr::image
