// Work in a process of its own, for libraries that crash on damaged files. Private to the room.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "image/byte_source.h"

namespace mr::image {

/// False where not all can be written.
bool write_all(int descriptor, std::string_view bytes);

class Child {
 public:
  /// `work` runs in the child and gives bytes to its sink; a DataError that it throws comes out of
  /// read() or finish() here. name  for the message where it crashes. throws IoError
  Child(std::string name, const std::function<void(const ByteSink&)>& work);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();
  void read(void* to, std::size_t n);  // throws DataError where the child ends before
  std::string read_all();
  void finish();  // throws DataError unless it ended well

 private:
  std::size_t read_some(void* to, std::size_t n);
  std::string name_;
  int bytes_ = -1, message_ = -1;
  pid_t process_ = -1;
};

}  // namespace mr::image
