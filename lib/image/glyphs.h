// Letters of 3 x 5 dots, for words in pictures.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace mr::image {

constexpr int glyph_width = 3, glyph_height = 5;

/// One octal digit a row from the top, its highest bit to the left; 0 for what has no glyph.
/// Digits, letters (small ones as capitals) and - . : / have one.
int glyph(char c);

/// Writes text with dots of `dot` pixels, its top left corner at (left, top); what does not fit is
/// cut. pixels is [height, width] with this width.
void draw_text(std::string_view text, int left, int top, int dot, std::uint8_t grey, int width,
               std::vector<std::uint8_t>& pixels);

}  // namespace mr::image
