// The bytes of a file or of memory, in order, unpacked on the way where they are gzip.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace mr::image {

class ByteSource {
 public:
  /// throws MissingInputError, DataError on a folder, IoError
  explicit ByteSource(const std::string& path);
  ByteSource(std::string bytes, std::string name);
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  ~ByteSource();

  /// Next n bytes; fewer only at the end. throws DataError where the gzip stream is cut or damaged
  std::size_t read(void* out, std::size_t n);
  /// Most bytes that can still come: exact for plain bytes; for gzip, whose best ratio is 1032:1
  /// (RFC 1951: 258 bytes from 2 bits), what the packed bytes could unpack to.
  std::uint64_t capacity() const;
  bool packed() const { return unpacker_ != nullptr; }
  const std::string& name() const { return name_; }
  void rewind();  // to the first byte. throws IoError
  /// Reads a short rest (64 KiB) so that the gzip checksum is verified; a longer one is left alone.
  void finish();

 private:
  struct Unpacker;
  void recognise();
  bool refill();
  std::size_t take(char* out, std::size_t n);
  std::size_t unpack(char* out, std::size_t n);

  std::string name_, buffer_;
  std::size_t at_ = 0, end_ = 0;  // unread part of buffer_
  int descriptor_ = -1;
  std::uint64_t unread_ = 0;  // bytes of the file not yet in buffer_
  std::unique_ptr<Unpacker> unpacker_;
};

/// What a piece of a gzip file unpacks to, at most n bytes; plain bytes as they are.
std::string unpacked_prefix(std::string_view bytes, std::size_t n);

/// Where bytes go, in order.
using ByteSink = std::function<void(std::string_view)>;

/// One gzip member at level 1, as bytes come. The header holds no time and no name: same bytes in,
/// same bytes out.
class Gzip {
 public:
  explicit Gzip(ByteSink sink);
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  ~Gzip();
  void write(std::string_view bytes);
  void finish();

 private:
  struct State;
  void deflate(std::string_view bytes, bool last);
  ByteSink sink_;
  std::unique_ptr<State> state_;
};

/// All of it at once.
std::string gzip(std::string_view bytes);

}  // namespace mr::image
