// Ids that name nobody: keyed hashes, the same for one name and key.
#pragma once
#include <string>

namespace mr {

class IdKey {
 public:
  /// Names stay as they are.
  IdKey() = default;

  /// The key in a file of mode 600.
  /// throws MissingInputError, DataError where others may read the file or it holds no key
  explicit IdKey(const std::string& path);

  /// The same; where there is no file, one with a key of 32 random bytes is made.
  /// throws CannotCreateError, IoError, DataError as above
  static IdKey read_or_make(const std::string& path);

  /// The first 16 hexadecimal digits of HMAC-SHA-256 (RFC 2104) of `name`.
  std::string id(const std::string& name) const;

 private:
  std::string key_;  // bytes; "": none
};

}  // namespace mr
