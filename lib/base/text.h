// Text: hashes, base64, the nearest of a list of names.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mr {

/// SHA-256 of bytes that come piece by piece.
class Sha256 {
 public:
  Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  ~Sha256();
  void add(std::string_view bytes);
  std::string hex();  // once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view bytes);
std::string sha256_file(const std::string& path);
std::string base64_encode(std::string_view bytes);
std::string base64_decode(std::string_view text, const std::string& name);  // throws DataError

/// The candidate with the smallest edit distance, or "" where none is close.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// "NAME: unknown X 'foo'; did you mean 'fog'?" without the leading name.
std::string unknown(const std::string& what, std::string_view word,
                    const std::vector<std::string>& candidates);

/// Shortest decimal that reads back as the same number ("0.1", "1e-05"); locale-free.
std::string shortest(double value);
std::string fixed(double value, int decimals);

/// The finite number that the whole text is, or nothing; locale-free.
std::optional<double> to_number(std::string_view text);

/// "NAME=VALUE" of an option. throws UsageError "OPTION: want NAME=VALUE, got '...'"
std::pair<std::string, std::string> name_and_value(const std::string& option,
                                                   const std::string& text);

/// Control characters, which a file may have put there, become blanks.
std::string one_line(std::string text);

std::vector<std::string> split(std::string_view text, char separator);
bool ends_with(std::string_view text, std::string_view end);
std::string lower(std::string text);  // ASCII

}  // namespace mr
