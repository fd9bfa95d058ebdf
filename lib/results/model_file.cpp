#include "results/model_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace mr::results {
namespace {

// PKWARE, .ZIP File Format Specification 6.3.10: 4.3.7 local header, 4.3.12 central directory,
// 4.3.16 its end. Torch writes no comment, so the end record is the file's last 22 bytes.
constexpr std::size_t local_header = 30, directory_header = 46, end_record = 22;

class Archive {
 public:
  explicit Archive(const std::string& path) : path_(path), in_(path, std::ios::binary) {
    if (!in_) throw MissingInputError(path + ": " + std::strerror(errno));
    in_.seekg(0, std::ios::end);
    size_ = static_cast<std::uint64_t>(in_.tellg());
  }

  std::string member(const std::string& ending) {
    const auto end = size_ < end_record ? "" : bytes(size_ - end_record, end_record);
    if (end.substr(0, 4) != "PK\5\6") refuse("not a model file (a TorchScript archive)");
    const auto directory = bytes(number(end, 16, 4), number(end, 12, 4));
    for (std::size_t at = 0; at + directory_header <= directory.size();) {
      const auto name_size = number(directory, at + 28, 2);
      const auto name = directory.substr(at + directory_header, name_size);
      if (ends_with(name, ending)) return stored(directory, at);
      at += directory_header + name_size + number(directory, at + 30, 2) +
            number(directory, at + 32, 2);
    }
    refuse("has no " + ending + ": not a model of mr-train");
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const { throw DataError(path_ + ": " + why); }

  std::string bytes(std::uint64_t at, std::uint64_t n) {
    if (at > size_ || n > size_ - at) refuse("damaged: a member lies outside the file");
    std::string text(n, '\0');
    in_.seekg(static_cast<std::streamoff>(at));
    if (!in_.read(text.data(), static_cast<std::streamsize>(n))) refuse("cannot be read");
    return text;
  }

  static std::uint64_t number(const std::string& text, std::size_t at, std::size_t width) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < width; ++i)
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(text[at + i])) << 8 * i;
    return value;
  }

  std::string stored(const std::string& directory, std::size_t at) {
    if (number(directory, at + 10, 2) != 0) refuse("its description is compressed");
    const auto begin = number(directory, at + 42, 4);
    const auto local = bytes(begin, local_header);
    return bytes(begin + local_header + number(local, 26, 2) + number(local, 28, 2),
                 number(directory, at + 20, 4));
  }

  std::string path_;
  std::ifstream in_;
  std::uint64_t size_ = 0;
};

}  // namespace

Json read_model_description(const std::string& path) {
  return parse_json(Archive(path).member("/extra/mr.json"), path + ": mr.json");
}

}  // namespace mr::results
