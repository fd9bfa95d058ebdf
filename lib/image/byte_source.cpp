#include "image/byte_source.h"

#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace mr::image {
namespace {

constexpr std::size_t block_bytes = 1 << 18;
constexpr std::size_t largest_call = 1 << 30;  // ISA-L counts in 32 bits

bool is_gzip(std::string_view bytes) {
  return bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b';
}

std::uint8_t* as_bytes(const char* p) {
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(p));  // ISA-L reads through it only
}

// ISA-L 2.30 returns with the upper halves of the vector registers dirty, after which SSE code of
// this thread ran 4 times slower (measured on AVX-512): what comes after its calls clears them.
#if defined(__x86_64__)
__attribute__((target("avx"))) void clear_upper_avx() {
  _mm256_zeroupper();
}
void clear_upper_halves() {
  if (__builtin_cpu_supports("avx")) clear_upper_avx();
}
#else
void clear_upper_halves() {}
#endif

}  // namespace

struct ByteSource::Unpacker {
  inflate_state state;
  bool in_member = false;
};

ByteSource::ByteSource(const std::string& path) : name_(path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    buffer_ = read_all(path);  // a pipe tells its length only by ending, and opens once
    end_ = buffer_.size();
  } else {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0)
      throw MissingInputError(path + ": " + std::generic_category().message(errno));
    if (::fstat(descriptor_, &status) == 0) unread_ = static_cast<std::uint64_t>(status.st_size);
    buffer_.resize(std::min<std::uint64_t>(block_bytes, unread_ + 1));
  }
  recognise();
}

ByteSource::ByteSource(std::string bytes, std::string name)
    : name_(std::move(name)), buffer_(std::move(bytes)), end_(buffer_.size()) {
  recognise();
}

ByteSource::~ByteSource() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void ByteSource::rewind() {
  at_ = 0;
  if (descriptor_ >= 0) {
    const auto length = ::lseek(descriptor_, 0, SEEK_END);
    if (length < 0 || ::lseek(descriptor_, 0, SEEK_SET) != 0)
      throw IoError(name_ + ": cannot be read again: " + std::generic_category().message(errno));
    unread_ = static_cast<std::uint64_t>(length);
    end_ = 0;
  }
  recognise();
}

void ByteSource::recognise() {
  unpacker_ = nullptr;
  if (at_ == end_) refill();
  if (is_gzip({buffer_.data(), end_})) unpacker_ = std::make_unique<Unpacker>();
}

bool ByteSource::refill() {
  if (descriptor_ < 0) return false;
  ssize_t got = 0;
  do got = ::read(descriptor_, buffer_.data(), buffer_.size());
  while (got < 0 && errno == EINTR);
  if (got < 0) throw IoError(name_ + ": cannot be read: " + std::generic_category().message(errno));
  at_ = 0;
  end_ = static_cast<std::size_t>(got);
  unread_ -= std::min<std::uint64_t>(unread_, end_);
  return got > 0;
}

std::uint64_t ByteSource::capacity() const {
  const std::uint64_t left = unread_ + (end_ - at_);
  return unpacker_ ? (left + 64) * 1032 : left;  // 64: what the unpacker holds already
}

std::size_t ByteSource::read(void* out, std::size_t n) {
  auto* to = static_cast<char*>(out);
  std::size_t have = 0;
  while (have < n) {
    const auto got = unpacker_ ? unpack(to + have, n - have) : take(to + have, n - have);
    if (got == 0) break;
    have += got;
  }
  return have;
}

std::size_t ByteSource::take(char* out, std::size_t n) {
  if (at_ == end_ && !refill()) return 0;
  const auto got = std::min(n, end_ - at_);
  std::memcpy(out, buffer_.data() + at_, got);
  at_ += got;
  return got;
}

std::size_t ByteSource::unpack(char* out, std::size_t n) {
  auto& state = unpacker_->state;
  for (;;) {
    const bool any = at_ < end_ || refill();
    if (!unpacker_->in_member) {  // another member may follow; anything else is not ours
      if (!any || buffer_[at_] != '\x1f') return 0;
      isal_inflate_init(&state);
      state.crc_flag = ISAL_GZIP;
      unpacker_->in_member = true;
    }
    const auto offered = std::min(end_ - at_, largest_call);
    const auto space = std::min(n, largest_call);
    state.next_in = as_bytes(buffer_.data() + at_);
    state.avail_in = static_cast<std::uint32_t>(offered);
    state.next_out = as_bytes(out);
    state.avail_out = static_cast<std::uint32_t>(space);
    const int code = isal_inflate(&state);
    clear_upper_halves();
    at_ += offered - state.avail_in;
    if (code == ISAL_INCORRECT_CHECKSUM) throw DataError(name_ + ": gzip checksum is wrong");
    if (code < 0) throw DataError(name_ + ": damaged gzip stream");
    if (state.block_state == ISAL_BLOCK_FINISH) unpacker_->in_member = false;
    if (const auto got = space - state.avail_out) return got;
    if (unpacker_->in_member && !any) throw DataError(name_ + ": truncated gzip stream");
  }
}

void ByteSource::finish() {
  if (!unpacker_) return;
  char rest[1 << 16];
  read(rest, sizeof rest);
}

std::string unpacked_prefix(std::string_view bytes, std::size_t n) {
  if (!is_gzip(bytes)) return std::string(bytes.substr(0, n));
  const auto state = std::make_unique<inflate_state>();
  isal_inflate_init(state.get());
  state->crc_flag = ISAL_GZIP;
  std::string out(n, '\0');
  state->next_in = as_bytes(bytes.data());
  state->avail_in = static_cast<std::uint32_t>(std::min(bytes.size(), largest_call));
  state->next_out = as_bytes(out.data());
  state->avail_out = static_cast<std::uint32_t>(n);
  isal_inflate(state.get());  // a damaged stream gives what came before the damage
  clear_upper_halves();
  out.resize(n - state->avail_out);
  return out;
}

struct Gzip::State {
  isal_zstream stream{};
  std::vector<std::uint8_t> level_buffer = std::vector<std::uint8_t>(ISAL_DEF_LVL1_DEFAULT);
  std::string out = std::string(block_bytes, '\0');
};

Gzip::Gzip(ByteSink sink) : sink_(std::move(sink)), state_(std::make_unique<State>()) {
  auto& stream = state_->stream;
  isal_deflate_init(&stream);
  stream.level = 1;
  stream.level_buf = state_->level_buffer.data();
  stream.level_buf_size = static_cast<std::uint32_t>(state_->level_buffer.size());
  stream.gzip_flag = IGZIP_GZIP;
}

Gzip::~Gzip() = default;

void Gzip::write(std::string_view bytes) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), largest_call)))
    deflate(bytes.substr(0, largest_call), false);
}

void Gzip::finish() {
  deflate({}, true);
}

void Gzip::deflate(std::string_view bytes, bool last) {
  auto& stream = state_->stream;
  stream.next_in = as_bytes(bytes.data());
  stream.avail_in = static_cast<std::uint32_t>(bytes.size());
  stream.end_of_stream = last;
  do {
    stream.next_out = as_bytes(state_->out.data());
    stream.avail_out = static_cast<std::uint32_t>(state_->out.size());
    if (isal_deflate(&stream) != COMP_OK) throw std::logic_error("gzip: ISA-L refused");
    clear_upper_halves();
    sink_({state_->out.data(), state_->out.size() - stream.avail_out});
  } while (stream.avail_in > 0 || stream.avail_out == 0 ||
           (last && stream.internal_state.state != ZSTATE_END));
}

std::string gzip(std::string_view bytes) {
  std::string out;
  Gzip packer([&](std::string_view packed) { out += packed; });
  packer.write(bytes);
  packer.finish();
  return out;
}

}  // namespace mr::image
