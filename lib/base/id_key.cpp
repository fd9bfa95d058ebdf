#include "base/id_key.h"

#include <fcntl.h>
#include <nettle/base16.h>
#include <nettle/hmac.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"

namespace mr {
namespace {

constexpr std::size_t key_bytes = 32;

std::string to_hex(const std::uint8_t* bytes, std::size_t n) {
  std::string hex(BASE16_ENCODE_LENGTH(n), '\0');
  base16_encode_update(hex.data(), n, bytes);
  return hex;
}

/// A new key in a file that only its owner can read, unless there is a file.
void make_key(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0 && errno == EEXIST) return;
  if (descriptor < 0) throw CannotCreateError(path + ": cannot be created: " + strerror(errno));
  std::array<std::uint8_t, key_bytes> key{};
  bool whole = ::getrandom(key.data(), key.size(), 0) == static_cast<ssize_t>(key.size());
  const auto line = to_hex(key.data(), key.size()) + "\n";
  whole = whole &&
          ::write(descriptor, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
          ::fsync(descriptor) == 0;
  whole = ::close(descriptor) == 0 && whole;
  if (whole) return;
  ::unlink(path.c_str());
  throw IoError(path + ": cannot be written");
}

}  // namespace

IdKey IdKey::read_or_make(const std::string& path) {
  make_key(path);
  return IdKey(path);
}

IdKey::IdKey(const std::string& path) {
  if (!exists(path)) throw MissingInputError(path + ": No such file or directory");
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
    throw DataError(path + ": want a file that holds a key");
  if ((status.st_mode & 077) != 0)
    throw DataError(path + ": others may read this key; chmod 600 it, or use another");
  auto text = read_all(path);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::array<std::uint8_t, BASE16_DECODE_LENGTH(2 * key_bytes)> key{};
  base16_decode_ctx decoder;
  base16_decode_init(&decoder);
  std::size_t n = key.size();
  if (text.size() != 2 * key_bytes ||
      !base16_decode_update(&decoder, &n, key.data(), text.size(), text.data()) ||
      !base16_decode_final(&decoder))
    throw DataError(path + ": holds no key: want one line of " + std::to_string(2 * key_bytes) +
                    " hexadecimal digits");
  key_.assign(key.begin(), key.begin() + static_cast<std::ptrdiff_t>(n));
}

std::string IdKey::id(const std::string& name) const {
  if (key_.empty()) return name;
  hmac_sha256_ctx context;
  hmac_sha256_set_key(&context, key_.size(), reinterpret_cast<const std::uint8_t*>(key_.data()));
  hmac_sha256_update(&context, name.size(), reinterpret_cast<const std::uint8_t*>(name.data()));
  std::array<std::uint8_t, 8> digest{};
  hmac_sha256_digest(&context, digest.size(), digest.data());
  return to_hex(digest.data(), digest.size());
}

}  // namespace mr
