#include "image/csa.h"

#include <cstdint>
#include <optional>

namespace mr::image {
namespace {

/// Takes numbers and text from the front; nothing once the bytes have run out.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  std::optional<std::string_view> take(std::size_t n) {
    if (n > left_.size()) return std::nullopt;
    const auto taken = left_.substr(0, n);
    left_.remove_prefix(n);
    return taken;
  }

  std::optional<std::uint32_t> take_number() {
    const auto four = take(4);
    if (!four) return std::nullopt;
    std::uint32_t x = 0;
    for (std::size_t i = 4; i-- > 0;) x = x << 8 | static_cast<unsigned char>((*four)[i]);
    return x;
  }

 private:
  std::string_view left_;
};

/// Up to the first zero, without blanks at the ends.
std::string trimmed(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  const auto first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(' ') - first + 1));
}

}  // namespace

std::map<std::string, std::vector<std::string>> read_csa(std::string_view bytes) {
  std::map<std::string, std::vector<std::string>> elements;
  Reader in(bytes);
  const bool second = bytes.substr(0, 4) == "SV10";
  if (second) in.take(8);
  const auto count = in.take_number();
  in.take(4);                           // 77
  constexpr std::uint32_t most = 1000;  // elements, and items of one: headers have some 100
  if (!count || *count > most) return elements;
  std::optional<std::uint32_t> first_items;  // the older layout's lengths are relative to it
  for (std::uint32_t e = 0; e < *count; ++e) {
    const auto name = in.take(64);
    in.take(4 + 4 + 4);  // multiplicity, representation, syngo's data type
    const auto items = in.take_number();
    in.take(4);  // 77 or 205
    if (!name || !items || *items > most) return elements;
    if (!first_items) first_items = *items;
    for (std::uint32_t i = 0; i < *items; ++i) {
      const auto first = in.take_number(), length = in.take_number();
      in.take(8);
      if (!length) return elements;
      const std::uint32_t n = second ? *length : *first - *first_items;
      const auto text = in.take(n);
      if (!text && !second) break;  // the older layout marks with such a length that no more follow
      if (!text) return elements;
      in.take((4 - n % 4) % 4);
      if (auto value = trimmed(*text); !value.empty())
        elements[trimmed(*name)].push_back(std::move(value));
    }
  }
  return elements;
}

}  // namespace mr::image
